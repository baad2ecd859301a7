"""What one event does to the state document, as operations a browser can apply without knowing any rule."""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress, count
from operator import attrgetter, is_not
from typing import Any, NamedTuple

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.fold import Delta
from ironflow_lab.history.snapshot import (
    RUN_MEMBERS,
    STEP_MEMBERS,
    Kind,
    Member,
    RunState,
    StepState,
    is_absent,
    milliseconds,
)
from ironflow_lab.history.values import Deferred, Values, clipped, plain_text

_encode = msgspec.json.Encoder().encode
_PAYLOADS = (Kind.PAYLOAD, Kind.ERROR)
_NOTHING = StepState(step_id="")


class Shape(NamedTuple):
    """The members of one part of the state document: how to read them all from a state, and their names as JSON."""

    members: tuple[Member, ...]
    read: Callable[[RunState | StepState], tuple[Any, ...]]
    names: tuple[bytes, ...]


def _shape(members: tuple[Member, ...]) -> Shape:
    read = attrgetter(*(member.field for member in members))
    return Shape(members, read, tuple(_encode(member.name) for member in members))


_RUN, _STEP = _shape(RUN_MEMBERS), _shape(STEP_MEMBERS)


class Patcher:
    """Writes operations: `[path, value]` sets, `[path]` removes, `[path, {...}, 1]` sets what is fetched on demand."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def operations(self, delta: Delta, t0: int) -> bytes:
        """Return the JSON text of the operations from `delta.before` to `delta.after`; times count from `t0` (ns)."""
        before, after = delta.before, delta.after
        if before is after:
            return b"[]"
        if isinstance(after, RunState):
            found = self._differences(_RUN, before or RunState(), after, b'"run"', t0)
        else:
            place = b'"steps",%d' % (delta.lane - 1)
            found = [] if before is not None else [b"[[%b],{}]" % place]
            found += self._differences(_STEP, before or _NOTHING, after, place, t0)
        return b"[%b]" % b",".join(found)

    def _differences(
        self, shape: Shape, before: RunState | StepState, after: RunState | StepState, place: bytes, t0: int
    ) -> list[bytes]:
        former, latter = shape.read(before), shape.read(after)
        found = []
        # What an event leaves as it was is the same object afterwards, so the rest need not be looked at.
        for index in compress(count(), map(is_not, former, latter)):
            _, _, kind, absent = shape.members[index]
            value = latter[index]
            if kind in _PAYLOADS or former[index] != value:
                shown = b"" if is_absent(value, absent) else b"," + self._shown(value, kind, t0)
                found.append(b"[[%b,%b]%b]" % (place, shape.names[index], shown))
        return found

    def _shown(self, value: Any, kind: Kind, t0: int) -> bytes:
        if kind is Kind.TIME:
            return _encode(milliseconds(value, t0))
        if kind is Kind.TEXT:
            return _encode(plain_text(value))
        if kind is Kind.PLAIN:
            return _encode(value)
        # Redacted first: a key that is cut may no longer look secret.
        shown = self._values.shown(clipped(redaction.redact(value)) if kind is Kind.ERROR else value)
        return _encode(shown) + b",1" if isinstance(shown, Deferred) else shown
