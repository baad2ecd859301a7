"""The shape all contestants share: workloads and their sizes, figures, processes, the file of side effects.

Needs nothing but the standard library, since every peer runs in an environment of its own. A script
is called as `python -m tests.bench.bench_NAME W2 --runs 1000` and prints one line of JSON; what it
logs goes to standard error.

W1 one-step runs, one after the other. W2 ten-step runs, 32 at a time, one worker. W3 one run of
1,000 steps. W4 kill -9 of server and worker amid 200 runs of five steps that take 50 ms each. W6 the
state of a run of 1,000 steps at a random one. W7 a fork of it ten steps before its end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STEP_SECONDS = 0.05
KILL_AT = 0.4
PATIENCE = 300.0
# How often a question of W6 and W7 is asked.
SAMPLES = 50


@dataclass(frozen=True)
class Size:
    """How many runs, of how many steps, how many at a time."""

    runs: int
    steps: int
    flight: int


SIZES = {
    "W0": Size(runs=300, steps=1, flight=1),
    "W1": Size(runs=200, steps=1, flight=1),
    "W2": Size(runs=1000, steps=10, flight=32),
    "W3": Size(runs=1, steps=1000, flight=1),
    "W4": Size(runs=200, steps=5, flight=200),
    "W6": Size(runs=1, steps=1000, flight=1),
    "W7": Size(runs=1, steps=1000, flight=1),
}


@dataclass(frozen=True)
class Task:
    """What one call of a script measures; `variant` is the peer's own setting."""

    peer: str
    workload: str
    size: Size
    variant: str

    def report(self, **figures: Any) -> None:
        """Print the line of this task."""
        line = {
            "peer": self.peer,
            "workload": self.workload,
            "runs": self.size.runs,
            "steps": self.size.steps,
            "flight": self.size.flight,
            "load": round(os.getloadavg()[0], 2),
            **figures,
        }
        print(json.dumps(line), flush=True)


def task(peer: str, *, variants: Sequence[str] = ("",), arguments: Sequence[str] | None = None) -> Task:
    """Return the task the command line asks for; the first variant is the default one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=sorted(SIZES))
    parser.add_argument("--runs", "--n", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--flight", "--conc", type=int)
    parser.add_argument("--variant", choices=variants, default=variants[0])
    given = parser.parse_args(arguments)
    usual = SIZES[given.workload]
    size = Size(
        runs=given.runs or usual.runs,
        steps=given.steps or usual.steps,
        flight=given.flight or usual.flight,
    )
    name = f"{peer}-{given.variant}" if given.variant != variants[0] else peer
    return Task(peer=name, workload=given.workload, size=size, variant=given.variant)


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Return the quantiles of durations, in milliseconds."""
    ordered = sorted(value * 1e3 for value in seconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)

    return {"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "samples": len(ordered)}


def throughput(size: Size, seconds: float) -> dict[str, float]:
    """Return the rates of W2."""
    return {
        "seconds": round(seconds, 3),
        "runs_per_s": round(size.runs / seconds, 1),
        "steps_per_s": round(size.runs * size.steps / seconds),
    }


def per_step(size: Size, seconds: float) -> dict[str, float]:
    """Return the cost of W3."""
    return {"seconds": round(seconds, 3), "ms_per_step": round(seconds * 1e3 / size.steps, 4)}


# ---- processes and places


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Give a folder that is gone afterwards; `BENCH_TMP` says on which disk."""
    base = os.environ.get("BENCH_TMP")
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{name}-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spawn(command: Sequence[str | Path], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; `log` takes all it says."""
    with log.open("ab") as sink:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )


def script(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of this folder with this interpreter."""
    return [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]


def kill(process: subprocess.Popen[bytes] | None) -> None:
    """Kill -9 a process started by `spawn` and its children, and wait until it is gone."""
    if process is None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(
    done: Callable[[], object],
    what: str,
    *,
    pause: float = 0.005,
    process: subprocess.Popen[bytes] | None = None,
) -> None:
    """Wait until `done()` holds; raises `TimeoutError` after five minutes, or when `process` has ended."""
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE:.0f} s for {what}")
        if process is not None and process.poll() is not None:
            raise TimeoutError(f"{what}: its process has ended with {process.returncode}")
        time.sleep(pause)


def listening(port: int) -> bool:
    """Return whether somebody accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


class Cpu:
    """Cores used by the given processes from construction on, by the kernel's count."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._began = time.monotonic()
        self._used = {name: _cpu_seconds(pid) for name, pid in pids.items()}

    def cores(self) -> dict[str, float]:
        """Return the cores each process used on average."""
        passed = max(time.monotonic() - self._began, 1e-9)
        return {
            f"{name}_cores": round((_cpu_seconds(pid) - self._used[name]) / passed, 2)
            for name, pid in self._pids.items()
        }


def _cpu_seconds(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


# ---- W4: what really ran, one line per executed step


class Effects:
    """A file that step bodies append to, so that repeats and losses can be counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at_kill = 0
        self._killed = 0.0

    def note(self, run: object, step: object) -> None:
        """Append one line in one write."""
        sink = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(sink, f"{run} {step}\n".encode())
        os.close(sink)

    def count(self) -> int:
        """Return how many steps have run so far."""
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0

    def wait_for_kill_point(self, size: Size) -> None:
        """Wait until two fifths of all steps have run."""
        until(lambda: self.count() >= size.runs * size.steps * KILL_AT, "the point to kill at", pause=0.002)

    def killed(self) -> None:
        """Note that all are dead; the time of the recovery counts from here."""
        self._at_kill = self.count()
        self._killed = time.monotonic()

    def recovered(self, size: Size, ended: Callable[[], int]) -> dict[str, float]:
        """Wait until `ended()` counts all runs and return the figures of W4."""
        first, done, asked = 0.0, 0, 0.0
        while done < size.runs and (passed := time.monotonic() - self._killed) < PATIENCE:
            so_far = self.count()
            if not first and so_far > self._at_kill:
                first = passed
            # A run ends after its last step: asking often before that would only disturb.
            if so_far >= size.runs * size.steps or passed > asked + 0.25:
                asked, done = passed, ended()
            time.sleep(0.01)
        lines = Counter(self.path.read_text().splitlines())
        whole = Counter(line.split()[0] for line in lines)
        torn = size.runs - sum(steps == size.steps for steps in whole.values())
        return {
            "recover_s": round(time.monotonic() - self._killed, 3),
            "first_step_s": round(first, 3),
            "lost": max(size.runs - done, torn),
            "steps_at_kill": self._at_kill,
            "run_twice": sum(times > 1 for times in lines.values()),
            "extra": lines.total() - len(lines),
            "never_run": size.runs * size.steps - len(lines),
        }
