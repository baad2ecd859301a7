"""A run's audit events folded once, so that its state after any of them is at hand at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain, count
from typing import Any

import msgspec

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.history.payloads import payload_of, text
from ironflow_lab.history.rules import RUN_TYPES, STEP_TYPES, new_step, run_after, step_after
from ironflow_lab.history.snapshot import RunState, Snapshot, StepState, no_such_step
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import NOT_SET

_EVERY = 128
_SETTLED = STEP_TYPES - {"step.started", "saga.compensation.started", "step.discarded"}
_MOMENTS = ("start", "end")


class Delta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one event changed: lane 0 is the run, lane i the i-th step; `before` is None for a new step.

    Both are one and the same object when the event changed nothing. `payload` is the event's, {} for none.
    """

    lane: int
    before: RunState | StepState | None
    after: RunState | StepState
    payload: dict[str, Any]


class History:
    """A run's states: position n is the state after its first n events, 0 the one before any.

    Events stand in the order of their arrival, also when a server's clock went back; an instant then
    means all events up to the last one that had happened by it. Payloads are shared, not copied:
    treat them as read-only.
    """

    def __init__(self, run_id: str, events: Sequence[AuditEvent] = (), *, function_id: str = "") -> None:
        self.run_id = run_id
        self.function_id = function_id
        self.events: list[AuditEvent] = []
        self.deltas: list[Delta] = []
        self._times: list[Instant] = []
        self._lanes: dict[str, int] = {}
        self._labels: dict[str, int] = {}
        self._touched: list[list[int]] = [[]]
        self._runs: list[RunState] = [RunState()]
        self._steps: list[StepState] = []
        self._checkpoints: list[tuple[StepState, ...]] = [()]
        self.extend(events)

    def __repr__(self) -> str:
        status = self._runs[-1].status
        return f"History({self.run_id!r}, length={self.length}, steps={len(self._steps)}, status={status!r})"

    @property
    def length(self) -> int:
        """The number of events: the last position."""
        return len(self.events)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all steps, in the order in which they first appeared."""
        return tuple(self._labels)

    @property
    def steps(self) -> tuple[StepState, ...]:
        """The steps as they are after the last event."""
        return tuple(self._steps)

    @property
    def t0(self) -> Instant:
        """The instant of the first event; zero when there is none."""
        return self._times[0] if self._times else NOT_SET

    def extend(self, events: Sequence[AuditEvent]) -> None:
        """Append events; raises `InvalidArgumentError` for one of another run."""
        for event in events:
            if event.run_id and event.run_id != self.run_id:
                raise InvalidArgumentError(f"an event of run {event.run_id} cannot go on the history of {self.run_id}")
            self._append(event)

    def at_position(self, position: int) -> Snapshot:
        """Return the state after the first `position` events; raises `InvalidArgumentError` beyond the ends."""
        if not 0 <= position <= self.length:
            raise InvalidArgumentError(f"run {self.run_id} has positions 0 to {self.length}, and {position} is none")
        start = position // _EVERY
        steps = list(self._checkpoints[start])
        for delta in self.deltas[start * _EVERY : position]:
            if isinstance(delta.after, StepState):
                _place(steps, delta.lane - 1, delta.after)
        return Snapshot(
            run_id=self.run_id,
            function_id=self.function_id,
            position=position,
            at=self.time_of(position),
            t0=self.t0,
            run=self._runs[position],
            steps=tuple(steps),
        )

    def at_time(self, at: int) -> Snapshot:
        """Return the state at an instant (ns): after all events that had happened by it."""
        return self.at_position(self.position_at(at))

    def position_at(self, at: int) -> int:
        """Return how many events had happened by an instant (ns); 0 before the run was created."""
        return bisect_right(self._times, at)

    def time_of(self, position: int) -> Instant:
        """Return the instant (ns) of the event that led to a position, never before an earlier one's."""
        return self._times[position - 1] if position else NOT_SET

    def position_of(self, step: str, *, moment: str = "end") -> int:
        """Return the position at which a step, given by label, name or id, ended last, or started first.

        A step that is executed again, or was discarded, ended last before that; the end of one that has
        never ended is its last event so far. Raises `NotFoundError` for a
        step the history does not have and `InvalidArgumentError` for a moment but `start` and `end`.
        """
        if moment not in _MOMENTS:
            raise InvalidArgumentError(f"a step's moment is 'start' or 'end', not {moment!r}")
        touched = self._touched[self.lane_of(step)]
        if moment == "start":
            return touched[0]
        ended = (at for at in reversed(touched) if self.events[at - 1].event_type in _SETTLED)
        return next(ended, touched[-1])

    def lane_of(self, step: str) -> int:
        """Return the lane (1 is the first step) of a step given by id, label or name; raises `NotFoundError`."""
        lane = self._lanes.get(step) or self._labels.get(step)
        if lane is None:
            lane = next((index for index, state in enumerate(self._steps, 1) if state.name == step), None)
        if lane is None:
            raise no_such_step(step, list(self._labels), f"in run {self.run_id}")
        return lane

    def run_at(self, position: int) -> RunState:
        """Return the run's own state at a position."""
        return self._runs[position]

    def touched(self, lane: int, after: int, until: int) -> list[int]:
        """Return the positions p, after < p <= until, whose events concern the lane."""
        positions = self._touched[lane]
        return positions[bisect_right(positions, after) : bisect_right(positions, until)]

    def _append(self, event: AuditEvent) -> None:
        at = event.created_at
        self._times.append(max(at, self._times[-1]) if self._times else at)
        self.events.append(event)
        if not self.function_id:
            self.function_id = event.function_id
        delta = self._fold(event, payload_of(event))
        self.deltas.append(delta)
        self._runs.append(delta.after if isinstance(delta.after, RunState) else self._runs[-1])
        self._touched[delta.lane].append(self.length)
        if self.length % _EVERY == 0:
            self._checkpoints.append(tuple(self._steps))

    def _fold(self, event: AuditEvent, payload: dict[str, Any]) -> Delta:
        kind = event.event_type
        if kind in RUN_TYPES:
            run = self._runs[-1]
            return Delta(lane=0, before=run, after=run_after(run, kind, payload, event.created_at), payload=payload)
        step_id = event.step_id or text(payload, "stepId")
        lane = self._lanes.get(step_id, 0)
        if kind not in STEP_TYPES or not step_id:
            same = self._steps[lane - 1] if lane else self._runs[-1]
            return Delta(lane=lane, before=same, after=same, payload=payload)
        return self._fold_step(step_id, lane, kind, payload, event.created_at)

    def _fold_step(self, step_id: str, lane: int, kind: str, payload: dict[str, Any], at: Instant) -> Delta:
        known = self._steps[lane - 1] if lane else None
        after = step_after(known or new_step(step_id, len(self._steps)), kind, payload, at)
        if known is None:
            lane = len(self._steps) + 1
            after = msgspec.structs.replace(after, label=self._label(step_id, after.name))
            self._lanes[step_id] = self._labels[after.label] = lane
            self._touched.append([])
        _place(self._steps, lane - 1, after)
        return Delta(lane=lane, before=known, after=after, payload=payload)

    def _label(self, step_id: str, name: str) -> str:
        index = step_id.rpartition(":")[2]
        first = f"{name}:{index}" if index.isdecimal() and index != "0" else name
        wanted = chain((first, step_id), (f"{step_id}#{number}" for number in count(2)))
        return next(label for label in wanted if label and label not in self._labels)


def _place(steps: list[StepState], index: int, state: StepState) -> None:
    if index == len(steps):
        steps.append(state)
    else:
        steps[index] = state
