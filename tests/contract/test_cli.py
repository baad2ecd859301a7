"""The command line, as somebody types it, with real servers."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ironflow_lab import local
from ironflow_lab.local import lock

SERVE = [sys.executable, "-P", "-m", "ironflow_lab.cli", "serve"]
DATA = ".ironflow"


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a project root that is the working directory; no server of it outlives the test."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    yield tmp_path.resolve()
    for folder in tmp_path.iterdir():
        local.stop(folder, force=True)


class Serving:
    """`ironflow-lab serve` in the foreground, as somebody typed it."""

    def __init__(self, *arguments: str, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [*SERVE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit status and what else was printed."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=30)
        return self.process.returncode, rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_and_ends_cleanly(tree: Path, number: signal.Signals) -> None:
    serving = Serving("--port", "0", "--lease-seconds", "5")
    server = local.find()
    assert server is not None
    assert server.pid == serving.process.pid
    assert serving.first.rstrip().endswith(
        f"serves {server.url} from {tree / DATA}; end it with Ctrl-C or `ironflow-lab stop`"
    )
    assert serving.end(number) == (0, "")
    assert not (tree / DATA / "engine.json").exists()
    assert not (tree / DATA / "server.json").exists()


@pytest.mark.parametrize(("host", "shown"), [("localhost", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::1", "[::1]")])
def test_serve_on_another_loopback_address(tree: Path, host: str, shown: str) -> None:
    serving = Serving("--port", "0", "--host", host)
    if serving.first.endswith("(Cannot assign requested address); choose another with --port, or 0 for any\n"):
        serving.end()
        pytest.skip(f"this machine has no {host}")
    assert f"serves http://{shown}:" in serving.first
    found = local.find()
    assert found is not None
    assert found.pid == serving.process.pid
    assert serving.end()[0] == 0


LOSING = """
import sys
from ironflow_lab import cli
from ironflow_lab.local import ports
looks = iter([(int(sys.argv[1]), ""), (0, "a note")])
ports.choose = lambda *arguments, **named: next(looks)
sys.exit(cli.main(["serve"]))
"""


def test_a_port_lost_between_look_and_bind_is_chosen_anew(tree: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        command = [sys.executable, "-c", LOSING, str(other.getsockname()[1])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert "serves http://127.0.0.1:" in process.stdout.readline()
            assert process.stdout.readline() == "  note: a note\n"
            assert local.stop() is True
        assert process.returncode == 0


def test_a_second_serve_of_the_folder_names_the_first(tree: Path) -> None:
    server = local.start()
    second = Serving()
    assert second.first == (
        f"ironflow-lab: error: A server of {tree / DATA} already runs at {server.url} (process {server.pid}).\n"
    )
    assert second.process.communicate(timeout=30)[0] == ""
    assert second.process.returncode == 75
    assert local.find() is not None


def test_a_removed_lock_file_lets_no_second_server_in(tree: Path) -> None:
    server = local.start()
    (tree / DATA / lock.FILE).unlink()
    second = Serving()
    assert f"(process {server.pid})" in second.first
    assert second.process.wait(timeout=30) == 75
    assert second.process.stdout is not None
    second.process.stdout.close()


def test_status_and_stop(tree: Path) -> None:
    server = local.start(port=0)

    def told(command: str) -> tuple[int, str]:
        run = subprocess.run([*SERVE[:-1], command], capture_output=True, text=True, check=False, timeout=60, cwd=tree)
        return run.returncode, run.stdout

    assert told("status") == (0, f"{server.url} (process {server.pid}), data in {tree / DATA}\n")
    assert told("stop") == (0, f"Ended the server of {tree / DATA}.\n")
    assert told("status") == (1, f"No server runs for {tree / DATA}.\n")
