"""How an execution with answers ended, as one value at rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from ironflow_lab.debug.calls import Asked, Call, Divergence, Status
from ironflow_lab.debug.gate import Gate, Violation
from ironflow_lab.debug.player import Player
from ironflow_lab.errors import GateError
from ironflow_lab.history import equality, redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.runs import TERMINAL, Error, Run, RunStatus, Step, StepStatus, StepType
from ironflow_lab.runtime import faults
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.outcome import Completed, Failed
from ironflow_lab.wire import stepid

_TYPES = {
    "sleep": "sleep",
    "wait_for_event": "wait_for_event",
    "invoke": "invoke_function",
    "invoke_async": "invoke_function",
    "compensate": "compensate",
}
_SHOWN = 60
_UNASKED = frozenset({"pending", "running", "sleeping", "waiting", "retrying"})


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution with answers came to.

    `status` is `completed`, `failed`, `waiting` (where the run waits), `stopped` (by the answers, the gate
    or the caller) or `diverged`; `reason` says the last three in words. `output` is `UNSET` unless it
    completed. `asked` are the step calls in order, each with what it got; `unused` the labels of recorded
    steps the code never asked for; `violations` what the gate refused. `divergence` is where the code left
    the recording: also that of code which ended without a recorded step.
    """

    recording: Recording
    function: DurableFunction
    status: str
    reason: str = ""
    output: Any = UNSET
    error: Error | None = None
    asked: tuple[Asked, ...] = ()
    divergence: Divergence | None = None
    notes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()

    @property
    def run_id(self) -> str:
        """The id of the recorded run."""
        return self.recording.run.id

    @property
    def calls(self) -> tuple[Call, ...]:
        """The step calls in order."""
        return tuple(one.call for one in self.asked)

    @property
    def same(self) -> bool | None:
        """Whether it ended as the run did; None where that cannot be said: it was stopped, or the run goes on."""
        run, ended = self.recording.run, _end(self.recording.run)
        if self.divergence is not None:
            return False
        if self.status not in ("completed", "failed") or not ended:
            return None
        if self.status != ended:
            return False
        if self.status == "completed":
            return equality.agree(self.output, run.output)
        was = run.error or Error()
        return self.error is not None and (self.error.message, self.error.code) == (was.message, was.code or "ERROR")

    def as_recording(self) -> Recording:
        """Return the execution as a run at rest that was made up here: `source` is `local`, without events."""
        run, steps = self.recording.run, {step.step_id: step for step in self.recording.steps}
        status = self.status if self.status in ("completed", "failed", "waiting") else "paused"
        made = msgspec.structs.replace(
            run,
            status=RunStatus(status),
            output=None if self.output is UNSET else self.output,
            error=self.error,
            ended_at=self._ended_at() if status in TERMINAL else type(run.ended_at)(0),
        )
        return Recording(
            run=made,
            steps=tuple(
                _row(run, one, steps.get(one.call.step_id)) for one in sorted(self.asked, key=lambda one: one.place)
            ),
            source="local",
            note=self.reason,
        )

    def _ended_at(self) -> Any:
        last = max((one.ended_at for one in self.asked), default=self.recording.run.started_at)
        return self.recording.run.ended_at or last

    def __repr__(self) -> str:
        return f"Replayed({self.run_id!r}, status={self.status!r}, calls={len(self.asked)})"


def conclude(
    player: Player, segment: Any, recording: Recording, function: DurableFunction, gate: Gate | None
) -> Replayed:
    """Return how an execution has ended."""
    status, reason, output, error, divergence = _ended(player, segment)
    unused = _unused(recording, player.asked)
    if divergence is None and unused and status in ("completed", "failed") and _end(recording.run):
        divergence = _missing(unused, status)
    violations = () if gate is None else gate.violations
    notes = [*player.world.notes, *getattr(player.answers, "notes", ()), *(() if gate is None else gate.said())]
    return Replayed(
        recording=recording,
        function=function,
        status=status,
        reason=reason,
        output=output,
        error=error,
        asked=tuple(sorted(player.asked, key=lambda one: one.call.order)),
        divergence=divergence,
        notes=tuple(dict.fromkeys((*notes, *player.later))),
        unused=unused,
        violations=violations,
    )


def _ended(player: Player, segment: Any) -> tuple[str, str, Any, Error | None, Divergence | None]:
    stop, outcome = player.stop, segment.outcome
    if stop is not None:
        return stop.status, stop.reason, UNSET, stop.error, stop.divergence
    if isinstance(outcome, Completed):
        return "completed", "", msgspec.json.decode(outcome.output), None, None
    if isinstance(outcome, Failed):
        fault = outcome.fault
        stack = faults.stack(segment.error) if segment.error is not None else ""
        error = Error(message=fault.message, code=fault.code, retryable=fault.retryable, stack=stack)
        if _refused(segment.error):
            return "stopped", fault.message, UNSET, error, None
        return "failed", "", UNSET, error, None
    return "stopped", "the handler did not end", UNSET, None, None


def _end(run: Run) -> str:
    """Return how a recorded run's code ended, "" where that is not known or has not come about."""
    if run.status in ("completed", "failed"):
        return str(run.status)
    return "failed" if run.status == "paused" and run.pause_reason == "retries_exhausted" else ""


def _refused(error: BaseException | None) -> bool:
    """Return whether it is the gate that has ended the handler."""
    seen = 0
    while error is not None and seen < 8:
        if isinstance(error, GateError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _unused(recording: Recording, asked: Iterable[Asked]) -> tuple[str, ...]:
    """Return the labels of the recorded steps that were not asked for.

    Of branches beside one that failed it depends on time which had begun: they count for nothing.
    """
    known = {one.call.step_id for one in asked}
    broken = {_group(one.call.label) for one in asked if one.error is not None}
    labels = (
        stepid.label(recording.run.id, step.step_id)
        for step in sorted(recording.steps, key=lambda step: step.sequence)
        if step.step_id not in known and step.status not in _UNASKED
    )
    return tuple(label for label in labels if not _group(label) or _group(label) not in broken)


def _group(label: str) -> str:
    """Return the parallel or map that a step's label belongs to, "" for a step of the handler itself."""
    parts = label.split(":")
    return parts[0] if len(parts) > 2 and parts[1].isdecimal() else ""


def _missing(unused: tuple[str, ...], status: Status | str) -> Divergence:
    first = redaction.clip(unused[0], limit=_SHOWN)
    more = f" and {len(unused) - 1:,} more" if len(unused) > 1 else ""
    return Divergence(
        kind="missing",
        label=unused[0],
        expected=unused[0],
        message=f"the code {status} without asking for step {first!r}{more}, which the run had recorded",
    )


def _row(run: Run, one: Asked, was: Step | None) -> Step:
    """Return a call as the step of a run."""
    call, at = one.call, one.place
    failed = one.error is not None
    status = "failed" if failed else "completed" if one.source != "stopped" else "pending"
    if was is not None and one.source == "recorded":
        return msgspec.structs.replace(was, sequence=at)
    return Step(
        id=f"local-{at + 1}",
        run_id=run.id,
        step_id=call.step_id,
        step_type=StepType(_TYPES.get(call.kind, "invoke")),
        sequence=at,
        status=StepStatus(status),
        input=call.wanted.get("input") if isinstance(call.wanted, dict) else None,
        output=None if one.output is UNSET else one.output,
        error=one.error,
        attempt=1,
        started_at=one.started_at,
        ended_at=one.ended_at,
        wait_event_name=call.wanted.get("event", "") if isinstance(call.wanted, dict) else "",
    )
