"""A run as a trace in Chrome's event format (JSON), which Perfetto's viewer and others open."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.actors import actor_of
from ironflow_lab.history.fold import History
from ironflow_lab.history.payloads import payload_of, text
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.rows import events_of
from ironflow_lab.history.snapshot import StepState
from ironflow_lab.history.spans import EXECUTING, FAILED, PAUSED, QUEUED, RETRYING, SLEEPING, WAITING, Spans
from ironflow_lab.history.words import sentence
from ironflow_lab.models.runs import Run
from ironflow_lab.wire.stepid import step_name

_SPAN = struct.Struct("<ddIHH")
_NAMES = {
    QUEUED: "queued",
    RETRYING: "waiting for the next attempt",
    SLEEPING: "sleeping",
    WAITING: "waiting",
    PAUSED: "paused",
    EXECUTING: "executing",
    FAILED: "failed",
}
# What somebody or something did to the run from outside its code.
_MARKED = frozenset(
    {"step.patched", "step.injected", "step.discarded", "run.paused", "run.resumed", "run.redacted", "step.redacted"}
)
_RUN = 1
_LONGEST = 200
_MILLISECOND = 1_000_000


def trace(recording: Recording, children: Sequence[Run] = (), *, now: int) -> str:
    """Return the trace as JSON text; `children` are the runs its steps started, `now` (ns) ends what goes on.

    Times are microseconds since the run was created; the instant of that is in `otherData`.
    """
    recorded = recording.recorded
    history = recording.history() if recorded else History(recording.run.id, events_of(recording.run, recording.steps))
    drawn = _Drawing(history, recording.run, now)
    events = [*drawn.names(), *drawn.spans(), *drawn.marks(), *drawn.children(children)]
    document = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "run_id": recording.run.id,
            "function_id": recording.run.function_id,
            "status": str(recording.run.status),
            "created": str(history.t0),
            "source": "audit events" if recorded else "rows: the run was not recorded, only last attempts are known",
            **({"note": recording.note} if recording.note else {}),
        },
    }
    try:
        return msgspec.json.encode(document).decode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which only the standard library writes.
        return json.dumps(document)


class _Drawing:
    def __init__(self, history: History, run: Run, now: int) -> None:
        self._history, self._run = history, run
        self._now = max(0.0, (now - history.t0) / _MILLISECOND)
        self._steps = history.steps
        # The first span of each lane: where arrows leave from.
        self._first: dict[int, float] = {}

    def names(self) -> Iterator[dict[str, Any]]:
        """Yield what viewers call the tracks: the run's first, its steps' in the order of their appearance."""
        yield from _process(_RUN, f"{self._run.function_id or 'run'} {self._run.id}")
        yield from _thread(_RUN, _track(0), "run")
        for lane, step in enumerate(self._steps, 1):
            yield from _thread(_RUN, _track(lane), step.label)

    def spans(self) -> Iterator[dict[str, Any]]:
        """Yield what each track did, no two things at once."""
        last: dict[int, dict[str, Any]] = {}
        for lane, start, end, goes_on, kind, attempt in self._packed():
            name = self._title(lane, kind, attempt)
            args = {"attempt": attempt, **({"goes_on": True} if goes_on else {})}
            one = _slice(_track(lane), name, _NAMES.get(kind, "other"), start, end, args)
            if lane in last:
                # Clocks differ, and a track of this format shows things that overlap as if one called the other.
                _put_off(one, last[lane])
            last[lane] = one
            self._first.setdefault(lane, one["ts"])
            yield one
        # The text is made when all of them are there.
        for lane, one in last.items():
            one["args"].update(_outcome(self._steps[lane - 1]) if lane else self._ended())

    def marks(self) -> Iterator[dict[str, Any]]:
        """Yield what was done to the run, as instants."""
        lanes = {step.step_id: lane for lane, step in enumerate(self._steps, 1)}
        for position, event in enumerate(self._history.events, 1):
            payload = payload_of(event)
            asked = text(payload, "reason") == "pause_requested"
            if event.event_type not in _MARKED and not asked:
                continue
            by = actor_of(event, self._history.run_at(position - 1))
            told = {"by": by, "reason": text(payload, "reason"), "position": position}
            yield {
                "ph": "i",
                "s": "t",
                "cat": "operator",
                "name": _cut(sentence(event.event_type, payload, step_name(event.step_id))),
                "ts": self._microseconds(self._history.time_of(position)),
                "pid": _RUN,
                "tid": _track(lanes.get(event.step_id, 0)),
                "args": {
                    name: _cut(value) if isinstance(value, str) else value for name, value in told.items() if value
                },
            }

    def children(self, children: Iterable[Run]) -> Iterator[dict[str, Any]]:
        """Yield each child as a process of its own, and the arrow from the step that started it."""
        known = {run.id: run for run in children}
        number = 0
        for lane, step in enumerate(self._steps, 1):
            run = known.pop(step.child_run_id, None)
            if run is None:
                continue
            number += 1
            process, track = _RUN + number, _track(len(self._steps) + number)
            leaves = self._first.get(lane, 0.0)
            # The child cannot have begun before it was asked for, whatever the clocks say.
            begins = max(leaves, self._microseconds(run.started_at or run.created_at))
            ends = self._microseconds(run.ended_at) if run.ended_at else self._now * 1_000
            yield from _process(process, f"child {run.function_id or 'run'} {run.id}")
            yield from _thread(process, track, "run")
            args = {"run_id": run.id, "status": str(run.status), "attempt": run.attempt}
            if run.error is not None:
                args["error"] = _cut(run.error.message)
            yield _slice(track, run.function_id, "child", begins / 1_000, ends / 1_000, args, process=process)
            arrow = {"cat": "child", "name": "starts", "id": number}
            yield {"ph": "s", **arrow, "ts": leaves, "pid": _RUN, "tid": _track(lane)}
            yield {"ph": "f", "bp": "e", **arrow, "ts": begins, "pid": process, "tid": track}

    def _packed(self) -> Iterator[tuple[int, float, float, bool, int, int]]:
        spans = Spans()
        for position, delta in enumerate(self._history.deltas, 1):
            spans.add(delta, self._history.time_of(position), self._history.t0)
        for start, end, lane, kind, attempt in _SPAN.iter_unpack(spans.packed()):
            goes_on = math.isnan(end)
            yield lane, max(0.0, start), self._now if goes_on else end, goes_on, kind, attempt

    def _title(self, lane: int, kind: int, attempt: int) -> str:
        if not lane:
            return _NAMES.get(kind, "other")
        label = _cut(self._steps[lane - 1].label)
        if kind in (EXECUTING, FAILED):
            again = f", attempt {attempt}" if attempt > 1 else ""
            return f"{label}{again}{' (failed)' if kind == FAILED else ''}"
        return f"{label}: {_NAMES.get(kind, 'other')}"

    def _ended(self) -> dict[str, Any]:
        run = self._run
        told: dict[str, Any] = {"status": str(run.status)}
        if run.error is not None:
            told["error"] = _cut(run.error.message)
        if run.output is not None:
            told["output"] = _shown(run.output)
        return told

    def _microseconds(self, at: int) -> float:
        return max(0, at - self._history.t0) / 1_000


def _track(lane: int) -> int:
    """Return the track's id: viewers keep 0 for themselves, and want one of its own for every track."""
    return lane + 1


def _slice(
    track: int, name: str, kind: str, start: float, end: float, args: dict[str, Any], *, process: int = _RUN
) -> dict[str, Any]:
    """Return a stretch of time on a track; start and end are in milliseconds."""
    # Whole nanoseconds, of which the format takes a thousandth.
    ts = round(start * 1_000, 3)
    place = {"ts": ts, "dur": max(0.0, round(end * 1_000 - ts, 3)), "pid": process, "tid": track}
    return {"ph": "X", "name": _cut(name) or "?", "cat": kind, **place, "args": args}


def _put_off(one: dict[str, Any], before: dict[str, Any]) -> None:
    """Let a stretch of time begin when the one before has ended, if not later."""
    free, ends = round(before["ts"] + before["dur"], 3), one["ts"] + one["dur"]
    if one["ts"] < free:
        one["ts"], one["dur"] = free, max(0.0, round(ends - free, 3))


def _process(process: int, name: str) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": process, "args": {"name": _cut(name)}}
    yield {"ph": "M", "name": "process_sort_index", "pid": process, "args": {"sort_index": process}}


def _thread(process: int, track: int, name: str) -> Iterator[dict[str, Any]]:
    at = {"pid": process, "tid": track}
    yield {"ph": "M", "name": "thread_name", **at, "args": {"name": _cut(name)}}
    yield {"ph": "M", "name": "thread_sort_index", **at, "args": {"sort_index": track}}


def _outcome(step: StepState) -> dict[str, Any]:
    told: dict[str, Any] = {"step_id": _cut(step.step_id), "status": step.status}
    for name, value in (("output", step.output), ("error", step.error)):
        if value is not msgspec.UNSET and value is not None:
            told[name] = _shown(value)
    waits = {"event": step.event, "child": step.child_run_id, "until": str(step.until) if step.until else ""}
    told |= {name: _cut(value) for name, value in waits.items() if value}
    for name in ("patched", "injected"):
        if getattr(step, name):
            told[name] = True
    return told


def _shown(value: Any) -> str:
    try:
        return redaction.show(value, limit=_LONGEST)
    except UnicodeEncodeError:
        return ascii(redaction.redact(value))[:_LONGEST]


def _cut(text: str) -> str:
    return redaction.clip(text, limit=_LONGEST)
