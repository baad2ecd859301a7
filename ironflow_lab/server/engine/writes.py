"""The one way a decision changes a run and its steps: rows, and audit events where the run is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND, Ids
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.server.engine import trail
from ironflow_lab.server.engine.functions import DEFAULT_TIMEOUT_MS, policy_of
from ironflow_lab.server.engine.outcome import Write
from ironflow_lab.server.engine.records import EventState, FunctionState, RunState, StepState


class Changes:
    """What one command does to one run, in order.

    `at` is the instant of the command, or just after the run's last change when the clock has not
    moved on. Audit events of a recorded run are a nanosecond apart from there, and its row follows
    the last of them; an unrecorded run changes at `at` as a whole. `steps` are the rows of a recorded
    run's steps that the command may change, by step id.
    """

    def __init__(self, run: RunState, now: int, ids: Ids, *, steps: Mapping[str, StepState] | None = None) -> None:
        self.run = run
        self.at = max(now, run.updated_at + 1)
        self._ids = ids
        self._steps = dict(steps or {})
        self._latest = self._following = self.at
        self._writes: list[Write] = []

    @property
    def writes(self) -> tuple[Write, ...]:
        """The writes so far."""
        return tuple(self._writes)

    def executed(self, until: int | None = None) -> int:
        """Return the run's execution time in ns when its segment ends now, or ended at `until`."""
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
        due_step: str = "",
        cause: str = "",
    ) -> None:
        """Move the run to `status` and take it out of its worker's hands."""
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
        parameters = {
            "id": run.id,
            "status": status,
            "executed_ns": run.executed_ns if executed_ns is None else executed_ns,
            "attempt": tried,
            "output": output,
            "error": error,
            "due_at": due_at,
            "due_step": due_step,
            "ended_at": self._latest if status in TERMINAL else 0,
            "cause": cause,
            "now": self._latest,
        }
        self._writes.append(Write("move_run", parameters))

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
        """Store a step's row; what a recorded run knows already is left alone."""
        if trail.covers(self.run.recording, "step."):
            known, new = self._steps.get(step["step_id"]), StepState.of(step)
            if known == new:
                return
            if known is None or not known.begins_as(new):
                self._note("step.started", trail.started(step), step["step_id"])
            if step["status"] != "sleeping":
                kind, payload = trail.ended(step)
                self._note(kind, payload, step["step_id"])
            self._steps[step["step_id"]] = new
        self._writes.append(Write("save_step", {**step, "now": self._latest}))

    def finish_sleep(self, step_id: str, began: int) -> None:
        """Complete the sleeping step that began at `began`, which only a recorded run has to know."""
        if trail.covers(self.run.recording, "step."):
            at = self._following
            took = max((at - began) // MILLISECOND, 0)
            self._note("step.completed", trail.completed(step_id, b"null", took, format_instant(at)), step_id)
        parameters = {"run_id": self.run.id, "step_id": step_id, "now": self._latest}
        self._writes.append(Write("finish_sleep", parameters))

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


def create(run_id: str, event: EventState, function: FunctionState, env: str, ids: Ids) -> tuple[Write, ...]:
    """Return the writes that start a run of the function for the event, at the event's time."""
    policy = policy_of(function.definition)
    recording = trail.profile_of(function.definition.recording, function.definition.recording_profile)
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
            "now": event.at,
        },
    )
    if not recording:
        return (row,)
    payload = trail.created(
        run_id=run_id, function_id=function.id, event_id=event.id, event_name=event.name, data=event.data
    )
    noted = trail.write(
        ids.new("aud_"), "run.created", payload, env=env, run_id=run_id, function_id=function.id, at=event.at
    )
    return (row, noted)
