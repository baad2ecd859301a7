"""`ironflow-lab lab`: server and JupyterLab together, and nothing of either left after Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from ironflow_lab import local
from ironflow_lab.local import health, lock, ports

LAB = [sys.executable, "-P", "-m", "ironflow_lab.cli", "lab", "--no-browser"]
ADDRESS = re.compile(r"JupyterLab +(http://127\.0\.0\.1:(\d+))(/\S+\?token=\S+)")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """Return a project root with the tour."""
    yield prepared(tmp_path)
    local.stop(tmp_path / ".ironflow", force=True)


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bench]]:
    """Return three benches, started side by side since each takes seconds; a test ends its own.

    "busy" finds the default port taken, "killed" has its own, "joined" finds a server that runs.
    """
    with closing(socket.socket()) as other:
        if ports.is_free(ports.NOTEBOOKS):
            other.bind(("127.0.0.1", ports.NOTEBOOKS))
            other.listen()
        folders = {name: prepared(tmp_path_factory.mktemp(name)) for name in ("busy", "killed", "joined")}
        local.start(folders["joined"] / ".ironflow", port=0)
        started = {
            "busy": Bench(folders["busy"]),
            "killed": Bench(folders["killed"], "--port", str(ports.next_free(ports.NOTEBOOKS + 300))),
            "joined": Bench(folders["joined"], "--port", str(ports.next_free(ports.NOTEBOOKS + 500))),
        }
        for bench in started.values():
            bench.until(lambda said: "Ctrl-C here ends" in said)
    yield started
    for bench in started.values():
        bench.process.kill()
        bench.process.wait()
        local.stop(bench.folder / ".ironflow", force=True)


def prepared(folder: Path) -> Path:
    """Make the folder a project root with the tour."""
    (folder / "pyproject.toml").touch()
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "00_tour.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    return folder.resolve()


class Bench:
    """A running `ironflow-lab lab` in a process group of its own, as under a terminal."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self._output = folder / "output.txt"
        jupyter = {f"JUPYTER_{name}_DIR": str(folder / "jupyter" / name) for name in ("CONFIG", "DATA", "RUNTIME")}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*LAB, *arguments],
                cwd=folder / "notebooks",
                env={**os.environ, **jupyter, "JUPYTER_PREFER_ENV_PATH": "1", **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return all it has printed."""
        return self._output.read_text()

    def until(self, condition: Callable[[str], object], seconds: float = 90.0) -> None:
        """Wait until what it printed meets the condition."""
        deadline = time.monotonic() + seconds
        while not condition(self.said()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def interrupt(self) -> int:
        """Press Ctrl-C: SIGINT to the whole foreground group; return the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=60)


def status_of(address: re.Match[str]) -> int:
    """Return the HTTP status of the printed address."""
    with closing(HTTPConnection("127.0.0.1", int(address[2]), timeout=30)) as connection:
        connection.request("GET", address[3])
        return connection.getresponse().status


def test_one_ctrl_c_ends_all_it_started(benches: dict[str, Bench]) -> None:
    bench = benches["busy"]
    said = bench.said()
    assert "Ctrl-C here ends both." in said
    server = local.find(bench.folder / ".ironflow")
    assert server is not None
    assert f"Server        {server.url}, data in {server.data_dir}" in said
    address = ADDRESS.search(said)
    assert address is not None
    assert f"JupyterLab    port {ports.NOTEBOOKS} is in use, so this is {address[2]}" in said
    assert address[3].startswith("/lab/tree/notebooks/00_tour.ipynb?token=")
    assert status_of(address) == 200
    token = address[3].partition("token=")[2]
    assert token not in (server.data_dir / "jupyter.log").read_text()

    assert bench.interrupt() == 0
    assert "[y/n]" not in bench.said()
    assert lock.holder(server.data_dir) is None
    assert not (server.data_dir / "engine.json").exists()
    assert health.get(address[1], "/api", timeout=1)[0] == 0


def test_ctrl_c_while_it_starts_leaves_nothing(checkout: Path) -> None:
    bench = Bench(checkout)
    bench.until(lambda said: "JupyterLab    starting" in said)
    assert bench.interrupt() == 0
    assert lock.holder(checkout / ".ironflow") is None
    assert "Traceback" not in bench.said()


def test_what_it_started_ends_even_when_it_is_killed(benches: dict[str, Bench]) -> None:
    bench = benches["killed"]
    address = ADDRESS.search(bench.said())
    assert address is not None
    bench.process.kill()
    bench.process.wait()
    deadline = time.monotonic() + 60
    while lock.holder(bench.folder / ".ironflow") or health.get(address[1], "/api", timeout=1)[0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_ran_before_goes_on(benches: dict[str, Bench]) -> None:
    bench = benches["joined"]
    assert "Ctrl-C here ends JupyterLab." in bench.said()
    before = local.find(bench.folder / ".ironflow")
    bench.process.terminate()
    assert bench.process.wait(timeout=60) == 0
    assert "ran before and goes on" in bench.said()
    found = local.find(bench.folder / ".ironflow")
    assert found is not None
    assert before is not None
    assert found.pid == before.pid


def test_a_jupyterlab_that_cannot_start_ends_the_server_too(checkout: Path) -> None:
    (checkout / "broken").mkdir()
    (checkout / "broken" / "jupyterlab.py").write_text("raise SystemExit('a broken installation')\n")
    bench = Bench(checkout, PYTHONPATH=str(checkout / "broken"))
    assert bench.process.wait(timeout=60) == 1
    assert "ironflow-lab: error: JupyterLab ended with status 1." in bench.said()
    assert "a broken installation" in bench.said()
    assert lock.holder(checkout / ".ironflow") is None


def test_a_port_in_use_that_was_asked_for(checkout: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        bench = Bench(checkout, "--port", str(port))
        assert bench.process.wait(timeout=60) == 1
    assert f"Port {port} is in use: choose another, such as --port" in bench.said()
    assert lock.holder(checkout / ".ironflow") is None
