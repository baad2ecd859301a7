"""The polling worker's REST routes (worker.md section 3) and the lease connection."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import ApiError, InvalidArgumentError, NotFoundError, StaleExecutionError
from ironflow_lab.models.workers import Fence, HeartbeatRequest, JobBatch, JobUpdate, RegisterRequest
from ironflow_lab.server.engine.commands import (
    Ack,
    Claim,
    Heartbeat,
    Hold,
    RegisterWorker,
    Release,
    Report,
    Unclaim,
    run_of_job,
)
from ironflow_lab.server.engine.ports import Desk
from ironflow_lab.server.engine.reports import STALE
from ironflow_lab.server.protocol.exchange import Exchange, first
from ironflow_lab.server.protocol.messages import read
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.wire import codec
from ironflow_lab.wire.rest import LONGEST_POLL, WORKERS

log = logging.getLogger("ironflow_lab.server")

_AGAIN_SECONDS = 1.0

Route = Callable[[Exchange, str, str], Awaitable[None]]


class Workers:
    """What workers call."""

    def __init__(self, desk: Desk, waiting: Waiting, *, lease_seconds: float, closing: asyncio.Event) -> None:
        self._desk, self._waiting, self._closing = desk, waiting, closing
        self._lease_ns = int(lease_seconds * SECOND)
        self._holds: Counter[tuple[str, str]] = Counter()
        self._routes: dict[tuple[str, str], Route] = {
            ("POST", "register"): self._register,
            ("PUT", "register"): self._register,
            ("POST", "heartbeat"): self._heartbeat,
            ("PUT", "heartbeat"): self._heartbeat,
            ("GET", "jobs"): self._poll,
            ("PUT", "job"): self._report,
            ("PUT", "ack"): self._ack,
        }

    async def serve(self, exchange: Exchange) -> None:
        """Answer one call; raises `ApiError` for a refusal."""
        worker_id, _, rest = exchange.path.removeprefix(WORKERS).partition("/")
        job_id = ""
        if rest.startswith("jobs/"):
            job_id, _, tail = rest.removeprefix("jobs/").partition("/")
            rest = tail or "job"
        route = self._routes.get((exchange.method, rest))
        if route is None or not worker_id:
            raise NotFoundError(f"no route {exchange.method} {exchange.path}")
        await route(exchange, unquote(worker_id), unquote(job_id))

    async def _register(self, exchange: Exchange, worker_id: str, job_id: str) -> None:
        message: RegisterRequest = await _message(exchange, RegisterRequest)
        command = RegisterWorker(
            env=exchange.env,
            worker_id=worker_id,
            function_ids=message.function_ids,
            max_concurrent=message.max_concurrent_jobs or 10,
            hostname=message.hostname,
            labels=codec.encode(message.labels),
            version=codec.encode(message.version),
            instance_id=message.instance_id,
        )
        await _answer(exchange, await self._desk.submit(command))

    async def _heartbeat(self, exchange: Exchange, worker_id: str, job_id: str) -> None:
        message: HeartbeatRequest = await _message(exchange, HeartbeatRequest)
        jobs = tuple(job.job_id for job in message.jobs)
        command = Heartbeat(env=exchange.env, worker_id=worker_id, job_ids=jobs)
        await _answer(exchange, await self._desk.submit(command))

    async def _poll(self, exchange: Exchange, worker_id: str, job_id: str) -> None:
        available, wait = exchange.number("available", 1), exchange.number("wait", 0)
        if available < 1:
            raise InvalidArgumentError("available must be 1 or more: a worker without a free slot does not poll")
        held = min(wait, LONGEST_POLL)
        claim = Claim(env=exchange.env, worker_id=worker_id, available=available, lease_ns=self._lease_ns)
        await exchange.body()
        batch = await self._claimed(exchange, claim, held)
        if batch.jobs:
            await _answer(exchange, batch)
            return
        headers = ((b"ironflow-poll-wait", str(held).encode()),) if held else ()
        await exchange.answer(204, b"", headers)

    async def _claimed(self, exchange: Exchange, claim: Claim, held: int) -> JobBatch:
        parked = self._desk.park(claim)
        gone = asyncio.ensure_future(exchange.gone())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            batch: JobBatch = await parked.jobs(float(held), unless=(gone, closing))
            if batch.jobs:
                # A connection lost in this very turn of the loop shows in the next.
                await asyncio.sleep(0)
                if gone.done():
                    await self._take_back(claim, batch)
                    return JobBatch()
            return batch
        finally:
            gone.cancel()
            closing.cancel()

    async def _take_back(self, claim: Claim, batch: JobBatch) -> None:
        fences = tuple(
            Fence(run_id=job.run_id, execution_seq=job.execution_seq, lease_token=job.lease_token) for job in batch.jobs
        )
        await self._desk.submit(Unclaim(env=claim.env, worker_id=claim.worker_id, fences=fences))

    async def _ack(self, exchange: Exchange, worker_id: str, job_id: str) -> None:
        fence: Fence = await _message(exchange, Fence)
        fence = msgspec.structs.replace(fence, run_id=run_of_job(job_id)[0])
        await _answer(exchange, await self._desk.submit(Ack(env=exchange.env, worker_id=worker_id, fence=fence)))

    async def _report(self, exchange: Exchange, worker_id: str, job_id: str) -> None:
        update: JobUpdate = await _message(exchange, JobUpdate)
        command = Report(env=exchange.env, worker_id=worker_id, job_id=job_id, update=update)
        answer = await self._desk.submit(command)
        if answer.status == STALE:
            words = "the steps are stored and the run is paused; drop the job"
            raise StaleExecutionError(words, code="STALE_EXECUTION")
        await _answer(exchange, answer)

    async def lease(self, exchange: Exchange, worker_id: str) -> None:
        """Hold the worker's leases while this answer is open; queue its runs again once it is not."""
        instance, env = exchange.query.get("instance", ""), exchange.env
        await exchange.body()
        # Joined before the hold: a take-over that follows at once is heard.
        lines = self._waiting.join(worker_id)
        try:
            await self._desk.submit(Hold(env=env, worker_id=worker_id, instance_id=instance))
            self._holds[worker_id, instance] += 1
            try:
                await exchange.begin_lines()
                await exchange.line(b'{"type":"held"}')
                await first(self._send_lines(exchange, lines), exchange.gone(), self._closing.wait())
                await exchange.end_lines()
            finally:
                self._holds[worker_id, instance] -= 1
                await self._let_go(Release(env=env, worker_id=worker_id, instance_id=instance))
        finally:
            self._waiting.leave(worker_id, lines)

    async def _let_go(self, release: Release) -> None:
        """Release unless another connection of the same instance holds; never give up, or its runs would hang."""
        holder = (release.worker_id, release.instance_id)
        # A server that is leaving says nothing of its workers: they will find its successor.
        while not self._holds[holder] and not self._closing.is_set():
            try:
                await self._desk.submit(release)
                break
            except ApiError as error:
                log.error("the runs of worker %s could not be queued again yet: %s", release.worker_id, error)
                await first(self._closing.wait(), timeout=_AGAIN_SECONDS)
        self._holds += Counter()

    async def _send_lines(self, exchange: Exchange, lines: asyncio.Queue[bytes | None]) -> None:
        while (line := await lines.get()) is not None:
            await exchange.line(line)


async def _message(exchange: Exchange, kind: type[Any]) -> Any:
    exchange.require_json()
    body = await exchange.body()
    return read(body, kind)


async def _answer(exchange: Exchange, record: Any) -> None:
    await exchange.answer(200, codec.encode(record))
