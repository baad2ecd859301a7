"""Why a run is not executing, as data (`GET /lab/v1/runs/{id}/why`, the embedded server only)."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import NOT_SET

REASONS = (
    "executing",
    "pausing",
    "function_paused",
    "function_missing",
    "no_worker",
    "workers_busy",
    "lane_full",
    "handing_out",
    "sleep",
    "retry",
    "event",
    "child",
    "paused",
    "retries_exhausted",
    "ended",
)


class BlockingReason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run waits for; `reason` is one of `REASONS`, `message` says it in a sentence.

    `due_at` is when it goes on by itself: the end of a sleep or a retry's delay, or the timeout of a
    wait for an event or a child. `position` is the place in its function's queue, or in its lane's, from
    1, and `ahead` who holds the lane. `lease_expires_at` is not set while the worker's connection holds
    the lease (`lease_held`). `error` is what the last attempt failed with.
    """

    run_id: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    function_id: str = ""
    since: Instant = NOT_SET
    due_at: Instant = NOT_SET
    position: int = 0
    ahead: tuple[str, ...] = ()
    worker_ids: tuple[str, ...] = ()
    step_id: str = ""
    event: str = ""
    match: str = ""
    value: str = ""
    child_run_id: str = ""
    child_status: str = ""
    attempt: int = 0
    max_attempts: int = 0
    error: str = ""
    lease_held: bool = False
    lease_expires_at: Instant = NOT_SET
