"""The engine's laws under any sequence of acts, operators' included, against a simple model of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from ironflow_lab.errors import FailedPreconditionError, NotFoundError
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.server.engine.commands import (
    CancelRun,
    Command,
    DeleteFunction,
    DeleteRun,
    Explain,
    InjectOutput,
    PatchStep,
    PauseRun,
    RedactRun,
    RedactStep,
    ResumeRun,
    SetFunctionStatus,
)
from tests.contract.engine_book import HELD, Life, Wait
from tests.contract.engine_machine import FUNCTIONS, OURS, PICK, PLAIN
from tests.contract.engine_model import FOREVER, TERMINAL
from tests.contract.engine_room import ENV
from tests.contract.engine_waits import Waiting

FINISHED = ("completed", "failed", "timed_out")
CHANGED = st.sampled_from(sorted(FUNCTIONS))


class Engine(Waiting):
    """Operators join in; and after every act the server says truly why a run does not move."""

    @rule(pick=PICK)
    def pauses(self, pick: int) -> None:
        run_id, life = self.run(pick)
        command = PauseRun(env=ENV, run_id=run_id)
        if self.accepted(command, life.status not in TERMINAL):
            self.book.pause(run_id)
        self.observe("pause")

    @rule(pick=PICK)
    def pauses_what_executes(self, pick: int) -> None:
        if self.hands.segments:
            _, job = self.job(pick % 30, False)
            assert self.room.ask(PauseRun(env=ENV, run_id=job.run_id)).status == "pause_requested"
            self.book.pause(job.run_id)
        self.observe("pause")

    @rule(pick=PICK, step=st.sampled_from([None, None, 0, 1, 2]), stopped=st.sampled_from([True, True, True, False]))
    def resumes(self, pick: int, step: int | None, stopped: bool) -> None:
        run_id, life = self.run(pick, "paused", "failed") if stopped else self.run(pick)
        steps = sorted(life.steps, key=lambda one: (life.steps[one].sequence, one))
        from_step = steps[step % len(steps)] if steps and step is not None else ""
        command = ResumeRun(env=ENV, run_id=run_id, from_step=from_step)
        if self.accepted(command, life.status in ("paused", "failed")):
            self.book.resume(run_id, from_step)
        self.observe("resume")

    @rule(pick=PICK, step=st.integers(0, 5), paused=st.booleans())
    def injects(self, pick: int, step: int, paused: bool) -> None:
        run_id, life = self.run(pick, "paused") if paused else self.run(pick)
        self.corrects(run_id, life, step, inject=True)

    @rule(pick=PICK, step=st.integers(0, 5))
    def patches(self, pick: int, step: int) -> None:
        self.corrects(*self.run(pick, "failed", "paused", "running"), step, inject=False)

    @rule(pick=PICK, step=st.integers(0, 5), status=st.sampled_from(["completed", "failed"]))
    def patches_what_is_told_again(self, pick: int, step: int, status: str) -> None:
        """A patch comes between two reports of the same steps."""
        worker, job = self.job(pick % 30, False)
        self.saves(worker, job, self.steps(job, ["a", "b"], status), 0)
        if job.run_id in self.book.lives:
            self.corrects(job.run_id, self.book.lives[job.run_id], step, inject=False)
        self.saves(worker, job, self.steps(job, ["a", "b"]), 0)

    def corrects(self, run_id: str, life: Life, pick: int, *, inject: bool) -> None:
        step_ids = sorted(life.steps)
        if not step_ids:
            return
        step_id = step_ids[pick % len(step_ids)]
        named = step_id if pick % 2 else self.rows.steps[run_id, step_id]["id"]
        self.outputs += 1
        output, finished = msgspec.json.encode(self.outputs), life.steps[step_id].status in FINISHED
        command: Command = PatchStep(env=ENV, step_id=named, output=output)
        if inject:
            command = InjectOutput(env=ENV, run_id=run_id, step_id=named, output=output)
        if self.accepted(command, finished and (not inject or life.status == "paused")):
            self.book.correct(run_id, step_id, self.outputs)
        self.observe("inject" if inject else "patch")

    @rule(pick=PICK)
    def cancels(self, pick: int) -> None:
        run_id, life = self.run(pick)
        if self.accepted(CancelRun(env=ENV, run_id=run_id), life.status not in TERMINAL):
            self.hands.segments.pop(run_id, None)
            self.book.end(run_id, "cancelled")
        self.observe("cancel")

    @rule(pick=PICK, how=st.sampled_from(["delete", "redact", "redact a step"]))
    def erases(self, pick: int, how: str) -> None:
        run_id, life = self.run(pick, *TERMINAL)
        step_id = next(iter(life.steps), "") if how == "redact a step" else ""
        command: Command = RedactRun(env=ENV, run_id=run_id)
        if how == "delete":
            command = DeleteRun(env=ENV, run_id=run_id)
        elif step_id:
            command = RedactStep(env=ENV, step_id=step_id)
        if self.accepted(command, life.status in TERMINAL):
            if how == "delete":
                self.book.delete(run_id)
            else:
                self.book.redact(run_id, step_id)
        self.observe(how.partition(" ")[0])

    @rule(function_id=CHANGED, how=st.sampled_from(["active", "active", "paused", "archived", "delete"]))
    def changes_a_function(self, function_id: str, how: str) -> None:
        if not self.active[function_id]:
            self.define(function_id)
        elif how == "delete":
            self.room.ask(DeleteFunction(env=ENV, function_id=function_id))
            self.active[function_id] = ""
        else:
            self.room.ask(SetFunctionStatus(env=ENV, function_id=function_id, status=how))
            self.active[function_id] = how
        self.observe("function")

    def accepted(self, command: Command, legal: bool) -> bool:
        """Ask; return whether it was done, which must be what the model says."""
        if legal:
            self.room.ask(command)
        else:
            with pytest.raises(FailedPreconditionError):
                self.room.ask(command)
        return legal

    def run(self, pick: int, *statuses: str) -> tuple[str, Life]:
        """Return one of the runs there are, of those with one of the statuses where there is one."""
        every = list(self.book.lives.items())
        among = [one for one in every if one[1].status in statuses] or every
        if not among:
            self.emits("a", "", {})
            return self.run(pick)
        return among[-1 - pick % len(among)]

    # ---- why a run does not move

    def observe(self, kind: str) -> None:
        super().observe(kind)
        moving = [run_id for run_id, life in self.book.lives.items() if life.status not in TERMINAL]
        if moving:
            self.turn += 1
            self.explains(moving[self.turn % len(moving)])

    def explains(self, run_id: str) -> None:
        life, why = self.book.lives[run_id], self.room.ask(Explain(env=ENV, run_id=run_id))
        assert (why.run_id, why.status, why.attempt) == (run_id, life.status, life.attempt)
        assert why.reason == self.reason(run_id, life), f"not true: {why}; {life}"
        assert why.message
        if life.status == "running":
            segment = self.hands.segments[run_id]
            assert why.worker_ids == (segment.worker,)
            assert why.lease_held == (segment.lease_until == FOREVER)
            assert why.lease_held or why.lease_expires_at == segment.lease_until, f"not true: {why}; {segment}"
        elif life.status == "waiting" and life.wait is not None:
            self.check_wait(why, life.wait)
        elif life.status == "waiting_for_capacity":
            same = [one for one, other in self.book.lives.items() if self.queued_like(other, life)]
            earlier = sorted((self.age(one), one) for one in same if self.age(one) <= self.age(run_id))
            assert why.position == len(earlier), f"not true: {why}; {earlier}"
            assert why.reason != "lane_full" or set(why.ahead) == set(self.book.occupants(life.lane))

    def check_wait(self, why: BlockingReason, wait: Wait) -> None:
        told = Wait(why.reason, why.due_at, why.step_id, why.event, why.match, why.value, why.child_run_id)
        assert told == wait
        child = self.book.lives.get(wait.child)
        assert why.child_status == ("" if child is None else child.status)

    def queued_like(self, other: Life, life: Life) -> bool:
        return (other.lane, other.status) == (life.lane, "waiting_for_capacity")

    def reason(self, run_id: str, life: Life) -> str:
        if life.status == "running":
            return "pausing" if life.asked else "executing"
        if life.status == "paused":
            return "paused" if life.why == HELD else life.why
        if life.wait is not None:
            return life.wait.kind
        if self.active[life.function] in ("", "paused"):
            return "function_paused" if self.active[life.function] else "function_missing"
        if not any(self.hands.alive(worker, self.now) for worker in (OURS, PLAIN)):
            return "no_worker"
        return "workers_busy" if self.has_room(life) else "lane_full"


def bounds(examples: int, steps: int, *, derandomize: bool) -> settings:
    # Shrinking takes longer than any test may; the first story found is told instead.
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=derandomize,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate] if derandomize else [Phase.generate, Phase.shrink],
    )


def test_the_laws_hold() -> None:
    run_state_machine_as_test(Engine, settings=bounds(35, 50, derandomize=True))


@pytest.mark.soak
def test_the_laws_hold_for_long() -> None:
    run_state_machine_as_test(Engine, settings=bounds(3_000, 100, derandomize=False))


def test_nobody_explains_a_run_that_is_not_there() -> None:
    machine = Engine()
    try:
        with pytest.raises(NotFoundError):
            machine.room.ask(Explain(env=ENV, run_id="run_1"))
    finally:
        machine.room.close()
