"""The waiting hub: no end is missed, none is made up, and nobody is left in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from ironflow_lab.server.engine.outcome import Ended, Erased, Freed, Held, Pausing, Recorded, Runnable
from ironflow_lab.server.protocol.waiting import Waiting


class Rows:
    """What the rows say, and how often they were read; `while_reading` happens in the middle of a read."""

    def __init__(self, *ended: str) -> None:
        self.ended = set(ended)
        self.reads = 0
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def settled(self, run_ids: tuple[str, ...]) -> Iterable[str]:
        self.reads += 1
        found = [run_id for run_id in run_ids if run_id in self.ended]
        self.reading.set()
        await self.go_on.wait()
        return found


@pytest.fixture
def closing() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def waiting(closing: asyncio.Event) -> Waiting:
    return Waiting(closing)


def wait(
    waiting: Waiting, rows: Rows, *run_ids: str, terminal_only: bool = True, timeout: float = 60
) -> asyncio.Task[None]:
    return asyncio.ensure_future(
        waiting.until_ended(run_ids, rows.settled, terminal_only=terminal_only, timeout=timeout)
    )


def is_empty(waiting: Waiting) -> bool:
    return not waiting._runs and not waiting._leases and not waiting._followers


async def test_runs_that_have_ended_already(waiting: Waiting) -> None:
    await wait(waiting, Rows("a", "b"), "a", "b")
    await wait(waiting, Rows())
    assert is_empty(waiting)


async def test_an_end_ends_the_wait_for_all_of_them(waiting: Waiting) -> None:
    rows = Rows("a")
    waiter = wait(waiting, rows, "a", "b", "c")
    await rows.reading.wait()
    waiting.heard([Runnable(), Ended("b"), Ended("unknown")])
    await asyncio.sleep(0)
    assert not waiter.done()
    waiting.heard([Ended("c")])
    await waiter
    assert is_empty(waiting)
    assert rows.reads == 1


async def test_an_end_while_the_rows_are_read_is_not_missed(waiting: Waiting) -> None:
    rows = Rows()
    rows.go_on.clear()
    waiter = wait(waiting, rows, "a")
    await rows.reading.wait()
    waiting.heard([Ended("a")])
    rows.go_on.set()
    await waiter
    assert is_empty(waiting)


@pytest.mark.parametrize("terminal_only", [True, False])
async def test_a_pause_ends_only_waits_for_any_stop(waiting: Waiting, terminal_only: bool) -> None:
    rows = Rows()
    waiter = wait(waiting, rows, "a", terminal_only=terminal_only)
    await rows.reading.wait()
    waiting.heard([Ended("a", terminal=False)])
    for _ in range(5):
        await asyncio.sleep(0)
    assert waiter.done() is not terminal_only
    waiting.heard([Ended("a")])
    await waiter


async def test_a_run_named_twice_is_waited_for_once(waiting: Waiting) -> None:
    rows = Rows()
    waiter = wait(waiting, rows, "a", "a")
    await rows.reading.wait()
    waiting.heard([Ended("a")])
    await waiter
    assert is_empty(waiting)


async def test_many_waits_for_one_run(waiting: Waiting) -> None:
    rows = Rows()
    waiters = [wait(waiting, rows, "a", other) for other in "bcd"]
    await asyncio.sleep(0)
    waiting.heard([Ended("a"), Ended("b"), Ended("c"), Ended("d")])
    await asyncio.gather(*waiters)
    assert is_empty(waiting)


async def test_a_timeout_and_a_closing_server_just_return(waiting: Waiting, closing: asyncio.Event) -> None:
    await wait(waiting, Rows(), "a", timeout=0)
    waiter = wait(waiting, Rows(), "a")
    await asyncio.sleep(0)
    closing.set()
    await waiter
    assert is_empty(waiting)


async def test_a_failing_read_is_raised_and_leaves_nothing(waiting: Waiting) -> None:
    async def fails(run_ids: tuple[str, ...]) -> Iterable[str]:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await waiting.until_ended(("a",), fails, terminal_only=True, timeout=60)
    assert is_empty(waiting)


async def test_a_cancelled_wait_leaves_nothing(waiting: Waiting) -> None:
    rows = Rows()
    waiter = wait(waiting, rows, "a")
    await rows.reading.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert is_empty(waiting)


async def test_lease_connections_hear_of_their_workers_revoked_runs(waiting: Waiting) -> None:
    mine, also_mine, other = waiting.join("w"), waiting.join("w"), waiting.join("other")
    waiting.heard([Freed("run_1", 3, "w"), Freed("run_2", 4, "w", revoked=True), Held("w", True)])
    for lines in (mine, also_mine):
        assert lines.get_nowait() == b'{"type":"cancel","run_id":"run_2","job_id":"run_2.4"}'
        assert lines.empty()
    assert other.empty()
    waiting.heard([Held("w", False)])
    assert mine.get_nowait() is None
    for worker, lines in (("w", mine), ("w", also_mine), ("other", other)):
        waiting.leave(worker, lines)
    assert is_empty(waiting)
    waiting.heard([Held("w", False), Freed("run_2", 5, "w", revoked=True)])
    assert is_empty(waiting)


async def test_lease_connections_hear_that_a_run_shall_be_paused(waiting: Waiting) -> None:
    mine, other = waiting.join("w"), waiting.join("other")
    waiting.heard([Pausing("run_1", 3, "w")])
    assert mine.get_nowait() == b'{"type":"pause","run_id":"run_1","job_id":"run_1.3"}'
    assert mine.empty() and other.empty()


class Trail:
    """A trail that a test lets grow, and how often it was read; a read lasts until it may go on."""

    def __init__(self) -> None:
        self.grown = False
        self.reads = 0
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def read(self) -> bool:
        self.reads += 1
        found = self.grown
        self.reading.set()
        await self.go_on.wait()
        return found


async def never() -> None:
    await asyncio.Event().wait()


def followed(waiting: Waiting, trail: Trail, *, timeout: float = 60) -> asyncio.Task[None]:
    return asyncio.ensure_future(waiting.until_grown("a", trail.read, gone=never(), timeout=timeout))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_follower_reads_at_once_and_whenever_its_run_is_told_of(waiting: Waiting) -> None:
    trail = Trail()
    follower = followed(waiting, trail)
    await trail.reading.wait()
    waiting.heard([Recorded("other"), Runnable()])
    await settled()
    assert trail.reads == 1
    waiting.heard([Recorded("a"), Recorded("a")])
    await settled()
    assert (trail.reads, follower.done()) == (2, False)
    trail.grown = True
    waiting.heard([Recorded("a")])
    await follower
    assert is_empty(waiting)


async def test_a_follower_reads_again_when_its_run_is_erased(waiting: Waiting) -> None:
    trail = Trail()
    follower = followed(waiting, trail)
    await trail.reading.wait()
    trail.grown = True
    waiting.heard([Erased(("other",))])
    await settled()
    assert (trail.reads, follower.done()) == (1, False)
    waiting.heard([Erased(("other", "a"))])
    await follower
    assert (trail.reads, is_empty(waiting)) == (2, True)


async def test_a_trail_that_has_grown_already_ends_the_wait(waiting: Waiting) -> None:
    trail = Trail()
    trail.grown = True
    await followed(waiting, trail)
    assert (trail.reads, is_empty(waiting)) == (1, True)


async def test_an_end_calls_followers_of_runs_that_are_not_recorded(waiting: Waiting) -> None:
    trail = Trail()
    follower = followed(waiting, trail)
    await trail.reading.wait()
    trail.grown = True
    waiting.heard([Ended("a")])
    await follower


async def test_what_is_told_while_the_trail_is_read_is_not_missed(waiting: Waiting) -> None:
    trail = Trail()
    trail.go_on.clear()
    follower = followed(waiting, trail)
    await trail.reading.wait()
    trail.grown = True
    waiting.heard([Recorded("a")])
    trail.go_on.set()
    await follower
    assert trail.reads == 2


async def test_a_followers_wait_ends_with_time_server_or_client(waiting: Waiting, closing: asyncio.Event) -> None:
    await followed(waiting, Trail(), timeout=0)

    async def leaves() -> None:
        return

    await waiting.until_grown("a", Trail().read, gone=leaves(), timeout=60)
    follower = followed(waiting, Trail())
    await settled()
    closing.set()
    await follower
    assert is_empty(waiting)


async def test_a_trail_that_cannot_be_read_ends_the_wait_with_the_reason(waiting: Waiting) -> None:
    async def fails() -> bool:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await waiting.until_grown("a", fails, gone=never(), timeout=60)
    assert is_empty(waiting)
