"""A run's history packed for a browser: columns of events and spans, and operations on the state document."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from ironflow_lab.history.agreement import check
from ironflow_lab.history.fold import History
from ironflow_lab.history.kinds import Kinds
from ironflow_lab.history.patches import Patcher
from ironflow_lab.history.snapshot import milliseconds
from ironflow_lab.history.spans import Spans
from ironflow_lab.history.values import Values, plain_text
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.runs import TERMINAL, Run, Step

_EVENT = struct.Struct("<dIHH")


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What a view gets of a history at once: everything, or what came since the chunk before.

    `events` (16 bytes each) and `spans` (24 bytes each) are little-endian records, `patches` is JSON
    text with one array of operations an event. `first` events came before; of the spans known so far
    the view keeps `spans_first` and appends these. The tables are complete every time.
    """

    meta: dict[str, Any]
    types: list[dict[str, str]]
    lanes: list[dict[str, str]]
    first: int
    spans_first: int
    events: bytes
    spans: bytes
    patches: str

    def __repr__(self) -> str:
        return f"Chunk({self.meta['run_id']!r}, first={self.first}, events={len(self.events) // _EVENT.size})"

    def content(self) -> dict[str, Any]:
        """Return the parts that are JSON; the two binary ones travel beside them (`buffers`)."""
        names = ("meta", "types", "lanes", "first", "spans_first", "patches")
        return {name: getattr(self, name) for name in names}

    @property
    def buffers(self) -> list[bytes]:
        """The binary parts: events, then spans."""
        return [self.events, self.spans]

    def jsonable(self) -> dict[str, Any]:
        """Return all parts as JSON, the two binary ones in base64."""
        return self.content() | {"events": b64encode(self.events).decode(), "spans": b64encode(self.spans).decode()}


class Packer:
    """Packs a run's audit events, all at once or as they arrive; what comes out is redacted and capped.

    `recording` is the run's profile ('' = not recorded), `source` where the events are from (`fold`,
    `server`, `incomplete`, `rows`), `note` a text for a person, `server` the server's address.
    """

    def __init__(
        self,
        run_id: str,
        function_id: str = "",
        *,
        recording: str = "all",
        source: str = "fold",
        note: str = "",
        server: str = "",
        events: Sequence[AuditEvent] = (),
        values: Values | None = None,
    ) -> None:
        self.history = History(run_id, function_id=function_id)
        self.recording = recording
        self.source = source
        self.note = note
        self.server = server
        self._values = values or Values()
        self._patcher = Patcher(self._values)
        self._spans = Spans()
        self._events = bytearray()
        self._patches: list[bytes] = []
        self._kinds = Kinds()
        self.extend(events)

    def __repr__(self) -> str:
        return f"Packer({self.history!r})"

    def extend(self, events: Sequence[AuditEvent]) -> None:
        """Take events in without packing a chunk; raises `InvalidArgumentError` for one of another run."""
        known = self.history.length
        self.history.extend(events)
        t0 = self.history.t0
        for position in range(known + 1, self.history.length + 1):
            self._take(position, t0)

    def add(self, events: Sequence[AuditEvent]) -> Chunk:
        """Take events in and return the chunk that brings a view up to date which has all before them."""
        first = self.history.length
        self._spans.changed()
        self.extend(events)
        return self._chunk(first, self._spans.changed())

    def chunk(self) -> Chunk:
        """Return everything so far as one chunk."""
        return self._chunk(0, 0)

    def value_text(self, key: str) -> str:
        """Return a value that was left behind as JSON text, redacted, every digit kept; raises KeyError."""
        return self._values.json(key)

    def check(self, steps: Sequence[Step], run: Run | None = None) -> str:
        """Compare with the run's rows; return `fold` or `incomplete`, which the chunks then say too."""
        verdict = check(self.history, steps, run)
        self.source, self.note = verdict.source, verdict.note
        return verdict.source

    def _take(self, position: int, t0: int) -> None:
        event, delta = self.history.events[position - 1], self.history.deltas[position - 1]
        at = self.history.time_of(position)
        self._spans.add(delta, at, t0)
        self._patches.append(self._patcher.operations(delta, t0))
        index, flags = self._kinds.of(event.event_type, delta.payload)
        self._events += _EVENT.pack(milliseconds(at, t0), delta.lane, index, flags)

    def _chunk(self, first: int, spans_first: int) -> Chunk:
        return Chunk(
            meta=self._meta(),
            types=self._kinds.table(),
            lanes=self._lanes(),
            first=first,
            spans_first=spans_first,
            events=bytes(self._events[first * _EVENT.size :]),
            spans=self._spans.packed(spans_first),
            patches=(b"[" + b",".join(self._patches[first:]) + b"]").decode(),
        )

    def _meta(self) -> dict[str, Any]:
        history = self.history
        return {
            "v": 1,
            "run_id": plain_text(history.run_id),
            "function_id": plain_text(history.function_id),
            "t0": str(int(history.t0)),
            "recording": self.recording,
            "source": self.source,
            "note": plain_text(self.note),
            "ended": history.run_at(history.length).status in TERMINAL,
            "server": plain_text(self.server),
        }

    def _lanes(self) -> list[dict[str, str]]:
        steps = [
            {"name": plain_text(step.name), "type": plain_text(step.type), "step_id": plain_text(step.step_id)}
            for step in self.history.steps
        ]
        return [{"name": "run", "type": "run", "step_id": ""}, *steps]
