"""A real kernel: output under the right cell, the stop button, and an end that nothing holds up."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from ironflow_lab.runtime import output
from ironflow_lab.testing import LocalServer

PATIENCE = 60

PREPARE = """
from pathlib import Path
from ironflow_lab.client._async.client import AsyncClient
from ironflow_lab.client._sync.client import Client
from ironflow_lab.kernel.waiting import friendly
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.service import Worker
from ironflow_lab.runtime.threads import io_thread

async def _client():
    return AsyncClient({url!r})

client = Client({url!r})
worker = Worker(io_thread().call(_client), data_folder=Path({folder!r}))

def ended(event, count=1):
    ids = [run for _ in range(count) for run in client.events.emit(event).run_ids]
    client.runs.wait(ids, timeout=30)
    return ids
"""


class Notebook:
    """A kernel, and what each of its cells shows."""

    def __init__(self, folder: Path, *, packages: Path | None = None) -> None:
        """Start a kernel; what stands in `packages` is imported before what is installed."""
        self.manager = KernelManager()
        self.manager.start_kernel(
            cwd=str(folder), env={**_environment(packages), "JPY_SESSION_NAME": str(folder / "tour.ipynb")}
        )
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.shown: defaultdict[str, str] = defaultdict(str)
        self.displays: defaultdict[str, list[Any]] = defaultdict(list)
        self._places: dict[str, str] = {}
        self._idle: set[str] = set()

    def begin(self, code: str) -> str:
        """Start a cell; return its id."""
        # A kernel aborts what arrives right after an error, unless it is told not to.
        return str(self.client.execute(code, stop_on_error=False))

    def run(self, code: str) -> str:
        """Execute a cell that must not raise; return its id."""
        cell = self.begin(code)
        reply = self.reply(cell)
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", ()))
        return cell

    def reply(self, cell: str) -> dict[str, Any]:
        """Return how a cell ended."""
        while True:
            message = self.client.get_shell_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == cell:
                content: dict[str, Any] = message["content"]
                return content

    def read(self) -> None:
        """Take in one message about output."""
        message = self.client.get_iopub_msg(timeout=PATIENCE)
        cell, content = message["parent_header"].get("msg_id", ""), message["content"]
        if message["msg_type"] == "stream":
            self.shown[cell] += content["text"]
        elif message["msg_type"] in ("display_data", "update_display_data"):
            # An update goes where the display is, whatever cell its message names.
            name = content.get("transient", {}).get("display_id", "")
            place = self._places.setdefault(name, cell) if name else cell
            self.displays[place].append((message["msg_type"], content["data"]))
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            self._idle.add(cell)

    def until(self, cell: str, text: str, count: int = 1) -> str:
        """Return what a cell shows once it shows `text` so many times."""
        while self.shown[cell].count(text) < count:
            try:
                self.read()
            except Empty:
                raise AssertionError(f"{text!r} is nowhere in {dict(self.shown)}") from None
        return self.shown[cell]

    def settled(self, cell: str) -> str:
        """Return what a cell shows once it is idle."""
        while cell not in self._idle:
            self.read()
        return self.shown[cell]

    def close(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)


def _environment(packages: Path | None) -> dict[str, str]:
    import os

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IRONFLOW", "PYTEST"))}
    path = ":".join(str(one) for one in (packages, Path(__file__).resolve().parents[2]) if one)
    return {**kept, "PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with LocalServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def notebook(server: LocalServer, folder: Path) -> Iterator[Notebook]:
    made = Notebook(folder)
    try:
        made.run(PREPARE.format(url=server.url, folder=str(folder)))
        yield made
    finally:
        made.close()


def test_prints_appear_under_the_cell_that_defined_the_function(notebook: Notebook) -> None:
    asynchronous = notebook.run(
        "@function('a', on='a')\n"
        "async def a(ctx):\n"
        "    print('a handler')\n"
        "    async def body(): print('a async body')\n"
        "    await ctx.step.run('one', body)\n"
        "    await ctx.step.run('two', lambda: print('a plain body'))\n"
        "    ctx.logger.warning('a logged')\n"
        "    print('a end')\n"
        "worker.add(a)\n"
    )
    plain = notebook.run(
        "import sys\n"
        "@function('p', on='p')\n"
        "def p(ctx):\n"
        "    ctx.step.run('one', lambda: print('p body'))\n"
        "    print('p error', file=sys.stderr)\n"
        "    print('p end')\n"
        "worker.add(p)\n"
    )
    other = notebook.run("print('other before'); ids = ended('a') + ended('p') + ended('a'); print('other after')")
    for cell, last in ((plain, "p end"), (plain, "p error")):
        notebook.until(cell, last)
    for last in ("a end", "a logged"):
        notebook.until(asynchronous, last, count=2)
    lines = notebook.shown[asynchronous].splitlines()
    assert sorted(lines) == sorted(2 * ["a handler", "a async body", "a plain body", "WARNING a: a logged", "a end"])
    assert sorted(notebook.shown[plain].splitlines()) == ["p body", "p end", "p error"]
    assert notebook.settled(other).splitlines() == ["other before", "other after"]
    shown = notebook.run("for line in worker.logs(ids[0]): print(line.step, line.level, line.text, sep='|')")
    assert notebook.settled(shown).splitlines() == [
        "||a handler",
        "one||a async body",
        "two||a plain body",
        "|WARNING|a logged",
        "||a end",
    ]


def test_concurrent_runs_of_two_cells_stay_apart(notebook: Notebook) -> None:
    cells = [
        notebook.run(
            "import asyncio\n"
            f"@function('{name}', on='both')\n"
            f"async def {name}(ctx):\n"
            "    for n in range(5):\n"
            f"        print('{name}', flush=True)\n"
            "        await asyncio.sleep(0.001)\n"
            f"    print('{name} end')\n"
            f"worker.add({name})\n"
        )
        for name in ("left", "right")
    ]
    notebook.run("ids = ended('both', 8)")
    for cell, name in zip(cells, ("left", "right"), strict=True):
        notebook.until(cell, f"{name} end", count=8)
        assert set(notebook.shown[cell].splitlines()) == {name, f"{name} end"}


def test_display_appears_under_the_defining_cell(notebook: Notebook) -> None:
    cell = notebook.run(
        "from IPython.display import display\n"
        "@function('d', on='d')\n"
        "async def d(ctx):\n"
        "    display({'text/plain': 'a figure'}, raw=True)\n"
        "    print('d end')\n"
        "worker.add(d)\n"
    )
    notebook.run("ids = ended('d')")
    notebook.until(cell, "d end")
    assert notebook.displays[cell] == [("display_data", {"text/plain": "a figure"})]


def test_a_megabyte_is_cut_and_its_end_is_kept(notebook: Notebook) -> None:
    cell = notebook.run(
        "@function('big', on='big')\n"
        "def big(ctx):\n"
        "    for n in range(20_000):\n"
        "        print(f'line {n:06d} ' + 'x' * 50)\n"
        "worker.add(big)\n"
    )
    after = notebook.run("ids = ended('big'); kept = worker.logs(ids[0]); print(len(kept), kept[-1].text[:11])")
    shown = notebook.until(cell, "output cut after 64 kB")
    assert len(shown) < output.SHOWN_PER_SEGMENT + 500
    assert shown.startswith("line 000000")
    assert "lab.worker.logs('run_" in shown
    count, last = notebook.settled(after).split(" ", 1)
    assert 1000 < int(count) <= 5000
    assert last.strip() == "line 019999"


def test_the_cells_own_output_is_as_before(notebook: Notebook) -> None:
    cell = notebook.run(
        "import sys, io, contextlib\n"
        "from IPython.utils.capture import capture_output\n"
        "with capture_output() as captured: print('captured')\n"
        "with contextlib.redirect_stdout(io.StringIO()) as redirected: print('redirected')\n"
        "print(repr(captured.stdout), repr(redirected.getvalue()), sys.stdout.encoding, sys.stdout.isatty())\n"
    )
    assert notebook.settled(cell) == "'captured\\n' 'redirected\\n' UTF-8 False\n"


def test_a_live_display_is_replaced_in_place_from_any_thread(notebook: Notebook) -> None:
    cell = notebook.run(
        "from ironflow_lab.kernel.display import show\n"
        "import threading\n"
        "live = show({'text/plain': 'first'})\n"
        "thread = threading.Thread(target=live.update, args=({'text/plain': 'second'},))\n"
        "thread.start(); thread.join(); print('shown')\n"
    )
    notebook.settled(cell)
    assert ("display_data", {"text/plain": "first"}) in notebook.displays[cell]
    updates = [data for shown in notebook.displays.values() for kind, data in shown if kind == "update_display_data"]
    assert updates == [{"text/plain": "second"}]


@pytest.mark.parametrize(
    "wait",
    [
        "io_thread().call(forever)",
        "await friendly(forever())",
        "worker.drain(60)",
    ],
)
def test_the_stop_button_ends_a_wait_and_never_the_worker(notebook: Notebook, wait: str) -> None:
    notebook.run(
        "import asyncio, threading\n"
        "waiting, cancelled, release = threading.Event(), threading.Event(), threading.Event()\n"
        "async def forever():\n"
        "    print('begun', flush=True)\n"
        "    try: await asyncio.Event().wait()\n"
        "    finally: cancelled.set()\n"
        "@function('held', on='held')\n"
        "def held(ctx):\n"
        "    waiting.set(); release.wait(); return 'end'\n"
        "worker.add(held)\n"
        "[held_run] = client.events.emit('held').run_ids\n"
        "waiting.wait()\n"
        f"drains = {'drain' in wait}\n"
        "def tell():\n"
        "    while worker.status().state != 'draining': threading.Event().wait(0.01)\n"
        "    print('begun', flush=True)\n"
        "if drains: threading.Thread(target=tell, daemon=True).start()\n"
    )
    cell = notebook.begin(wait)
    notebook.until(cell, "begun")
    notebook.manager.interrupt_kernel()
    reply = notebook.reply(cell)
    assert reply["status"] == "error"
    assert reply["ename"] in ("KeyboardInterrupt", "CancelledError")
    after = notebook.run(
        "release.set()\n"
        "client.runs.wait([held_run], timeout=30)\n"
        "print(client.runs.get(held_run).output, drains or cancelled.wait(10))\n"
        "worker.add(held); print(worker.status().state)\n"
    )
    assert notebook.settled(after) == "end True\nrunning\n"


def test_the_worker_is_named_after_its_notebook(notebook: Notebook) -> None:
    cell = notebook.run("print(worker.worker_id)")
    assert notebook.settled(cell).startswith("tour-")


def test_a_busy_kernel_ends_at_once_and_its_runs_go_on_elsewhere(
    notebook: Notebook, folder: Path, server: LocalServer
) -> None:
    """Comes last: it ends the notebook's kernel."""
    # The same code in both: a run finishes on the code it began with.
    define = (
        "@function('stuck', on='stuck')\n"
        "def stuck(ctx):\n"
        "    if first: import time; time.sleep(600)\n"
        "    return 'taken over'\n"
        "worker.add(stuck)"
    )
    notebook.run("first = True\n" + define)
    cell = notebook.run("[stuck_run] = client.events.emit('stuck').run_ids; print(stuck_run, worker.worker_id)")
    run_id, worker_id = notebook.settled(cell).split()
    notebook.client.shutdown()
    # A kernel that waited for its threads would need to be killed; this one ends by itself.
    _wait_for_end(notebook.manager)
    second = Notebook(folder)
    try:
        second.run(PREPARE.format(url=server.url, folder=str(folder)))
        second.run("first = False\n" + define)
        done = second.run(
            f"client.runs.wait([{run_id!r}], timeout=30)\nprint(client.runs.get({run_id!r}).output, worker.worker_id)"
        )
        assert second.settled(done) == f"taken over {worker_id}\n"
    finally:
        second.close()


def _wait_for_end(manager: KernelManager) -> None:
    for _ in range(PATIENCE * 10):
        if not manager.is_alive():
            manager.cleanup_resources()
            return
        time.sleep(0.1)
    raise AssertionError("the kernel does not end")
