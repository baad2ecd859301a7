"""What the worker asks of a server's client; `AsyncClient` has it all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from ironflow_lab.errors import (
    ApiError,
    DeadlineExceededError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from ironflow_lab.models.functions import ListFunctionHistoryResponse, RegisterFunctionRequest
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.models.runs import Run
from ironflow_lab.models.server import Capabilities
from ironflow_lab.models.workers import (
    Assignment,
    Fence,
    HeartbeatRequest,
    JobUpdate,
    LeaseLine,
    RegisterRequest,
    WorkerStatus,
)

LEASE = "workers/lease"


class Jobs(Protocol):
    """The answer to a poll; `held` says that the server held it, so that the next may follow at once."""

    @property
    def jobs(self) -> tuple[Assignment, ...]: ...  # noqa: D102 - the protocol's docstring says it

    @property
    def held(self) -> bool: ...  # noqa: D102 - the protocol's docstring says it


class WorkerCalls(Protocol):
    """The worker protocol (worker.md section 3); each call is sent once and raises `ApiError`."""

    async def register(self, worker_id: str, message: RegisterRequest, /) -> Any:
        """Announce the worker."""
        ...

    async def heartbeat(self, worker_id: str, message: HeartbeatRequest, /) -> Any:
        """Renew the leases of the listed jobs; `NotFoundError` when the worker is unknown."""
        ...

    async def poll(self, worker_id: str, /, *, available: int, wait: int = 20) -> Jobs:
        """Ask for at most `available` jobs; the server may hold the answer `wait` seconds."""
        ...

    async def ack(self, worker_id: str, job_id: str, fence: Fence, /) -> WorkerStatus:
        """Say that a job is about to start."""
        ...

    async def update(self, worker_id: str, job_id: str, message: JobUpdate, /) -> WorkerStatus:
        """Send a checkpoint or the end of a segment; `StaleExecutionError` when the fence is old."""
        ...

    def lease(self, worker_id: str, instance_id: str, /) -> AsyncIterator[LeaseLine]:
        """Hold the leases by an open connection; yields its lines until it closes."""
        ...


class FunctionCalls(Protocol):
    """Registration of functions."""

    async def register(self, request: RegisterFunctionRequest, /) -> Any:
        """Create or update a function."""
        ...

    async def history(
        self, function_id: str, /, *, limit: int = 0, from_version: int = 0
    ) -> ListFunctionHistoryResponse:
        """Return a page of a function's changes, newest first."""
        ...


class RunCalls(Protocol):
    """Reading runs."""

    async def get(self, run_id: str, /) -> Run:
        """Return one run; raises `NotFoundError`."""
        ...


class TopicCalls(Protocol):
    """Publishing to topics."""

    async def publish(
        self, topic: str, data: Any, /, *, idempotency_key: str = "", run_id: str = ""
    ) -> PublishResponse:
        """Append a message in the name of a run; with a key it is sent again when no answer comes."""
        ...


class ServerCalls(Protocol):
    """What a server says of itself."""

    async def capabilities(self) -> Capabilities:
        """Return what the server can do."""
        ...


class Remote(Protocol):
    """A connected client, used in one event loop only."""

    @property
    def server_url(self) -> str:
        """Where the server is."""
        ...

    @property
    def workers(self) -> WorkerCalls:
        """The worker protocol."""
        ...

    @property
    def functions(self) -> FunctionCalls:
        """Registration of functions."""
        ...

    @property
    def runs(self) -> RunCalls:
        """Reading runs."""
        ...

    @property
    def topics(self) -> TopicCalls:
        """Publishing to topics."""
        ...

    @property
    def server(self) -> ServerCalls:
        """What the server says of itself."""
        ...


def accepted(error: ApiError) -> bool:
    """Return whether the server took the message and only its answer could not be read."""
    return 200 <= error.status < 300


def unreachable(error: ApiError) -> bool:
    """Return whether no answer came at all."""
    return isinstance(error, UnavailableError | DeadlineExceededError) and error.status == 0


def passing(error: ApiError) -> bool:
    """Return whether the same message may succeed later: no answer, an overloaded or a broken server."""
    broken = error.status >= 500 or isinstance(error, ResourceExhaustedError)
    return broken or unreachable(error)


def fatal(error: ApiError) -> bool:
    """Return whether the key is refused, so that nothing this worker sends will be taken."""
    return isinstance(error, UnauthenticatedError | PermissionDeniedError)
