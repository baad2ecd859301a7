"""`lab.worker.run()`: a script that serves its functions until it is told to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ironflow_lab.errors import IronflowError
from ironflow_lab.kernel.session import in_kernel
from ironflow_lab.runtime.service import Worker
from ironflow_lab.wire.duration import Duration, seconds

_SLICE = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENDED = ("stopped", "failed")


def run(worker: Worker, drain_timeout: Duration) -> None:
    """Serve until SIGINT or SIGTERM, then drain; a second signal stops at once.

    Returns when the worker has stopped, by whomever. Raises what made it fail.
    """
    limit = seconds(drain_timeout)
    check_place()
    with _signals() as received:
        worker.start()
        while not received and not _has_ended(worker):
            received.wait(_SLICE)
        if received:
            _drain(worker, limit, received)
    if worker.failure is not None:
        raise worker.failure


def check_place() -> None:
    """Raise `IronflowError` where `run` would block what it must not: a notebook, or another thread."""
    if in_kernel():
        raise IronflowError(
            "worker.run() is for scripts: here the worker runs beside your cells already, from the first"
            " function on, and ends with the kernel"
        )
    if threading.current_thread() is not threading.main_thread():
        raise IronflowError("worker.run() waits for signals, which only the main thread gets; call it there")


class _Received:
    """How many signals have come."""

    def __init__(self) -> None:
        self.count = 0
        self._news = threading.Event()

    def take(self, number: int, frame: FrameType | None) -> None:
        """Note one signal; the handler of them all."""
        self.count += 1
        self._news.set()

    def wait(self, seconds: float) -> None:
        """Return when a signal comes, or after that many seconds."""
        self._news.wait(seconds)
        self._news.clear()

    def __bool__(self) -> bool:
        """Return whether any has come."""
        return self.count > 0


@contextmanager
def _signals() -> Iterator[_Received]:
    received = _Received()
    before = {number: signal.signal(number, received.take) for number in _SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drain(worker: Worker, limit: float, received: _Received) -> None:
    drained = worker.draining(limit)
    while not drained.done() and received.count < 2:
        received.wait(_SLICE)
    if not drained.done():
        worker.stop()
    drained.result()


def _has_ended(worker: Worker) -> bool:
    return worker.status().state in _ENDED
