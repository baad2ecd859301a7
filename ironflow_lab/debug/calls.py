"""What a handler asks of its steps when it is executed again, and what it is answered."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import NOT_SET, Error

Kind = Literal["run", "sleep", "wait_for_event", "invoke", "invoke_async", "publish", "compensate"]
Status = Literal["stopped", "waiting", "diverged", "failed"]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a step: `order` counts from 1, `file` and `line` are the user's, "" and 0 where unknown.

    `wanted` is what the code asked for, as JSON and with names as the server knows them; `UNSET` for a
    body and a compensation:
    sleep `{"until", "seconds"}`, wait_for_event `{"event", "timeout", "match", "match_value", "payload"}`,
    invoke `{"function_id", "input", "timeout_ms"}`, invoke_async `{"function_id", "input"}`,
    publish `{"topic", "data"}`.
    """

    step_id: str
    label: str
    name: str
    kind: Kind
    wanted: Any = msgspec.UNSET
    file: str = ""
    line: int = 0
    order: int = 0

    def __repr__(self) -> str:
        return f"Call({self.label!r}, kind={self.kind!r}, line={self.line}, order={self.order})"


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where the code does something else than was recorded.

    `kind` is `unrecorded` (a step the recording does not have), `changed` (the step is there, and was
    something else), or `missing` (the code ended without a recorded step). `label` is the step in
    question, `expected` the step that the recording has next ("" for none).
    """

    kind: Literal["unrecorded", "changed", "missing"]
    label: str
    expected: str = ""
    message: str = ""


class Give(msgspec.Struct, frozen=True, kw_only=True):
    """The step returns this: a body's output, an event as recorded, the output of a child."""

    output: Any = None
    source: str = "recorded"
    started_at: Instant = NOT_SET
    ended_at: Instant = NOT_SET

    def __repr__(self) -> str:
        return f"Give({redaction.show(self.output)}, source={self.source!r})"


class Fail(msgspec.Struct, frozen=True, kw_only=True):
    """The step raises this error in the handler; a wait for an event ends the run with it."""

    error: Error
    source: str = "recorded"
    started_at: Instant = NOT_SET
    ended_at: Instant = NOT_SET


class Execute(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the step is executed for real, outside the gate."""


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """The handler ends here, for a reason in words; `error` is that of a run which failed without its code."""

    reason: str
    status: Status = "stopped"
    divergence: Divergence | None = None
    error: Error | None = None
    source: str = "recorded"


Answer = Give | Fail | Execute | Stop


class Answers(Protocol):
    """Who decides what each step call gets. Pure: it is asked behind the gate, in the handler's thread."""

    def answer(self, call: Call) -> Answer:
        """Return what this call gets."""
        ...


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A call and what it got; `source` is `recorded`, `given`, `stub`, `ran` or `stopped`.

    `output` is what the code was handed (`UNSET` for nothing), `error` what it saw raised. `place` counts from 0
    in the order of the answers, which is another than that of the calls where branches go on side by side.
    """

    call: Call
    answer: Answer
    source: str
    output: Any = msgspec.UNSET
    error: Error | None = None
    started_at: Instant = NOT_SET
    ended_at: Instant = NOT_SET
    place: int = 0

    def __repr__(self) -> str:
        return f"Asked({self.call.label!r}, source={self.source!r})"
