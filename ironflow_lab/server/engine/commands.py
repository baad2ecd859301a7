"""Everything that can change the server's state, one record each."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.secrets import CreateSecretRequest, PatchSecretRequest, UpdateSecretRequest
from ironflow_lab.models.workers import Fence, JobUpdate


class RegisterFunction(msgspec.Struct, frozen=True, kw_only=True):
    """Create or update a function."""

    env: str
    request: RegisterFunctionRequest


class SetFunctionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Make a function active, paused or archived."""

    env: str
    function_id: str
    status: str


class DeleteFunction(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a function; its history and its runs stay."""

    env: str
    function_id: str


class RollbackFunction(msgspec.Struct, frozen=True, kw_only=True):
    """Make a former definition current again, as a new change."""

    env: str
    function_id: str
    entity_version: int
    reason: str = ""


class EmitEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Record an event, start every function that matches it, and wake every run that waits for it.

    `run_id` is the run it was emitted in, where it said so.
    """

    env: str
    name: str
    data: bytes
    metadata: bytes | None = None
    version: int = 1
    idempotency_key: str = ""
    source: str = "api"
    emitted_by: str = ""
    run_id: str = ""


class InvokeFunction(msgspec.Struct, frozen=True, kw_only=True):
    """Start one run of a function without matching any trigger; `data` is recorded as an event."""

    env: str
    function_id: str
    data: bytes
    metadata: bytes | None = None
    idempotency_key: str = ""


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """Append a message to a topic; `run_id` is the run it was published in, where it said so."""

    env: str
    topic: str
    data: bytes
    idempotency_key: str = ""
    run_id: str = ""


class CancelRun(msgspec.Struct, frozen=True, kw_only=True):
    """End a run that has not ended."""

    env: str
    run_id: str
    reason: str = ""


class PauseRun(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a run at its next step boundary, at once where no worker executes it."""

    env: str
    run_id: str


class InjectOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the output of a finished step of a paused run; `output` is JSON text."""

    env: str
    run_id: str
    step_id: str
    output: bytes
    reason: str = ""


class PatchStep(msgspec.Struct, frozen=True, kw_only=True):
    """Correct the output of a finished step, whatever its run does; `output` is JSON text."""

    env: str
    step_id: str
    output: bytes
    reason: str = ""


class ResumeRun(msgspec.Struct, frozen=True, kw_only=True):
    """Let a paused run go on, or a failed one again; `from_step` is an id, a row id or a name."""

    env: str
    run_id: str
    from_step: str = ""


class DeleteRun(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a run that has ended, with its steps and its audit events."""

    env: str
    run_id: str


class DeleteRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Remove runs that have ended; `until` bounds their creation (ns, excluded), 0 and empty mean any."""

    env: str
    function_id: str = ""
    status: str = ""
    until: int = 0


class RedactEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Replace an event's payload by a marker."""

    env: str
    event_id: str


class RedactStep(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the payloads of a step of an ended run by a marker."""

    env: str
    step_id: str


class RedactRun(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the payloads of an ended run and of its steps by a marker."""

    env: str
    run_id: str


class CreateSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a new secret."""

    env: str
    request: CreateSecretRequest


class UpdateSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Give a secret a new value."""

    env: str
    name: str
    request: UpdateSecretRequest


class PatchSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Rename a secret or describe it anew."""

    env: str
    name: str
    request: PatchSecretRequest


class DeleteSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Forget a secret."""

    env: str
    name: str


class Explain(msgspec.Struct, frozen=True, kw_only=True):
    """Ask why a run is not executing; changes nothing."""

    env: str
    run_id: str


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
    """End the waits whose time has come, at most `limit` of them."""

    # Few enough that nobody else waits long for the writer.
    limit: int = 50


class Lapse(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's lease ran out at `at`, or its function's execution time did (`timed_out`)."""

    run_id: str
    execution_seq: int
    at: int
    timed_out: bool = False


Command = (
    RegisterFunction
    | SetFunctionStatus
    | DeleteFunction
    | RollbackFunction
    | EmitEvent
    | InvokeFunction
    | Publish
    | CancelRun
    | PauseRun
    | InjectOutput
    | PatchStep
    | ResumeRun
    | DeleteRun
    | DeleteRuns
    | RedactEvent
    | RedactStep
    | RedactRun
    | CreateSecret
    | UpdateSecret
    | PatchSecret
    | DeleteSecret
    | Explain
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
