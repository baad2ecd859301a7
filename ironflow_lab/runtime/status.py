"""What a worker shows of itself."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.instant import Instant


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One job in hand; `ending` says that only its report is outstanding, `pausing` that it will stop at a step.

    `doing` are the names of the steps whose bodies execute now.
    """

    job_id: str
    run_id: str
    function_id: str
    attempt: int
    started_at: Instant
    steps: int = 0
    doing: tuple[str, ...] = ()
    ending: bool = False
    pausing: bool = False


class FunctionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One function this worker serves: `code_hash` is its newest version, `place` where that was defined."""

    id: str
    triggers: tuple[str, ...] = ()
    code_hash: str = ""
    place: str = ""


class Counts(msgspec.Struct, kw_only=True):
    """What has happened since the worker was made.

    `completed`, `failed` and `yielded` count reported segments, `paused` those that stopped at a
    step because their run was paused, `dropped` those the worker gave up without a report (stale,
    cancelled, or the server did not take it).
    """

    jobs: int = 0
    steps: int = 0
    completed: int = 0
    failed: int = 0
    yielded: int = 0
    paused: int = 0
    dropped: int = 0
    checkpoints: int = 0


class WorkerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A worker at one moment.

    `state` is stopped, starting, running, reconnecting, restarting, draining or failed; `lease` says what
    holds the jobs: "connection" or "heartbeats"; `heartbeat` is in seconds; `restarts` counts how often the
    worker began anew after an error of its own. `blocked_for` is how many seconds the loop of the
    `async def` handlers has not turned (0.0 while it does): a handler blocks it.
    """

    state: str
    worker_id: str
    instance_id: str
    server_url: str
    concurrency: int
    labels: dict[str, str] = {}
    heartbeat: float = 0.0
    restarts: int = 0
    lease: str = "heartbeats"
    functions: tuple[FunctionStatus, ...] = ()
    jobs: tuple[JobStatus, ...] = ()
    counts: Counts = msgspec.field(default_factory=Counts)
    last_error: str = ""
    blocked_for: float = 0.0
