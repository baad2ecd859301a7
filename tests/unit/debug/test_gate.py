"""The gate: what replayed code may not do, from wherever it tries, and what everybody else still may."""

# The plain calls of a user's code are what is tested here.
# ruff: noqa: ASYNC240, PTH105, PTH106, PTH108, PTH123, PTH211, S605, SIM115

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import ctypes
import importlib
import logging
import multiprocessing
import multiprocessing.pool
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.request
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.debug import gate, patches
from ironflow_lab.debug.gate import Gate
from ironflow_lab.errors import GateError, StepFailure, is_retryable

WHAT = "the replay of run_1"
# Nobody listens there: a gate with a hole would be told by another error, and nothing would leave the machine.
NOWHERE = ("127.0.0.1", 9)


@pytest.fixture
def held() -> Gate:
    """A gate that nothing has entered: pytest itself writes between fixtures and tests."""
    return Gate(WHAT)


def whats(held: Gate) -> list[str]:
    return [one.what for one in held.violations]


def fork() -> None:
    if os.fork() == 0:
        # A gate with a hole must not leave a second pytest behind.
        os._exit(0)


def connect() -> None:
    with socket.socket() as plain:
        plain.connect(NOWHERE)


def udp() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as plain:
        plain.sendto(b"hello", NOWHERE)


def bind() -> None:
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))


def ask() -> None:
    urllib.request.urlopen("http://ann:hunter2@127.0.0.1:9/?token=hunter2")


EFFECTS: dict[str, tuple[Callable[[], Any], str]] = {
    "connect": (connect, "connect to '127.0.0.1:9'"),
    "bind": (bind, "listen at '127.0.0.1:0'"),
    "udp": (udp, "send to '127.0.0.1:9'"),
    "lookup": (lambda: socket.getaddrinfo("nowhere.invalid", 80), "look up 'nowhere.invalid'"),
    "url": (ask, "ask 'http://127.0.0.1'"),
    "write": (lambda: open("planted", "w"), "write the file 'planted'"),
    "append": (lambda: Path("planted").open("ab"), "write the file 'planted'"),
    "update": (lambda: open("kept", "r+"), "write the file 'kept'"),
    "descriptor": (lambda: os.open("planted", os.O_CREAT | os.O_WRONLY), "write the file 'planted'"),
    "remove": (lambda: os.unlink("kept"), "remove 'kept'"),
    "rename": (lambda: os.replace("kept", "lost"), "rename 'kept'"),
    "mkdir": (lambda: Path("planted").mkdir(), "make the folder 'planted'"),
    "rmdir": (lambda: os.rmdir("folder"), "remove 'folder'"),
    "rmtree": (lambda: shutil.rmtree("folder"), "remove 'folder'"),
    "chmod": (lambda: Path("kept").chmod(0o600), "change the mode of 'kept'"),
    "link": (lambda: os.symlink("kept", "planted"), "link 'planted'"),
    "truncate": (lambda: os.truncate("kept", 0), "truncate 'kept'"),
    "touch": (lambda: os.utime("kept"), "touch 'kept'"),
    "temporary": (lambda: tempfile.mkdtemp(dir="."), "make the folder"),
    "chdir": (lambda: os.chdir("folder"), "change the working directory to 'folder'"),
    "environ": (lambda: os.environ.update(PLANTED="hunter2"), "set the environment variable 'PLANTED'"),
    "database": (lambda: sqlite3.connect("planted.db"), "open the database 'planted.db'"),
    "program": (lambda: subprocess.run(["touch", "hunter2"], check=True), "run 'touch'"),
    "system": (lambda: os.system("touch hunter2"), "run 'touch'"),
    "exec": (lambda: os.execv("/nowhere/true", ["true", "hunter2"]), "run '/nowhere/true'"),
    "posix_spawn": (lambda: os.posix_spawn("/bin/true", ["true"], {}), "run '/bin/true'"),
    "fork": (fork, "fork"),
    "process": (lambda: multiprocessing.get_context("spawn").Process(target=print).start(), "start a process"),
    "kill": (lambda: os.kill(os.getpid(), signal.SIGCONT), f"send signal {int(signal.SIGCONT)} to {os.getpid()}"),
    "alarm": (lambda: signal.alarm(0), "send this process a signal"),
    "library": (lambda: ctypes.CDLL("libnowhere.so"), "call into a C library"),
    "symbol": (lambda: ctypes.pythonapi.Py_IsInitialized, "call into a C library"),
    "thread": (lambda: threading.Thread(target=print).start(), "start a thread"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_is_refused_named_and_had_none(effect: str, folder: Path, capfd: Any) -> None:
    act, what = EFFECTS[effect]
    with gate.enter(Gate(WHAT)) as held, pytest.raises(GateError) as refused:
        act()
    (violation, *_) = held.violations
    assert violation.what.startswith(what)
    assert (violation.file, violation.line > 0) == (__file__, True)
    assert str(refused.value).startswith(f"{WHAT} has no effects, but test_gate.py, line {violation.line}")
    assert sorted(path.name for path in folder.iterdir()) == ["folder", "kept"]
    assert (folder / "kept").read_text() == "kept"
    assert Path.cwd() == folder
    assert "PLANTED" not in os.environ
    assert "hunter2" not in violation.what


def test_what_may_be_tried_again_is_not_this(held: Gate) -> None:
    with gate.enter(held), pytest.raises(StepFailure) as refused:
        connect()
    assert not is_retryable(refused.value)
    assert str(refused.value).endswith("what has an effect belongs into a step: await ctx.step.run(name, function)")


def test_a_swallowed_refusal_is_remembered_with_its_line(held: Gate) -> None:
    with gate.enter(held), contextlib.suppress(Exception):
        connect()
    (violation,) = held.violations
    assert str(violation).endswith("plain.connect(NOWHERE))")
    assert held.said() == (f"refused: it would {violation}",)


def test_violations_are_bounded_and_counted(held: Gate) -> None:
    for _ in range(gate.MOST + 7):
        with gate.enter(held), pytest.raises(GateError):
            fork()
    assert (len(held.violations), held.missed) == (gate.MOST, 7)
    assert held.said(2)[-1] == f"refused: {gate.MOST + 5} more"


# ---- what replayed code may do


def test_reading_is_noted_once_and_code_is_not(held: Gate, folder: Path) -> None:
    with gate.enter(held):
        for _ in range(2):
            assert Path("kept").read_text() == "kept"
        Path(__file__).read_bytes()
    (note,) = held.notes
    assert note.startswith(f"it read {str(folder / 'kept')!r} (test_gate.py, line ")
    assert held.violations == ()


def test_an_import_works_and_keeps_its_compiled_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "planted_module.py").write_text("import os\nos.environ['PLANTED_BY_IMPORT'] = '1'\nanswer = 42\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.delenv("PLANTED_BY_IMPORT", raising=False)
    with gate.enter(Gate(WHAT)) as held:
        assert importlib.import_module("planted_module").answer == 42
    assert held.violations == ()
    assert list((folder / "__pycache__").iterdir())
    del sys.modules["planted_module"], os.environ["PLANTED_BY_IMPORT"]


def test_a_module_that_acts_while_it_is_imported_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "acting_module.py").write_text("open('planted', 'w')\n")
    monkeypatch.syspath_prepend(str(folder))
    with gate.enter(Gate(WHAT)), pytest.raises(GateError, match="import the module in a cell first"):
        importlib.import_module("acting_module")
    assert not (folder / "planted").exists()


def test_printing_logging_loops_and_memory_are_free(held: Gate, capsys: Any) -> None:
    with gate.enter(held):
        print("hello")
        logging.getLogger("planted").warning("hello")
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.execute("select 1")
        open(os.devnull, "w").close()
        assert asyncio.run(asyncio.sleep(0, "slept")) == "slept"
    assert held.violations == ()
    assert capsys.readouterr().out == "hello\n"


def test_lifted_it_lets_everything_pass_and_closes_again(held: Gate, folder: Path) -> None:
    def write() -> None:
        Path("written").write_text("by a thread")

    with gate.enter(held):
        with gate.lift():
            assert gate.current() is None
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
        assert gate.current() is held
        with pytest.raises(GateError):
            write()
    assert Path("written").read_text() == "by a thread"


async def test_a_lifted_task_does_not_lift_its_neighbour(folder: Path) -> None:
    lifted, tried = asyncio.Event(), asyncio.Event()

    async def body() -> None:
        with gate.lift():
            lifted.set()
            await tried.wait()
            Path("written").touch()

    async def neighbour() -> None:
        await lifted.wait()
        try:
            Path("planted").touch()
        finally:
            tried.set()

    with gate.enter(Gate(WHAT)) as held:
        found = await asyncio.gather(body(), neighbour(), return_exceptions=True)
    assert [type(one) for one in found] == [type(None), GateError]
    assert [path.name for path in folder.iterdir() if path.name in ("written", "planted")] == ["written"]
    assert len(held.violations) == 1


# ---- ways out


def escape_by_an_empty_context() -> None:
    contextvars.Context().run(fork)


def escape_by_a_raw_thread() -> None:
    import _thread

    _thread.start_new_thread(print, ())


def escape_by_a_timer() -> None:
    threading.Timer(0, print).start()


def escape_by_an_executor() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(os.getpid).result()


def escape_by_to_thread() -> None:
    asyncio.run(asyncio.to_thread(os.getpid))


def escape_by_the_loops_executor() -> None:
    async def run() -> None:
        await asyncio.get_running_loop().run_in_executor(None, os.getpid)

    asyncio.run(run())


def escape_by_a_task_in_an_empty_context() -> None:
    async def run() -> None:
        await asyncio.create_task(asyncio.sleep(0), context=contextvars.Context())
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        failed: list[Any] = []
        loop.set_exception_handler(lambda _, context: failed.append(context["exception"]))
        loop.call_soon(fork, context=contextvars.Context())
        loop.call_soon(done.set)
        await done.wait()
        raise failed[0]

    asyncio.run(run())


def escape_by_async_subprocess() -> None:
    asyncio.run(asyncio.create_subprocess_exec("true"))


WAYS_OUT = [value for name, value in list(globals().items()) if name.startswith("escape_by")]


@pytest.mark.parametrize("escape", WAYS_OUT, ids=lambda escape: escape.__name__)
def test_ways_out_are_closed(escape: Callable[[], None], held: Gate) -> None:
    with gate.enter(held), pytest.raises(GateError):
        escape()
    assert held.violations


def test_an_existing_pool_is_not_handed_work() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(os.getpid).result()
        with gate.enter(Gate(WHAT)) as held, pytest.raises(GateError):
            pool.submit(os.getpid)
        assert whats(held) == ["hand 'getpid' to another thread or process"]
        assert pool.submit(os.getpid).result() == os.getpid()


def test_another_threads_loop_is_not_handed_code() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def free() -> str:
        return str(gate.current())

    try:
        code = free()
        with gate.enter(Gate(WHAT)) as held:
            for hand_over in (
                lambda: asyncio.run_coroutine_threadsafe(code, loop),
                lambda: loop.call_soon_threadsafe(os.getpid),
                lambda: loop.call_soon_threadsafe(os.getpid, context=contextvars.Context()),
            ):
                with pytest.raises(GateError):
                    hand_over()
        code.close()
        assert whats(held)[1:] == ["hand 'getpid' to another thread or process"] * 2
        assert len(held.violations) == 3
        assert asyncio.run_coroutine_threadsafe(free(), loop).result() == "None"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Connected(socket.socket):
    """One end of a pair that says it is connected to a host."""

    def getpeername(self) -> Any:
        return ("10.0.0.1", 443)


def test_a_connection_made_earlier_is_not_sent_over() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Connected(fileno=ours.detach()) as client:
        for name in ("send", "sendall"):
            with gate.enter(Gate(WHAT)) as held, pytest.raises(GateError):
                getattr(client, name)(b"hello")
            assert whats(held) == ["send to '10.0.0.1:443'"]
        client.sendall(b"free")
        assert theirs.recv(9) == b"free"


class Idle(multiprocessing.pool.Pool):
    """A pool without processes."""

    def __init__(self) -> None:
        pass

    def __del__(self) -> None:
        pass


def test_a_pool_of_processes_is_not_handed_work() -> None:
    pool = Idle()
    for name in ("apply_async", "map_async", "imap", "imap_unordered", "apply", "map"):
        with gate.enter(Gate(WHAT)) as held, pytest.raises(GateError):
            getattr(pool, name)(os.getpid, [()])
        assert whats(held) == ["hand 'getpid' to another thread or process"]


# ---- everybody else


def test_a_strangers_object_that_is_collected_meanwhile_is_finalized(held: Gate, folder: Path) -> None:
    class Kept:
        """What a library's finalizer cleans up after."""

    kept = Kept()
    weakref.finalize(kept, os.rmdir, "folder")
    with gate.enter(held):
        del kept
    assert not (folder / "folder").exists()
    assert held.violations == ()


def test_others_are_not_held_and_nothing_stays_behind(folder: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def replay() -> None:
        with gate.enter(Gate(WHAT)):
            entered.set()
            leave.wait()

    before = vars(socket.socket).copy()
    thread = threading.Thread(target=replay)
    thread.start()
    entered.wait()
    assert "send" in vars(socket.socket)
    assert gate.current() is None
    Path("written").touch()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"x")
    leave.set()
    thread.join()
    assert dict(vars(socket.socket)) == dict(before)
    assert (gate._thread.gate, patches._put, patches._users) == (None, [], [])


def test_gates_nest_and_the_inner_one_speaks() -> None:
    outer, inner = Gate("outer"), Gate("inner")
    with gate.enter(outer):
        with gate.enter(inner), pytest.raises(GateError, match=r"^inner has no effects"):
            fork()
        with pytest.raises(GateError, match=r"^outer has no effects"):
            fork()
    assert gate.current() is None
    assert (len(outer.violations), len(inner.violations)) == (1, 1)
    assert repr(inner) == "Gate('inner', violations=1)"
