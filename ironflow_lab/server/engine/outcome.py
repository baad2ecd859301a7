"""What a decision returns: the answer, the rows to write, and whom to wake after the commit."""

from __future__ import annotations

from typing import Any

import msgspec


class Write(msgspec.Struct, frozen=True):
    """One named statement of the store and its parameters."""

    query: str
    parameters: dict[str, Any]


class Runnable(msgspec.Struct, frozen=True):
    """Some run became ready to be handed out."""


class Ended(msgspec.Struct, frozen=True):
    """A run reached a terminal status, or stopped for an operator (`terminal` is False)."""

    run_id: str
    terminal: bool = True


class Leased(msgspec.Struct, frozen=True):
    """A segment was handed to a worker; `time_left_ns` is its remaining execution time, 0 for none."""

    run_id: str
    execution_seq: int
    worker_id: str
    time_left_ns: int


class Renewed(msgspec.Struct, frozen=True):
    """A segment's lease starts anew, if this worker still holds it."""

    run_id: str
    execution_seq: int
    worker_id: str


class Beat(msgspec.Struct, frozen=True):
    """A worker said which segments it has in hand, as run id and execution sequence, and so which not."""

    worker_id: str
    segments: frozenset[tuple[str, int]]


class Freed(msgspec.Struct, frozen=True):
    """A segment ended or was taken away; `revoked` means its worker should be told to stop."""

    run_id: str
    execution_seq: int
    worker_id: str
    revoked: bool = False


class Pausing(msgspec.Struct, frozen=True):
    """A segment's worker should stop at its next step boundary."""

    run_id: str
    execution_seq: int
    worker_id: str


class Held(msgspec.Struct, frozen=True):
    """A worker's leases are now held by its connection (`held`) or no longer are."""

    worker_id: str
    held: bool


class Recorded(msgspec.Struct, frozen=True):
    """A run's audit trail has grown."""

    run_id: str


class Erased(msgspec.Struct, frozen=True):
    """Runs were deleted, or their payloads redacted: what is remembered of them is out of date."""

    run_ids: tuple[str, ...]


Wake = Runnable | Ended | Leased | Renewed | Beat | Freed | Pausing | Held | Recorded | Erased


class Outcome(msgspec.Struct, frozen=True):
    """A decision, whole."""

    answer: Any = None
    writes: tuple[Write, ...] = ()
    wakes: tuple[Wake, ...] = ()
