"""What a run's time was spent on: a span for every stretch of executing, queueing, waiting and sleeping."""

from __future__ import annotations

import math
import struct
from typing import Any

from ironflow_lab.history.fold import Delta
from ironflow_lab.history.payloads import text
from ironflow_lab.history.rules import PAUSE_REQUESTED
from ironflow_lab.history.snapshot import RunState, StepState, milliseconds
from ironflow_lab.history.words import has_failed, is_retry
from ironflow_lab.models.runs import TERMINAL

EXECUTING, QUEUED, RETRYING, SLEEPING, WAITING, PAUSED, FAILED = range(7)
_RECORD = struct.Struct("<ddIHH")
_LARGEST = 0xFFFF
_STEPS = {"sleep": SLEEPING, "wait_for_event": WAITING, "invoke_function": WAITING}
_RUNS = {
    "waiting_for_capacity": QUEUED,
    "pending": QUEUED,
    "running": EXECUTING,
    "paused": PAUSED,
}
_SETTLED = frozenset({"completed", "failed", "timed_out", "dead"})


class Spans:
    """The spans of one run, in the order in which they began; one that goes on has no end yet (NaN).

    Lane 0 tells what the run as a whole was doing, a step's lane what the step was, the wait for its
    next attempt included. Times are milliseconds since the history's first event.
    """

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._open: dict[int, tuple[int, float, int, int]] = {}
        self._last_failed = 0
        self._changed = 0

    def __len__(self) -> int:
        return len(self._packed)

    def add(self, delta: Delta, at: int, t0: int) -> None:
        """Take in one event that happened at `at` (ns)."""
        if delta.before is delta.after:
            return
        if isinstance(delta.after, RunState):
            former = delta.before.status if isinstance(delta.before, RunState) else ""
            # A pause that is only asked for ends nothing.
            if former != delta.after.status or text(delta.payload, "reason") != PAUSE_REQUESTED:
                self._run(former, delta.after, delta.payload, milliseconds(at, t0))
        else:
            self._step(delta.lane, delta.after, milliseconds(at, t0), t0)

    def packed(self, first: int = 0) -> bytes:
        """Return the spans from index `first` on, each f64 start, f64 end, u32 lane, u16 kind, u16 attempt."""
        return b"".join(self._packed[first:])

    def changed(self) -> int:
        """Return the index of the first span added or changed since the last call."""
        first, self._changed = self._changed, len(self._packed)
        return first

    def _run(self, former: str, run: RunState, payload: dict[str, Any], at: float) -> None:
        self._close(0, at, failed=has_failed(payload))
        if former == "running" and run.status != "running":
            # Nobody executes any more, whatever a step that was not reported was doing.
            for lane in [lane for lane, (_, _, kind, _) in self._open.items() if kind == EXECUTING]:
                self._close(lane, at)
        if former == "waiting" or run.status in TERMINAL:
            for lane in [lane for lane, (_, _, kind, _) in self._open.items() if kind == RETRYING]:
                self._close(lane, at)
        if run.status in TERMINAL:
            for lane in list(self._open):
                self._close(lane, at)
            return
        kind = self._waiting(payload) if run.status == "waiting" else _RUNS.get(run.status, WAITING)
        self._begin(0, at, kind, run.attempt)
        if kind == RETRYING and self._last_failed and self._last_failed not in self._open:
            self._begin(self._last_failed, at, RETRYING, run.attempt)

    def _step(self, lane: int, step: StepState, at: float, t0: int) -> None:
        start = milliseconds(step.started_at, t0) if step.started_at else at
        if step.status == "pending":
            # Its result was thrown away, and it has not begun again.
            self._close(lane, at)
            self._last_failed = 0 if self._last_failed == lane else self._last_failed
            return
        if step.status in _SETTLED:
            end = milliseconds(step.completed_at, t0) if step.completed_at else at
            self._close(lane, end, failed=step.status != "completed")
            self._last_failed = 0 if step.status == "completed" else lane
            return
        self._close(lane, start)
        self._begin(lane, start, _STEPS.get(step.type, EXECUTING), step.attempt)

    def _waiting(self, payload: dict[str, Any]) -> int:
        if is_retry(payload):
            return RETRYING
        kinds = {kind for _, _, kind, _ in self._open.values()}
        if text(payload, "reason") == "sleep" or SLEEPING in kinds:
            return SLEEPING
        return WAITING if WAITING in kinds or not self._last_failed else RETRYING

    def _begin(self, lane: int, start: float, kind: int, attempt: int) -> None:
        attempt = min(max(attempt, 0), _LARGEST)
        self._open[lane] = (len(self._packed), start, kind, attempt)
        self._packed.append(_RECORD.pack(start, math.nan, lane, kind, attempt))

    def _close(self, lane: int, end: float, *, failed: bool = False) -> None:
        if lane not in self._open:
            return
        index, start, kind, attempt = self._open.pop(lane)
        kind = FAILED if failed and kind == EXECUTING else kind
        # A worker's clock may differ from the server's: no span ends before it starts.
        self._packed[index] = _RECORD.pack(start, max(start, end), lane, kind, attempt)
        self._changed = min(self._changed, index)
