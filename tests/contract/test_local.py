"""Finding, starting, repairing and stopping the embedded server, with real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ironflow_lab import local
from ironflow_lab.cli import main
from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import files, health, lock, ports, record
from ironflow_lab.wire.discovery import Discovery, write
from ironflow_lab.wire.rest import WORKERS

DATA = ".ironflow"


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a project root that is the working directory; no server of it outlives the test."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    yield tmp_path.resolve()
    for folder in tmp_path.iterdir():
        local.stop(folder, force=True)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that has nothing to do with any server."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for the condition; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def discovered(tree: Path) -> dict[str, object]:
    """Return what the tree's discovery file says."""
    told: dict[str, object] = json.loads((tree / DATA / "engine.json").read_bytes())
    return told


def killed(server: local.Local) -> None:
    """Kill -9 the server and wait until its lock is free."""
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: lock.holder(server.data_dir) is None)


# ---- the ordinary life of a server


def test_start_find_reuse_stop(tree: Path) -> None:
    server = local.start()
    assert (server.data_dir, server.reused) == (tree / DATA, False)
    answer = health.ask(server.url)
    assert answer is not None
    assert discovered(tree) == {
        "version": 1,
        "url": server.url,
        "api_key": "",
        "environment": "",
        "instance": answer.instance,
    }
    for name in ("engine.json", "server.json", "server.log"):
        assert stat.S_IMODE((tree / DATA / name).stat().st_mode) == 0o600, name
    again = local.start()
    assert again.reused
    assert (again.url, again.pid) == (server.url, server.pid)
    found = local.find()
    assert found is not None
    assert (found.url, found.pid) == (server.url, server.pid)

    assert local.stop() is True
    assert health.ask(server.url) is None
    assert not (tree / DATA / "engine.json").exists()
    assert not (tree / DATA / "server.json").exists()
    assert local.find() is None
    assert local.stop() is False


def test_what_it_kept_is_there_after_a_restart(tree: Path) -> None:
    first = local.start()
    local.stop()
    second = local.start()
    assert second.pid != first.pid
    assert (tree / DATA / "ironflow.db").exists()


def test_it_outlives_its_starter_and_is_found_from_a_folder_below(tree: Path) -> None:
    (tree / "notebooks").mkdir()
    program = "from ironflow_lab import local; print(local.start().pid)"
    starter = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True, cwd=tree
    )
    assert starter.stderr == ""
    found = local.find(tree / "notebooks" / ".." / DATA)
    assert found is not None
    assert found.pid == int(starter.stdout)
    assert os.getsid(found.pid) == found.pid


def test_a_file_beside_the_notebook_is_not_mistaken_for_a_module(tree: Path) -> None:
    for name in ("signal.py", "asyncio.py", "uvicorn.py", "sqlite3.py"):
        (tree / name).write_text("raise RuntimeError('not this one')\n")
    assert not local.start().reused


def test_five_at_once_end_with_one_server(tree: Path) -> None:
    killed(local.start())
    program = "from ironflow_lab import local; s = local.start(wait=60); print(s.pid, s.url, s.reused)"
    crowd = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tree) for _ in range(5)
    ]
    told = [process.communicate(timeout=120)[0].split() for process in crowd]
    assert len({(pid, url) for pid, url, _ in told}) == 1, told
    assert sorted(reused for _, _, reused in told) == ["False", "True", "True", "True", "True"]
    assert lock.holder(tree / DATA) == int(told[0][0])


# ---- what others left behind


def test_what_a_killed_server_left_is_repaired(tree: Path) -> None:
    dead = local.start()
    killed(dead)
    assert (tree / DATA / "server.json").exists()
    assert local.find() is None
    assert local.stop() is False
    server = local.start()
    assert not server.reused
    assert discovered(tree)["url"] == server.url
    assert "leads to" not in server.note


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff\x00garbage", b'{"version":1,"url":"http://example.com"}'])
def test_garbage_in_both_files_is_repaired(tree: Path, garbage: bytes) -> None:
    (tree / DATA).mkdir()
    for name in ("engine.json", "server.json"):
        (tree / DATA / name).write_bytes(garbage)
    assert local.find() is None
    assert local.stop() is False
    server = local.start()
    assert discovered(tree)["url"] == server.url


def test_a_reused_number_is_never_signalled(tree: Path, sleeper: subprocess.Popen[bytes]) -> None:
    (tree / DATA).mkdir()
    port = ports.next_free(9500)
    stale = record.ServerRecord(
        pid=sleeper.pid, token="t", url=f"http://127.0.0.1:{port}", port=port, version="0", started_at=1
    )
    record.write(tree / DATA, stale)
    (tree / DATA / lock.FILE).write_text(f"{sleeper.pid}\n")
    assert local.stop(force=True) is False
    assert not local.start().reused
    assert local.stop() is True
    assert sleeper.poll() is None


def test_a_missing_discovery_file_is_written_by_the_next_start(tree: Path) -> None:
    server = local.start()
    (tree / DATA / "engine.json").unlink()
    assert local.start().reused
    assert discovered(tree)["url"] == server.url


def test_a_different_live_server_keeps_its_discovery_file(tree: Path) -> None:
    first = local.start()
    second = local.start(tree / "other")
    assert second.url != first.url
    assert f"leads to another live server, {first.url}" in second.note
    assert f"IRONFLOW_SERVER_URL={second.url}" in second.note
    assert discovered(tree)["url"] == first.url
    assert local.stop() is True
    assert not (tree / DATA / "engine.json").exists()
    assert local.start(tree / "other").reused
    assert discovered(tree)["url"] == second.url
    assert local.stop(tree / "other") is True
    assert not (tree / DATA / "engine.json").exists()


def test_another_engine_that_is_alive_keeps_its_discovery_file(tree: Path) -> None:
    engine = local.start(tree / "engine")
    (tree / DATA / "engine.json").write_bytes(write(Discovery(version=1, url=engine.url)))
    server = local.start()
    assert engine.url in server.note
    assert discovered(tree)["url"] == engine.url


# ---- ports


def test_an_explicit_port_is_had(tree: Path) -> None:
    port = ports.next_free(9600)
    assert local.start(port=port).url == f"http://127.0.0.1:{port}"


def test_an_explicit_port_in_use_is_refused_and_another_suggested(tree: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServerStartError, match=rf"^Port {port} is in use: choose another, such as --port \d+"):
            local.start(port=port)
    assert lock.holder(tree / DATA) is None


def test_the_default_port_in_use_gives_the_next_free_one_and_says_so(tree: Path) -> None:
    with ExitStack() as closing_later:
        if ports.is_free(ports.SERVER):
            closing_later.enter_context(socket.create_server(("127.0.0.1", ports.SERVER)))
        server = local.start()
    port = urlsplit(server.url).port
    assert port is not None
    assert port > ports.SERVER
    assert server.note == f"port {ports.SERVER} is in use, so this is {port}"


def test_a_running_server_does_not_move_to_another_port(tree: Path) -> None:
    server = local.start(port=0)
    port = urlsplit(server.url).port
    assert port is not None
    assert local.start(port=port).reused
    assert local.start(port=0).reused
    with pytest.raises(ServerStartError, match=rf"already runs at {server.url}.*stop it first"):
        local.start(port=port + 1 if port < 65535 else port - 1)
    assert local.find() is not None


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_cannot_be_a_port(tree: Path, port: int) -> None:
    with pytest.raises(ServerStartError, match="is not a port"):
        local.start(port=port)
    assert not (tree / DATA).exists()


# ---- servers that do not start


def test_a_start_that_is_late_leaves_nothing_behind(tree: Path) -> None:
    with pytest.raises(ServerStartError, match="did not answer within 0 s and was ended: allow more with wait="):
        local.start(wait=0)
    assert lock.holder(tree / DATA) is None
    assert not (tree / DATA / "server.json").exists()


def test_an_interrupted_start_leaves_nothing_behind(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = record.answering

    def interrupted(folder: Path) -> record.ServerRecord | None:
        if lock.holder(folder) is not None:
            raise KeyboardInterrupt
        return ask(folder)

    monkeypatch.setattr(record, "answering", interrupted)
    with pytest.raises(KeyboardInterrupt):
        local.start()
    assert lock.holder(tree / DATA) is None


def test_a_folder_that_cannot_be_made(tree: Path) -> None:
    with pytest.raises(ServerStartError, match=r"cannot be written.*--data-dir DIR"):
        local.start("/proc/ironflow-lab/data" if sys.platform == "linux" else "/dev/ironflow-lab/data")


def test_a_file_in_place_of_the_folder(tree: Path) -> None:
    (tree / DATA).touch()
    with pytest.raises(ServerStartError, match=r"\.ironflow is a file, not a folder"):
        local.start()


def test_a_file_that_is_not_a_database_is_told_by_name(tree: Path) -> None:
    (tree / DATA).mkdir()
    (tree / DATA / "ironflow.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(ServerStartError, match=r"ironflow\.db cannot be used"):
        local.start()
    assert local.find() is None


def test_a_crash_shows_the_end_of_the_log(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "broken").mkdir()
    (tree / "broken" / "uvicorn.py").write_text("raise RuntimeError('a broken installation')\n")
    monkeypatch.setenv("PYTHONPATH", str(tree / "broken"))
    with pytest.raises(ServerStartError, match=r"(?s)ended with status 1 before it answered\..*server\.log:") as raised:
        local.start()
    assert "RuntimeError: a broken installation" in str(raised.value)
    assert len(str(raised.value).splitlines()) < 20


def test_a_deleted_working_directory(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tree / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ServerStartError, match="The working directory no longer exists"):
        local.start()
    server = local.start(tree / "data")
    assert "no working directory for a discovery file" in server.note
    assert local.stop(tree / "data") is True


# ---- servers that do not answer or end


def test_a_frozen_server_is_named_and_killed_only_when_told(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = local.start()
    monkeypatch.setattr(health, "TIMEOUT", 0.1)
    os.kill(server.pid, signal.SIGSTOP)
    names_it = rf"Process {server.pid} holds {tree / DATA} but does not answer \(yet\)\..*stop --force"
    with pytest.raises(ServerStartError, match=names_it):
        local.start(wait=0.2)
    with pytest.raises(ServerStartError, match=names_it):
        local.stop()
    assert main(["status"]) == 1
    assert re.match(names_it, capsys.readouterr().out)
    monkeypatch.setattr("ironflow_lab.local.stopping._SILENT_WAIT", 0.2)
    assert local.stop(force=True) is True
    assert lock.holder(tree / DATA) is None


def test_a_server_without_its_record_can_be_killed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = local.start()
    record.remove(tree / DATA)
    with pytest.raises(ServerStartError, match=f"Process {server.pid} holds"):
        local.stop()
    assert local.stop(force=True) is True
    assert lock.holder(tree / DATA) is None


def test_it_ends_with_connections_open(tree: Path) -> None:
    server = local.start()
    port = urlsplit(server.url).port
    with closing(HTTPConnection("127.0.0.1", port)) as worker, socket.create_connection(("127.0.0.1", port)) as half:
        body = json.dumps({"worker_id": "w", "instance_id": "i", "function_ids": ["f"]})
        worker.request("POST", f"{WORKERS}w/register", body, {"content-type": "application/json"})
        assert worker.getresponse().read()
        worker.request("GET", "/lab/v1/workers/w/lease?instance=i")
        with closing(worker.getresponse()) as lease:
            assert json.loads(lease.readline()) == {"type": "held"}
            half.sendall(b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\n")
            assert local.stop(wait=8) is True
            assert lease.read() == b""


# ---- owners


def test_it_ends_with_its_owner(tree: Path, sleeper: subprocess.Popen[bytes]) -> None:
    server = local.start(owner_pid=sleeper.pid)
    assert "it ends with" not in server.note
    assert f"it ends with process {sleeper.pid}" in local.start().note
    sleeper.kill()
    until(lambda: lock.holder(tree / DATA) is None)
    assert not (tree / DATA / "engine.json").exists()
    assert f"its owner, process {sleeper.pid}, has ended" in (tree / DATA / "server.log").read_text()


def test_an_owner_that_is_gone_already(tree: Path, sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(ServerStartError, match="ended"):
        local.start(owner_pid=sleeper.pid)


def test_it_ends_when_its_folder_is_removed(tree: Path) -> None:
    server = local.start()
    for path in (tree / DATA).iterdir():
        files.remove(path)
    (tree / DATA).rmdir()
    until(lambda: health.ask(server.url) is None)
