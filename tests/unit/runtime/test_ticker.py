"""Work done soon after it is asked for."""

from __future__ import annotations

import logging
import threading

import pytest

from ironflow_lab.runtime.ticker import Ticker


def test_many_touches_are_one_piece_of_work_and_a_later_one_another() -> None:
    done = threading.Semaphore(0)
    ticker = Ticker("test-ticker", done.release, delay=60)
    for _ in range(1000):
        ticker.touch()
    ticker.hurry()
    assert done.acquire(timeout=10)
    assert not done.acquire(blocking=False)
    ticker.touch()
    ticker.hurry()
    assert done.acquire(timeout=10)


def test_without_work_due_nothing_hurries() -> None:
    done = threading.Semaphore(0)
    ticker = Ticker("test-ticker", done.release, delay=60)
    ticker.hurry()
    ticker.touch()
    assert not done.acquire(blocking=False)
    assert [one.name for one in threading.enumerate() if one.name == "test-ticker" and not one.daemon] == []


def test_the_work_comes_by_itself() -> None:
    done = threading.Event()
    Ticker("test-ticker", done.set, delay=0.001).touch()
    assert done.wait(10)


def test_a_failure_is_logged_without_its_text_and_the_thread_serves_on(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Semaphore(0)
    failures = [ValueError("private")]

    def work() -> None:
        done.release()
        if failures:
            raise failures.pop()

    ticker = Ticker("test-ticker", work, delay=0.001)
    with caplog.at_level(logging.ERROR):
        ticker.touch()
        assert done.acquire(timeout=10)
        ticker.touch()
        assert done.acquire(timeout=10)
    assert caplog.messages == ["the thread test-ticker failed: ValueError"]
