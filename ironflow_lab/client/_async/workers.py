"""The polling worker's calls (worker.md section 3). None is sent again here: the worker decides."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from ironflow_lab.client import arguments
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.arguments import written
from ironflow_lab.models.workers import (
    Fence,
    HeartbeatRequest,
    JobUpdate,
    LeaseLine,
    Poll,
    RegisterRequest,
    WorkerStatus,
)
from ironflow_lab.wire import rest

log = logging.getLogger("ironflow_lab.client")


class AsyncWorkers:
    """`client.workers`.

    Every call raises `UnauthenticatedError` and `PermissionDeniedError` when the worker must stop,
    and `UnavailableError` or `DeadlineExceededError` when the server cannot be reached.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def register(self, worker_id: str, message: RegisterRequest) -> None:
        """Announce a worker, or replace its registration."""
        request = written(rest.register, _worker(worker_id), message)
        await self._connection.once(request, rest.accepted)

    async def heartbeat(self, worker_id: str, message: HeartbeatRequest) -> None:
        """Renew the leases of the listed jobs; `NotFoundError` means: register again."""
        request = written(rest.heartbeat, _worker(worker_id), message)
        await self._connection.once(request, rest.accepted)

    async def poll(self, worker_id: str, *, available: int, wait: int = 20) -> Poll:
        """Return at most `available` jobs, after at most `wait` seconds (25 at most).

        `NotFoundError` means: register again.
        """
        request = written(
            rest.poll,
            _worker(worker_id),
            available=arguments.count("available", available, lowest=1),
            wait=arguments.count("wait", wait),
        )
        poll = await self._connection.once(request, rest.read_poll)
        if poll.unreadable:
            log.warning(
                "dropped %d jobs that this version cannot read; their leases run out and they are handed out again",
                poll.unreadable,
            )
        return poll

    async def ack(self, worker_id: str, job_id: str, fence: Fence) -> WorkerStatus:
        """Say that a job is about to start; `StaleExecutionError` means: drop it.

        Return what the server says: `pausing` means that its run is to stop before its next step.
        """
        request = written(rest.ack, _worker(worker_id), _job(job_id), fence)
        return await self._connection.once(request, rest.read_status)

    async def update(self, worker_id: str, job_id: str, message: JobUpdate) -> WorkerStatus:
        """Send a checkpoint or the final report; `StaleExecutionError` means: drop the job.

        Return what the server says: `pausing` as for an ack, `paused` that the job ends here.
        """
        request = written(rest.update, _worker(worker_id), _job(job_id), message)
        return await self._connection.once(request, rest.read_status)

    # async only: begin
    async def lease(self, worker_id: str, instance_id: str) -> AsyncIterator[LeaseLine]:
        """Hold this worker's leases while the iteration is open; yield what the server says.

        The first line is `held`; later ones name cancelled runs. It ends when the server ends it and
        raises `ApiError` when the connection breaks. Only where `capabilities().lab` has
        "workers/lease". Close it with `contextlib.aclosing` or by cancelling the task.
        """
        instance = arguments.identifier("the instance id", instance_id)
        async for line in self._connection.lines(rest.lease(_worker(worker_id), instance)):
            yield rest.read_line(line)

    # async only: end


def _worker(worker_id: str) -> str:
    return arguments.identifier("the worker id", worker_id)


def _job(job_id: str) -> str:
    return arguments.identifier("the job id", job_id)
