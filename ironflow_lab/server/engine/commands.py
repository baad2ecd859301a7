"""Everything that can change the server's state, one record each."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.workers import Fence, JobUpdate


class RegisterFunction(msgspec.Struct, frozen=True, kw_only=True):
    """Create or update a function."""

    env: str
    request: RegisterFunctionRequest


class EmitEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Record an event and start every function that matches it."""

    env: str
    name: str
    data: bytes
    metadata: bytes | None = None
    version: int = 1
    idempotency_key: str = ""
    source: str = "api"


class CancelRun(msgspec.Struct, frozen=True, kw_only=True):
    """End a run that has not ended."""

    env: str
    run_id: str
    reason: str = ""


class RegisterWorker(msgspec.Struct, frozen=True, kw_only=True):
    """Announce a worker; another instance under the same id takes over its runs."""

    env: str
    worker_id: str
    function_ids: tuple[str, ...]
    max_concurrent: int = 10
    hostname: str = ""
    labels: bytes = b"{}"
    version: bytes = b"{}"
    instance_id: str = ""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Renew the leases of the listed jobs, where this worker holds them."""

    env: str
    worker_id: str
    job_ids: tuple[str, ...] = ()


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's lease connection opened: its leases last as long as the connection does."""

    env: str
    worker_id: str
    instance_id: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's lease connection closed: its runs go back to the queue at once."""

    env: str
    worker_id: str
    instance_id: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Hand up to `available` runs to a worker, each under a lease of `lease_ns` nanoseconds."""

    env: str
    worker_id: str
    available: int
    lease_ns: int


class Unclaim(msgspec.Struct, frozen=True, kw_only=True):
    """Take back jobs whose assignment was never delivered."""

    env: str
    worker_id: str
    fences: tuple[Fence, ...]


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Ask whether a job may start; changes nothing."""

    env: str
    worker_id: str
    fence: Fence


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint or the end of a segment."""

    env: str
    worker_id: str
    job_id: str
    update: JobUpdate


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """The server starts: segments may still be in workers' hands."""


class WakeDue(msgspec.Struct, frozen=True, kw_only=True):
    """Move runs whose sleep or retry delay is over to the queue, at most `limit` of them."""

    limit: int = 200


class Lapse(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's lease ran out at `at`, or its function's execution time did (`timed_out`)."""

    run_id: str
    execution_seq: int
    at: int
    timed_out: bool = False


Command = (
    RegisterFunction
    | EmitEvent
    | CancelRun
    | RegisterWorker
    | Heartbeat
    | Hold
    | Release
    | Claim
    | Unclaim
    | Ack
    | Report
    | Restart
    | WakeDue
    | Lapse
)


def run_of_job(job_id: str) -> tuple[str, int]:
    """Return the run id and the execution sequence of a job id `{run_id}.{execution_seq}`.

    A malformed id gives a sequence of -1, which no segment has.
    """
    run_id, _, sequence = job_id.rpartition(".")
    is_number = sequence.isascii() and sequence.isdigit() and len(sequence) < 19
    return (run_id, int(sequence)) if is_number else (job_id, -1)
