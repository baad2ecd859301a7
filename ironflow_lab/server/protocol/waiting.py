"""Who waits for commits: calls that wait for runs to end or follow their audit trail, and lease connections."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from ironflow_lab.server.engine.outcome import Ended, Erased, Freed, Held, Pausing, Recorded, Wake
from ironflow_lab.server.protocol.exchange import first


class _Waiter:
    def __init__(self, run_ids: Iterable[str], terminal_only: bool) -> None:
        self.pending = set(run_ids)
        self.terminal_only = terminal_only
        self.done = asyncio.Event()

    def settle(self, run_id: str) -> None:
        self.pending.discard(run_id)
        if not self.pending:
            self.done.set()


class Waiting:
    """Hears the wakes of every commit, on the event loop; `closing` ends every wait."""

    def __init__(self, closing: asyncio.Event) -> None:
        self._closing = closing
        self._runs: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._leases: defaultdict[str, set[asyncio.Queue[bytes | None]]] = defaultdict(set)
        self._followers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def heard(self, wakes: list[Wake]) -> None:
        """Take the wakes of one commit, in order."""
        for wake in wakes:
            match wake:
                case Recorded(run_id):
                    self._call(run_id)
                case Erased(run_ids):
                    for run_id in run_ids:
                        self._call(run_id)
                case Ended(run_id, terminal):
                    self._call(run_id)
                    for waiter in self._runs.get(run_id, ()):
                        if terminal or not waiter.terminal_only:
                            waiter.settle(run_id)
                case Freed(run_id, execution_seq, worker_id, revoked=True):
                    self._tell_of("cancel", worker_id, run_id, execution_seq)
                case Pausing(run_id, execution_seq, worker_id):
                    self._tell_of("pause", worker_id, run_id, execution_seq)
                case Held(worker_id, held=False):
                    self._tell(worker_id, None)

    async def until_ended(
        self,
        run_ids: tuple[str, ...],
        settled: Callable[[tuple[str, ...]], Awaitable[Iterable[str]]],
        *,
        terminal_only: bool,
        timeout: float,
    ) -> None:
        """Return when all runs have ended, after `timeout` seconds, or when the server closes.

        The wait is entered first and `settled` reads the rows afterwards, so an end between the two
        is never missed.
        """
        waiter = _Waiter(run_ids, terminal_only)
        for run_id in run_ids:
            self._runs[run_id].add(waiter)
        try:
            for run_id in await settled(run_ids):
                waiter.settle(run_id)
            if waiter.pending:
                await first(waiter.done.wait(), self._closing.wait(), timeout=timeout)
        finally:
            for run_id in run_ids:
                self._leave(run_id, waiter)

    async def until_grown(
        self, run_id: str, grown: Callable[[], Awaitable[bool]], *, gone: Awaitable[None], timeout: float
    ) -> None:
        """Return when `grown` says so, after `timeout` seconds, when `gone` is over or when the server closes.

        `grown` is asked at once and whenever the run's audit trail has grown or the run has ended. The
        wait is entered before it reads, and a call carries no data, so nothing between the two is missed.
        """
        called = asyncio.Event()
        self._followers[run_id].add(called)
        try:
            await first(self._watch(called, grown), gone, self._closing.wait(), timeout=timeout)
        finally:
            self._followers[run_id].discard(called)
            if not self._followers[run_id]:
                del self._followers[run_id]

    async def _watch(self, called: asyncio.Event, grown: Callable[[], Awaitable[bool]]) -> None:
        while not await grown():
            await called.wait()
            called.clear()

    def join(self, worker_id: str) -> asyncio.Queue[bytes | None]:
        """Return the queue of lines for one lease connection of a worker; None ends it."""
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._leases[worker_id].add(lines)
        return lines

    def leave(self, worker_id: str, lines: asyncio.Queue[bytes | None]) -> None:
        """Forget a lease connection's queue."""
        self._leases[worker_id].discard(lines)
        if not self._leases[worker_id]:
            del self._leases[worker_id]

    def _leave(self, run_id: str, waiter: _Waiter) -> None:
        waiting = self._runs.get(run_id)
        if waiting is not None:
            waiting.discard(waiter)
            if not waiting:
                del self._runs[run_id]

    def _call(self, run_id: str) -> None:
        for called in self._followers.get(run_id, ()):
            called.set()

    def _tell_of(self, kind: str, worker_id: str, run_id: str, execution_seq: int) -> None:
        line = {"type": kind, "run_id": run_id, "job_id": f"{run_id}.{execution_seq}"}
        self._tell(worker_id, msgspec.json.encode(line))

    def _tell(self, worker_id: str, line: bytes | None) -> None:
        for lines in self._leases.get(worker_id, ()):
            lines.put_nowait(line)
