"""The one way a decision changes a run and its steps: rows, and audit events where the run is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND, Ids
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.server.engine import trail
from ironflow_lab.server.engine.functions import DEFAULT_TIMEOUT_MS, lane_of, policy_of
from ironflow_lab.server.engine.outcome import Ended, Outcome, Runnable, Wake, Write
from ironflow_lab.server.engine.records import EventState, FunctionState, RunState, StepState, Timer

HELD = "injection"


class Changes:
    """What one command does to one run, in order.

    `at` is the instant of the command, or just after the run's last change when the clock has not
    moved on. Audit events of a recorded run are a nanosecond apart from there, and its row follows
    the last of them; an unrecorded run changes at `at` as a whole. `steps` are the rows of a recorded
    run's steps that the command may change, by step id. What the command does to other runs goes in by
    `also`.
    """

    def __init__(self, run: RunState, now: int, ids: Ids, *, steps: Mapping[str, StepState] | None = None) -> None:
        self.run = run
        self.at = max(now, run.updated_at + 1)
        self._ids = ids
        self._steps = dict(steps or {})
        self._latest = self._following = self.at
        self._writes: list[Write] = []
        self._wakes: list[Wake] = []

    @property
    def writes(self) -> tuple[Write, ...]:
        """The writes so far."""
        return tuple(self._writes)

    @property
    def wakes(self) -> tuple[Wake, ...]:
        """Whom the changes so far wake."""
        return tuple(self._wakes)

    def outcome(self, answer: Any = None, *wakes: Wake) -> Outcome:
        """Return the decision: these wakes, then those of the changes."""
        return Outcome(answer, self.writes, (*wakes, *self._wakes))

    def add(self, *writes: Write) -> None:
        """Take in writes that start another run."""
        self._writes += writes

    def also(self, other: Changes) -> None:
        """Take in what the command does to another run."""
        self._writes += other._writes
        self._wakes += other._wakes

    def wake(self, *wakes: Wake) -> None:
        """Wake somebody once this is on disk."""
        self._wakes += wakes

    def executed(self, until: int | None = None) -> int:
        """Return the run's execution time in ns when its segment ends now, or ended at `until`."""
        if self.run.status != "running":
            return self.run.executed_ns
        end = self.at if until is None else min(self.at, until)
        return self.run.executed_ns + max(end - self.run.claimed_at, 0)

    def move(
        self,
        status: str,
        reason: str,
        *,
        executed_ns: int | None = None,
        attempt: int | None = None,
        output: bytes | None = None,
        error: bytes | None = None,
        due_at: int | None = None,
        cause: str = "",
    ) -> None:
        """Move the run to `status` and take it out of its worker's hands; its wait ends, unless it is held.

        Whoever may take its place in a lane, or the run itself, is told.
        """
        run, tried = self.run, self.run.attempt if attempt is None else attempt
        if run.recording:
            kind, payload = trail.moved(
                run_id=run.id,
                old=run.status,
                new=status,
                reason=reason,
                attempt=tried,
                output=output,
                error=error,
                due_at=due_at,
                cause=cause,
            )
            self._note(kind, payload)
        held = status == "paused" and reason == HELD
        if run.status in ("waiting", "paused") and not held:
            self._writes.append(Write("clear_timer", {"run_id": run.id}))
        holding = held and run.pause_holds and (run.status == "running" or run.holding)
        self._moved(status, reason, tried, executed_ns, holding)
        self._writes[-1].parameters.update(output=output, error=error, cause=cause, resume_from=None)
        if status == "waiting_for_capacity" or (run.lane_limit and (run.status == "running" or run.holding)):
            self.wake(Runnable())

    def hold(self, *, until: int | None = None) -> None:
        """Hold the run for an operator; its worker is known to have been gone since `until`, where given."""
        self.move("paused", HELD, executed_ns=self.executed(until))
        self.wake(Ended(self.run.id, False))

    def resume(self, status: str, *, fresh: bool, from_step: str = "") -> None:
        """Let a held or failed run go on; a `fresh` one begins with attempt 1 and no execution time."""
        run = self.run
        attempt = 1 if fresh else run.attempt
        if run.recording:
            self._note("run.resumed", trail.resumed(run.id, run.status, status, attempt, from_step))
        # What waits occupies no lane; what is queued again keeps its place.
        holding = run.holding and status == "waiting_for_capacity"
        self._moved(status, "resumed", attempt, 0 if fresh else run.executed_ns, holding)
        self._writes[-1].parameters.update(output=None, error=None, cause="", resume_from=from_step)
        if status == "waiting_for_capacity" or run.holding:
            self.wake(Runnable())

    def _moved(self, status: str, reason: str, attempt: int, executed_ns: int | None, holding: bool) -> None:
        parameters = {
            "id": self.run.id,
            "status": status,
            "executed_ns": self.run.executed_ns if executed_ns is None else executed_ns,
            "attempt": attempt,
            "ended_at": self._latest if status in TERMINAL else 0,
            "pause_reason": reason if status == "paused" else "",
            "holding": holding,
            "now": self._latest,
        }
        self._writes.append(Write("move_run", parameters))

    def wait_for(self, timer: Timer, *, held: bool = False) -> None:
        """Note what the run waits for; its time does not run out while it is `held`."""
        self._writes.append(Write("set_timer", {**msgspec.structs.asdict(timer), "held": held}))

    def hold_timer(self, held: bool) -> None:
        """Stop the time of what the run waits for, or let it run out again."""
        self._writes.append(Write("hold_timer", {"run_id": self.run.id, "held": held}))

    def wait_over(self) -> None:
        """Forget what the run waited for, whose status stays as it is."""
        self._writes.append(Write("clear_timer", {"run_id": self.run.id}))

    def ask_to_pause(self) -> None:
        """Have the run held at the next boundary its worker reports."""
        run = self.run
        if run.recording:
            kind, payload = trail.moved(
                run_id=run.id, old=run.status, new=run.status, reason="pause_requested", attempt=run.attempt
            )
            self._note(kind, payload)
        self._writes.append(Write("ask_to_pause", {"id": run.id, "now": self._latest}))

    def claim(self, sequence: int, token: str, worker_id: str) -> None:
        """Put the run into a worker's hands under a new fence."""
        run = self.run
        if run.recording:
            kind, payload = trail.moved(
                run_id=run.id,
                old=run.status,
                new="running",
                reason="claimed",
                attempt=run.attempt,
                worker_id=worker_id,
            )
            self._note(kind, payload)
        parameters = {
            "id": run.id,
            "execution_seq": sequence,
            "lease_token": token,
            "worker_id": worker_id,
            "now": self._latest,
        }
        self._writes.append(Write("claim_run", parameters))

    def recount(self, executed_ns: int) -> None:
        """Let the segment in a worker's hands begin anew after `executed_ns` of execution."""
        run = self.run
        if run.recording:
            kind, payload = trail.moved(
                run_id=run.id, old=run.status, new=run.status, reason="restarted", attempt=run.attempt
            )
            self._note(kind, payload)
        self._writes.append(
            Write("recount_run", {"id": run.id, "executed_ns": executed_ns, "now": self._latest}),
        )

    def touch(self) -> None:
        """Mark the run as changed by what has happened to its steps."""
        self._writes.append(Write("touch_run", {"id": self.run.id, "now": self._latest}))

    def save(self, step: dict[str, Any]) -> None:
        """Store a step's row; a completed step stays as it is, and what a recorded run knows is left alone."""
        if trail.covers(self.run.recording, "step."):
            known, new = self._steps.get(step["step_id"]), StepState.of(step)
            if known is not None and (known.status == "completed" or known.same(new)):
                return
            if known is None or not known.begins_as(new):
                self._note(*trail.begin(step), step["step_id"])
            if step["status"] not in ("sleeping", "waiting"):
                self._note(*trail.end(step), step["step_id"])
            self._steps[step["step_id"]] = new
        self._writes.append(Write("save_step", {**step, "now": self._latest}))

    def end_wait(
        self, step_id: str, step: StepState, status: str, *, output: bytes | None = None, error: bytes | None = None
    ) -> None:
        """End the step that waits; `step` is its row."""
        at = self._following
        ended = {
            "run_id": self.run.id,
            "step_id": step_id,
            "status": status,
            "output": output,
            "error": error,
            "ended_at": at,
            "duration_ms": max((at - step.started_at) // MILLISECOND, 0),
        }
        if trail.covers(self.run.recording, "step."):
            self._note(*trail.end({**ended, "type": step.type, "attempt": step.attempt}), step_id)
        self._writes.append(Write("end_step", ended))

    def correct(self, step_id: str, step: StepState, output: bytes, *, by: str, reason: str, patched: bool) -> None:
        """Put `output` into a finished step's place; the one before the first correction is kept."""
        original = step.original_output if step.patched_at or step.injected else step.output
        if trail.covers(self.run.recording, "step."):
            if patched:
                payload = trail.patched(step_id, original, output, by, reason)
            else:
                payload = trail.injected(step_id, step.output, output, by, reason)
            self._note("step.patched" if patched else "step.injected", payload, step_id)
        parameters = {
            "run_id": self.run.id,
            "step_id": step_id,
            "output": output,
            "original": original,
            "patched": patched,
            "by": by,
            "now": self._latest,
        }
        self._writes.append(Write("correct_step", parameters))

    def discard(self, step_id: str, reason: str) -> None:
        """Throw a step's result away: it will be executed again."""
        if trail.covers(self.run.recording, "step."):
            self._note("step.discarded", trail.discarded(step_id, reason), step_id)
        parameters = {"run_id": self.run.id, "step_id": step_id, "now": self._latest}
        self._writes.append(Write("discard_step", parameters))

    def known(self, step_id: str) -> StepState | None:
        """Return the step's row as a recorded run has it by now."""
        return self._steps.get(step_id)

    def _note(self, event_type: str, payload: dict[str, Any], step_id: str = "") -> None:
        run, at = self.run, self._following
        self._latest, self._following = at, at + 1
        self._writes.append(
            trail.write(
                self._ids.new("aud_"),
                event_type,
                payload,
                env=run.env,
                run_id=run.id,
                function_id=run.function_id,
                at=at,
                step_id=step_id,
            )
        )


def create(
    run_id: str,
    event: EventState,
    function: FunctionState,
    env: str,
    ids: Ids,
    parent_run_id: str = "",
    parent_step_id: str = "",
) -> tuple[Write, ...]:
    """Return the writes that start a run of the function for the event, at the event's time."""
    policy = policy_of(function.definition)
    recording = trail.profile_of(function.definition.recording, function.definition.recording_profile)
    lane, limit, holds = lane_of(function.definition, event.data)
    row = Write(
        "insert_run",
        {
            "env": env,
            "id": run_id,
            "function_id": function.id,
            "function_version": function.version,
            "event_id": event.id,
            "max_attempts": policy.max_attempts,
            "policy": msgspec.json.encode(policy),
            "timeout_ms": function.definition.timeout_ms or DEFAULT_TIMEOUT_MS,
            "recording": recording,
            "parent_run_id": parent_run_id,
            "parent_step_id": parent_step_id,
            "lane": lane,
            "lane_limit": limit,
            "pause_holds": holds,
            "now": event.at,
        },
    )
    if not recording:
        return (row,)
    payload = trail.created(
        run_id=run_id,
        function_id=function.id,
        event_id=event.id,
        event_name=event.name,
        data=event.data,
        parent_run_id=parent_run_id,
        parent_step_id=parent_step_id,
    )
    noted = trail.write(
        ids.new("aud_"), "run.created", payload, env=env, run_id=run_id, function_id=function.id, at=event.at
    )
    return (row, noted)
