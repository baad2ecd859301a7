"""The two programs of a scenario, each a process of its own: the server and the official worker."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.conformance.ledger import Ledger
from tests.conformance.plain import Plain, until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OFFICIAL = HERE / "official"
# Below what Linux and macOS give to whoever asks for any port.
FIRST_PORT, PORTS = 20_000, 4_000


def official_python() -> Path:
    """Return the interpreter of the environment that holds the official SDK."""
    named = os.environ.get("IRONFLOW_CONFORMANCE_PYTHON")
    python = Path(named) if named else ROOT / ".venv-conformance" / "bin" / "python"
    assert python.exists(), f"the official SDK's environment is missing ({python}): run `make setup`"
    return python


def clean_environment(**extra: str) -> dict[str, str]:
    """Return an environment in which nothing points at another server."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IRONFLOW")}
    return {**kept, "IRONFLOW_NO_DISCOVERY": "1", "PYTHONUNBUFFERED": "1", **extra}


class Process:
    """A child process whose output goes to a file that a failure can show."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.child: subprocess.Popen[bytes] | None = None

    def spawn(self, command: list[str | Path], environment: dict[str, str]) -> None:
        """Start the child."""
        with self.log.open("ab") as log:
            self.child = launch(command, self.folder, environment, log)

    @property
    def running(self) -> bool:
        """Whether the child is alive."""
        return self.child is not None and self.child.poll() is None

    def kill(self) -> None:
        """Kill -9, and wait until the process is gone."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    def stop(self, patience: float = 20.0) -> int:
        """Ask it to end (SIGTERM) and return its exit code; one that does not end is a failure."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.name} did not end after SIGTERM\n{self.story()}") from None

    def story(self) -> str:
        """Return the end of the child's output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"---- {self.name}\n{text[-4000:]}"


def launch(
    command: list[str | Path], folder: Path, environment: dict[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that a Ctrl-C of the tests does not reach it first."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def free_port() -> int:
    """Return a loopback port that is free now, of those that no system gives away and no test beside this one takes.

    A server has it from a moment later, and again after it was killed.
    """
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST_PORT + beside % 2 * PORTS
    for port in random.sample(range(first, first + PORTS), PORTS):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port from {first} to {first + PORTS} is free")


class Server(Process):
    """The embedded server as `ironflow-lab serve` starts it; its data outlives `kill`."""

    def __init__(self, folder: Path, *arguments: str, name: str = "server") -> None:
        super().__init__(name, folder)
        self.port = free_port()
        self.arguments = arguments
        self.plain = Plain(f"http://127.0.0.1:{self.port}")

    def start(self) -> Self:
        """Start it, or start it again on the same data and port, and wait until it is ready."""
        command: list[str | Path] = [sys.executable, "-m", "ironflow_lab.cli", "serve"]
        command += ["--owner-pid", str(os.getpid())]
        places = ["--port", str(self.port), "--data-dir", str(self.folder / "data")]
        self.spawn([*command, *places, *self.arguments], clean_environment(PYTHONPATH=str(ROOT)))
        until(self.ready, f"the server on port {self.port}\n{self.story()}")
        return self

    def ready(self) -> bool:
        """Whether it answers; a server that has ended is a failure at once."""
        assert self.running, self.story()
        try:
            return self.plain.rest("GET", "/ready").status == 200
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            code = self.stop()
            assert kind is not None or code == 0, f"it ended with {code}\n{self.story()}"


class Official(Process):
    """The official SDK's polling worker, running a program of `official/` in its own environment."""

    def __init__(
        self,
        folder: Path,
        url: str,
        prefix: str,
        *,
        worker_id: str,
        functions: str = "",
        slots: int = 10,
        heartbeat: float = 30.0,
        checkpoint: float = 1.0,
        program: str = "worker.py",
    ) -> None:
        super().__init__(worker_id, folder)
        self.program = OFFICIAL / program
        self.worker_id, self.prefix = worker_id, prefix
        self.ledger = Ledger(folder / f"{prefix}.ledger")
        self.gates = folder
        self.arguments = [
            *("--url", url, "--prefix", prefix, "--worker-id", worker_id),
            *("--ledger", str(self.ledger.path), "--gates", str(folder)),
            *("--functions", functions, "--slots", str(slots)),
            *("--heartbeat", str(heartbeat), "--checkpoint", str(checkpoint)),
        ]

    def start(self) -> Self:
        """Start it, or start it again under the same worker id."""
        self.spawn([official_python(), self.program, *self.arguments], clean_environment(PYTHONPATH=str(ROOT)))
        return self

    def open(self, gate: str, *, only_here: bool = False) -> None:
        """Let the step bodies that wait at a gate go on, in all workers or in this one."""
        place = f"@{self.worker_id}" if only_here else ""
        (self.gates / f"gate-{gate}{place}").touch()

    def serves(self, plain: Plain, function: str) -> Self:
        """Wait until the server knows the function, and return the worker."""
        wanted = {"id": f"{self.prefix}-{function}"}
        until(lambda: plain.post("GetFunction", wanted).status == 200, f"{wanted} to be registered")
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            code = self.stop()
            assert kind is not None or code == 0, f"it ended with {code}\n{self.story()}"
