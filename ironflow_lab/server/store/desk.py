"""The event loop's side of the writer: commands in, answers and wakes out (the law is engine.ports.Desk)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ironflow_lab.clock import Clock, Ids
from ironflow_lab.models.workers import JobBatch
from ironflow_lab.server.engine.commands import Claim, Command
from ironflow_lab.server.engine.outcome import Wake
from ironflow_lab.server.engine.ports import Wakes
from ironflow_lab.server.store.writer import Ticket, Withdrawal, Writer


class ParkedClaim:
    """A claim on its way to, or waiting at, the writer."""

    def __init__(self, writer: Writer, future: asyncio.Future[JobBatch]) -> None:
        self._writer, self._future = writer, future

    async def jobs(self, timeout: float, *, unless: Iterable[asyncio.Future[Any]]) -> JobBatch:
        """Return the batch, or an empty one after `timeout` seconds or once a future of `unless` is done."""
        try:
            ends = {self._future, *unless}
            await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not self._future.done():
                self._writer.put(Withdrawal(self._future))
        # Jobs may have been claimed up to the moment the writer sees the withdrawal.
        return await self._future


class Desk:
    """Hands commands to the writer and resolves their futures on the loop it was opened on."""

    def __init__(self, folder: Path, *, clock: Clock, ids: Ids, lease_ns: int, wakes: Wakes) -> None:
        self._loop = asyncio.get_running_loop()
        self._wakes = wakes
        self._writer = Writer(folder, clock=clock, ids=ids, lease_ns=lease_ns, deliver=self._deliver)
        self._writer.start()

    async def submit(self, command: Command) -> Any:
        """Return the command's answer once it is on disk; raises `ApiError` when it is refused."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._writer.put(Ticket(command, future))
        return await future

    def park(self, command: Claim) -> ParkedClaim:
        """Claim now, or as soon as a run becomes ready."""
        future: asyncio.Future[JobBatch] = self._loop.create_future()
        self._writer.put(Ticket(command, future, parks=True))
        return ParkedClaim(self._writer, future)

    async def close(self) -> None:
        """Finish what was handed in and close the database."""
        await asyncio.to_thread(self._writer.close)

    def _deliver(self, answers: list[tuple[Any, Any]], wakes: list[Wake]) -> None:
        self._loop.call_soon_threadsafe(self._resolve, answers, wakes)

    def _resolve(self, answers: list[tuple[Any, Any]], wakes: list[Wake]) -> None:
        for future, answer in answers:
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        if wakes:
            self._wakes.heard(wakes)
