"""`worker.run()`: until a signal, then drained, then stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, cast

import pytest

from ironflow_lab.errors import IronflowError, UnauthenticatedError
from ironflow_lab.lab import running
from ironflow_lab.runtime.service import Worker


class Served:
    """A worker that does as the test says; each question of its state is one turn of `turns`."""

    def __init__(self, *turns: Callable[[Served], None]) -> None:
        self.state = "running"
        self.failure: Exception | None = None
        self.calls: list[Any] = []
        self.drained: Future[None] = Future()
        self._turns: Iterator[Callable[[Served], None]] = iter(turns)

    def start(self) -> None:
        self.calls.append("start")

    def status(self) -> Served:
        next(self._turns, _finish)(self)
        return self

    def draining(self, seconds: float) -> Future[None]:
        self.calls.append(("drain", seconds))
        next(self._turns, _finish)(self)
        return self.drained

    def stop(self) -> None:
        self.calls.append("stop")
        _finish(self)

    def run(self) -> None:
        running.run(cast(Worker, self), "3s")


def _finish(worker: Served) -> None:
    worker.state = "stopped"
    if not worker.drained.done():
        worker.drained.set_result(None)


def sends(number: int) -> Callable[[Served], None]:
    return lambda worker: signal.raise_signal(number)


def fails(worker: Served) -> None:
    worker.state, worker.failure = "failed", UnauthenticatedError("no key")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains(number: int) -> None:
    worker = Served(lambda _: None, sends(number))
    worker.run()
    assert worker.calls == ["start", ("drain", 3.0)]


def test_a_second_signal_stops() -> None:
    worker = Served(sends(signal.SIGTERM), sends(signal.SIGINT))
    worker.run()
    assert worker.calls == ["start", ("drain", 3.0), "stop"]


def test_it_returns_when_the_worker_was_stopped_otherwise() -> None:
    worker = Served(lambda _: None, _finish)
    worker.run()
    assert worker.calls == ["start"]


def test_what_made_the_worker_fail_is_raised() -> None:
    worker = Served(fails)
    with pytest.raises(UnauthenticatedError, match="no key"):
        worker.run()


def test_a_failure_while_draining_is_raised() -> None:
    def breaks(worker: Served) -> None:
        worker.drained.set_exception(RuntimeError("a bug"))

    with pytest.raises(RuntimeError, match="a bug"):
        Served(sends(signal.SIGINT), breaks).run()


def test_only_the_main_thread_gets_signals() -> None:
    caught: list[Exception] = []

    def elsewhere() -> None:
        try:
            Served().run()
        except IronflowError as error:
            caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "only the main thread" in str(caught[0])


def test_a_notebook_has_no_need_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "in_kernel", lambda: True)
    worker = Served()
    with pytest.raises(IronflowError, match="beside your cells already"):
        worker.run()
    assert worker.calls == []
