"""A run as it was: its own state, every step's, and the state document that views show."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import msgspec

from ironflow_lab.errors import NotFoundError
from ironflow_lab.history import redaction
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import NOT_SET

_MS = 1_000_000
_SHOWN = 120


class Kind(enum.Enum):
    """What a member of the state document holds: `ERROR` is a payload too, `TIME` milliseconds since the start."""

    PLAIN, TEXT, TIME, PAYLOAD, ERROR = range(5)


class Member(NamedTuple):
    """A member of the state document, the field it is read from, and the value that is left out."""

    name: str
    field: str
    kind: Kind
    absent: Any


RUN_MEMBERS = (
    Member("status", "status", Kind.TEXT, ""),
    Member("attempt", "attempt", Kind.PLAIN, 0),
    Member("input", "input", Kind.PAYLOAD, msgspec.UNSET),
    Member("output", "output", Kind.PAYLOAD, msgspec.UNSET),
    Member("error", "error", Kind.ERROR, msgspec.UNSET),
    Member("pause_requested", "pause_requested", Kind.PLAIN, False),
    Member("pause_reason", "pause_reason", Kind.TEXT, ""),
    Member("parent_run_id", "parent_run_id", Kind.TEXT, ""),
    Member("parent_step_id", "parent_step_id", Kind.TEXT, ""),
)
STEP_MEMBERS = (
    Member("name", "name", Kind.TEXT, ""),
    Member("type", "type", Kind.TEXT, ""),
    Member("status", "status", Kind.TEXT, ""),
    Member("attempt", "attempt", Kind.PLAIN, 0),
    Member("compensation_for", "compensation_for", Kind.TEXT, ""),
    Member("input", "input", Kind.PAYLOAD, msgspec.UNSET),
    Member("output", "output", Kind.PAYLOAD, msgspec.UNSET),
    Member("error", "error", Kind.ERROR, msgspec.UNSET),
    Member("original_output", "original_output", Kind.PAYLOAD, msgspec.UNSET),
    Member("patched", "patched", Kind.PLAIN, False),
    Member("injected", "injected", Kind.PLAIN, False),
    Member("by", "by", Kind.TEXT, ""),
    Member("reason", "reason", Kind.TEXT, ""),
    Member("started_ms", "started_at", Kind.TIME, NOT_SET),
    Member("ended_ms", "completed_at", Kind.TIME, NOT_SET),
    Member("duration_ms", "duration_ms", Kind.PLAIN, None),
    Member("until_ms", "until", Kind.TIME, NOT_SET),
    Member("event", "event", Kind.TEXT, ""),
    Member("match", "match", Kind.PAYLOAD, msgspec.UNSET),
    Member("child_run_id", "child_run_id", Kind.TEXT, ""),
    Member("function_id", "function_id", Kind.TEXT, ""),
)


class RunState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The run's own part of a snapshot; payloads are `UNSET` where there is none, None is JSON's null.

    `worker_id` is who executes the run at this moment, empty when nobody does. `pause_requested` says that
    it is to be held at its next boundary, `pause_reason` why it is paused. A child names its parent.
    """

    status: str = ""
    attempt: int = 0
    input: Any = msgspec.UNSET
    output: Any = msgspec.UNSET
    error: Any = msgspec.UNSET
    created_at: Instant = NOT_SET
    worker_id: str = ""
    pause_requested: bool = False
    pause_reason: str = ""
    parent_run_id: str = ""
    parent_step_id: str = ""

    def __repr__(self) -> str:
        return f"RunState(status={self.status!r}, attempt={self.attempt})"

    def document(self, *, t0: int = 0) -> dict[str, Any]:
        """Return the run's part of the state document, which has no times; members without a value are left out."""
        return _document(self, RUN_MEMBERS, t0)


class StepState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of a snapshot; `label` is its name, unique in the run (`charge`, then `charge:1`).

    `by` and `reason` tell of a patch or an injection. `duration_ms` is None until the step ended. What it
    waits for, or waited for: the time `until`, an `event` that has the values of `match` at its paths, or
    the run `child_run_id` of the function `function_id`, started with `input`.
    """

    step_id: str
    label: str = ""
    name: str = ""
    type: str = ""
    sequence: int = 0
    status: str = ""
    attempt: int = 0
    output: Any = msgspec.UNSET
    error: Any = msgspec.UNSET
    original_output: Any = msgspec.UNSET
    patched: bool = False
    injected: bool = False
    by: str = ""
    reason: str = ""
    started_at: Instant = NOT_SET
    completed_at: Instant = NOT_SET
    duration_ms: int | None = None
    until: Instant = NOT_SET
    event: str = ""
    match: Any = msgspec.UNSET
    child_run_id: str = ""
    function_id: str = ""
    input: Any = msgspec.UNSET
    compensation_for: str = ""

    def __repr__(self) -> str:
        shown = "" if self.output is msgspec.UNSET else f", output={redaction.show(self.output, limit=_SHOWN)}"
        return f"StepState({redaction.clip(self.label, limit=_SHOWN)!r}, status={self.status!r}{shown})"

    def document(self, *, t0: int = 0) -> dict[str, Any]:
        """Return the step's part of the state document; times are milliseconds since `t0` (ns)."""
        return _document(self, STEP_MEMBERS, t0)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run after its first `position` audit events; `at` is the instant of the last of them.

    Steps stand in the order in which they first appeared; those that had not started are absent.
    `t0` is the instant of the history's first event.
    """

    run_id: str
    function_id: str = ""
    position: int = 0
    at: Instant = NOT_SET
    t0: Instant = NOT_SET
    run: RunState = RunState()
    steps: tuple[StepState, ...] = ()

    def __repr__(self) -> str:
        return f"Snapshot({self.run_id!r}, position={self.position}, status={self.status!r}, steps={len(self.steps)})"

    @property
    def status(self) -> str:
        """The run's status, empty before it was created."""
        return self.run.status

    @property
    def attempt(self) -> int:
        """The run's attempt, counted from 1; 0 before it was created."""
        return self.run.attempt

    @property
    def input(self) -> Any:
        """What the run was started with; `UNSET` before it was created."""
        return self.run.input

    @property
    def output(self) -> Any:
        """What the run returned; `UNSET` until it completed."""
        return self.run.output

    @property
    def error(self) -> Any:
        """The run's last error; `UNSET` when there is none."""
        return self.run.error

    @property
    def created_at(self) -> Instant:
        """When the run was created."""
        return self.run.created_at

    def step(self, step: str) -> StepState:
        """Return the step with this id, label or name; raises `NotFoundError` naming those that had started."""
        for name in ("step_id", "label", "name"):
            for state in self.steps:
                if getattr(state, name) == step:
                    return state
        raise no_such_step(step, [state.label for state in self.steps], f"at position {self.position}")

    def document(self) -> dict[str, Any]:
        """Return the state document `{"run", "steps"}`, unredacted; members without a value are left out."""
        return {"run": self.run.document(), "steps": [step.document(t0=self.t0) for step in self.steps]}


def milliseconds(at: int, t0: int) -> float:
    """Return the time from `t0` to `at`, both in nanoseconds, in milliseconds."""
    return (at - t0) / _MS


def no_such_step(step: str, labels: list[str], where: str) -> NotFoundError:
    """Return the error for a step that is not there; it names at most ten that are."""
    names = ", ".join(redaction.clip(label, limit=_SHOWN) for label in labels[:10]) or "none"
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return NotFoundError(f"no step {redaction.clip(step, limit=_SHOWN)!r} {where}; the steps are: {names}{more}")


def is_absent(value: Any, absent: Any) -> bool:
    """Return whether a member with this value is left out of the document."""
    # A payload may be anything, an empty text and null included: only `UNSET` itself is none.
    return value is absent or (absent is not msgspec.UNSET and bool(value == absent))


def _document(state: RunState | StepState, members: tuple[Member, ...], t0: int) -> dict[str, Any]:
    found = {}
    for name, field, kind, absent in members:
        value = getattr(state, field)
        if not is_absent(value, absent):
            found[name] = milliseconds(value, t0) if kind is Kind.TIME else value
    return found
