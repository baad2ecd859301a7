"""The engine's laws under any sequence of acts, on the real writer and a real file, against a simple model."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.errors import FailedPreconditionError, StaleExecutionError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.workers import Assignment
from ironflow_lab.server.engine.commands import CancelRun, Heartbeat, Hold, Release, Unclaim
from ironflow_lab.server.store.database import FILE
from tests.contract.engine_model import TERMINAL, Act, Hands, Rows, check, read
from tests.contract.engine_room import ENV, Room, acknowledge, emit, fence_of, report, step

OURS, PLAIN = "ours", "plain"
WORKERS = st.sampled_from([OURS, PLAIN])
NAMED, KEYS = st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "", "", "k1", "k2"])
# Below 30 one of the jobs that are in somebody's hands, from 30 on any there has been.
PICK = st.integers(0, 39)
SECONDS = st.sampled_from([0.001, 0.5, 1, 4.999, 5, 14, 15, 16, 60, 90, 91, 400])
RARELY = st.sampled_from([False, False, False, False, True])
NAMES = st.lists(st.sampled_from("abc"), max_size=3)
WISHES = st.sampled_from([None, None, 1, 1_500, 999_999])
PROFILES = {"patient": "all", "brief": "run_lifecycle", "hasty": ""}
OFFSETS = st.sampled_from([0, 1, 2, 7, 499])


class Engine(RuleBasedStateMachine):
    """Workers, clients, operators, time and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.copies = 0
        (self.home / "0").mkdir()
        self.room = Room(self.home / "0")
        self.db = self.reader()
        self.hands = Hands()
        self.jobs: list[tuple[str, Assignment]] = []
        self.keys: dict[str, Any] = {}
        self.instance = 1
        self.set_back = 0.0
        self.rows = Rows(runs={}, steps={}, audit={})

    @initialize()
    def prepare(self) -> None:
        retry = {"maxAttempts": 3, "initialDelayMs": 1_000, "onExhausted": "fail"}
        self.room.function("patient", "a", retry=retry, recording=True)
        self.room.function("brief", "c", retry=retry, recording=True, recordingProfile="run_lifecycle")
        self.room.function("hasty", "b", "a", retry={"maxAttempts": 2, "maxDelayMs": 2_000}, timeoutMs=100_000)
        self.register(OURS)
        self.register(PLAIN)
        for worker in (OURS, PLAIN):
            self.works("a", "", worker, available=1, ack=False)

    def teardown(self) -> None:
        try:
            self.bring_to_an_end()
        finally:
            self.db.close()
            self.room.close()
            shutil.rmtree(self.home)

    # ---- what may happen

    def emits(self, name: str, key: str) -> None:
        answer = self.room.ask(emit(name, key=key))
        if key:
            assert self.keys.setdefault(key, answer) == answer, "a repeated key gave another answer"
        self.observe(Act("emit"))
        assert set(answer.run_ids) <= self.rows.runs.keys()
        for run_id in answer.run_ids:
            run = self.rows.runs[run_id]
            assert run["recording"] == PROFILES[run["function_id"]]

    @rule(name=NAMED, key=KEYS, worker=WORKERS, available=st.integers(1, 3), ack=st.booleans())
    def works(self, name: str, key: str, worker: str, available: int, ack: bool) -> None:
        """What happens all the time: an event, a poll, and the job begins."""
        self.emits(name, key)
        for job in self.polled(worker, available):
            if ack:
                self.room.ack(job, worker)
                self.hands.seen(job, self.now)

    @rule(worker=WORKERS, available=st.integers(1, 4))
    def polls(self, worker: str, available: int) -> None:
        self.polled(worker, available)

    def polled(self, worker: str, available: int) -> tuple[Assignment, ...]:
        before = self.rows
        jobs = self.room.poll(worker, available)
        self.observe(Act("poll", frozenset(job.run_id for job in jobs)))
        for job in jobs:
            self.check_assignment(job, before)
            self.hands.claimed(worker, job, before.runs[job.run_id], self.now)
            self.jobs.append((worker, job))
        assert len(jobs) == available or not self.with_status("waiting_for_capacity"), "work that cannot be claimed"
        return jobs

    @rule(pick=PICK, other=RARELY)
    def acks(self, pick: int, other: bool) -> None:
        worker, job = self.job(pick, other)
        if self.fenced(acknowledge(job, worker), worker, job):
            self.hands.seen(job, self.now)
        self.observe(Act("ack"))

    @rule(pick=PICK, other=RARELY, names=NAMES, offset=OFFSETS, status=st.sampled_from(["completed", "failed"]))
    def checkpoints(self, pick: int, other: bool, names: list[str], offset: int, status: str) -> None:
        worker, job = self.job(pick, other)
        steps = [step(job, name, status=status, duration_ms=offset) for name in names]
        self.saves(worker, job, steps, offset)

    def saves(self, worker: str, job: Assignment, steps: list[dict[str, Any]], offset: int) -> None:
        command = report(job, worker, status="progress", steps=steps, step_offset=offset)
        kind = "checkpoint" if self.fenced(command, worker, job) else "stale"
        if kind == "checkpoint":
            self.hands.seen(job, self.now)
        self.observe(Act(kind, frozenset({job.run_id})))

    @rule(pick=PICK, other=RARELY, names=NAMES, offset=OFFSETS)
    def completes(self, pick: int, other: bool, names: list[str], offset: int) -> None:
        self.ends(*self.job(pick, other), "complete", names, offset, status="completed", output=names)

    @rule(pick=PICK, other=RARELY, names=NAMES, retryable=st.sampled_from([True, True, True, False]), wish=WISHES)
    def fails(self, pick: int, other: bool, names: list[str], retryable: bool, wish: int | None) -> None:
        error = {"message": "m", "retryable": retryable} | ({} if wish is None else {"retry_after_ms": wish})
        how = "fail" if retryable else "give up"
        self.ends(*self.job(pick, other), how, names, 0, status="failed", error=error)

    @rule(pick=PICK, names=NAMES)
    def fails_and_tries_again(self, pick: int, names: list[str]) -> None:
        """What a retry is: the same steps once more, under a new attempt."""
        worker, job = self.job(pick, False)
        error = {"message": "m", "retryable": True, "retry_after_ms": 1}
        self.ends(worker, job, "fail", names, 0, status="failed", error=error)
        self.time_passes(0.5)
        for again in self.polled(worker, 4):
            self.saves(worker, again, [step(again, name) for name in names], 0)

    @rule(pick=PICK, other=RARELY, names=NAMES, seconds=st.sampled_from([-5, 0, 1, 30]))
    def sleeps(self, pick: int, other: bool, names: list[str], seconds: int) -> None:
        worker, job = self.job(pick, other)
        until = format_instant(self.now + seconds * SECOND + MILLISECOND)
        nap = {"step_id": f"{job.run_id}:nap:0", "type": "sleep", "until": until}
        self.ends(worker, job, "sleep", names, 0, status="yielded", yield_=nap)

    def ends(self, worker: str, job: Assignment, how: str, names: list[str], offset: int, **fields: Any) -> None:
        steps = [step(job, name) for name in names]
        held = self.fenced(report(job, worker, steps=steps, step_offset=offset, **fields), worker, job)
        if held:
            del self.hands.segments[job.run_id]
        self.observe(Act(how if held else "stale", frozenset({job.run_id})))

    @rule(pick=PICK, other=RARELY, how=st.sampled_from(["cancelled", "never delivered", "never delivered"]))
    def is_stopped(self, pick: int, other: bool, how: str) -> None:
        """An operator cancels the run, or the poll's answer is lost and the server knows."""
        worker, job = self.job(pick, other)
        mine = self.hands.holds(worker, job)
        if how == "cancelled":
            return self.cancels(job.run_id)
        self.room.ask(Unclaim(env=ENV, worker_id=worker, fences=(fence_of(job),)))
        if mine:
            del self.hands.segments[job.run_id]
        return self.observe(Act("take back" if mine else "stale", frozenset({job.run_id})))

    def cancels(self, run_id: str) -> None:
        command = CancelRun(env=ENV, run_id=run_id)
        if self.rows.runs[run_id]["status"] in TERMINAL:
            with pytest.raises(FailedPreconditionError):
                self.room.ask(command)
        else:
            self.room.ask(command)
            self.hands.segments.pop(run_id, None)
        self.observe(Act("cancel", frozenset({run_id})))

    @rule(worker=WORKERS, picks=st.lists(PICK, max_size=4))
    def beats(self, worker: str, picks: list[int]) -> None:
        jobs = [self.job(pick, False)[1].job_id for pick in picks if self.jobs]
        self.room.ask(Heartbeat(env=ENV, worker_id=worker, job_ids=tuple(jobs)))
        self.hands.beat(worker, jobs, self.now)
        self.observe(Act("beat"))

    @rule(former=RARELY)
    def opens_a_connection(self, former: bool) -> None:
        command = Hold(env=ENV, worker_id=OURS, instance_id=f"i{self.instance - former}")
        if former:
            with pytest.raises(StaleExecutionError):
                self.room.ask(command)
        else:
            self.room.ask(command)
            self.hands.connected(OURS, self.now)
        self.observe(Act("hold"))

    @rule(how=st.sampled_from(["again", "again", "former", "closed", "taken over", "replaced"]))
    def worker_comes_or_goes(self, how: str) -> None:
        """The same instance registers again, or a former one's connection closes: nothing; else its runs go back."""
        gone: list[str] = []
        if how in ("former", "closed"):
            self.room.ask(Release(env=ENV, worker_id=OURS, instance_id=f"i{self.instance - (how == 'former')}"))
            gone = self.hands.gone(OURS) if how == "closed" else []
        elif how == "replaced":
            self.register(PLAIN)
            gone = self.hands.gone(PLAIN)
        else:
            self.instance += how == "taken over"
            self.register(OURS)
            gone = self.hands.gone(OURS) if how == "taken over" else []
        self.observe(Act("take back", frozenset(gone)))

    @rule(seconds=st.sampled_from([0.001, 1, 60]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        """Nothing happens by it; whatever happens afterwards still comes after what was before."""
        self.room.clock.advance(seconds=-seconds)
        self.set_back += seconds
        self.room.settle()
        self.observe(Act("clock"))

    @rule(seconds=SECONDS, how=st.sampled_from(["on", "on", "on", "on", "restarted", "killed"]))
    def time_passes(self, seconds: float, how: str = "on") -> None:
        if how != "on":
            self.restarts(seconds, killed=how == "killed")
            seconds = 0
        self.room.pass_time(seconds)
        expected = {run_id: row["status"] for run_id, row in self.rows.runs.items()}
        for run_id in self.with_status("waiting"):
            if self.rows.runs[run_id]["due_at"] <= self.now:
                expected[run_id] = "waiting_for_capacity"
        expected |= self.hands.passed(self.now)
        self.observe(Act("time", None))
        assert {run_id: row["status"] for run_id, row in self.rows.runs.items()} == expected

    def restarts(self, away: float, *, killed: bool) -> None:
        self.db.close()
        if killed:
            self.copies += 1
            self.room.crash(self.home / str(self.copies), away=away)
        else:
            self.room.restart(away=away)
        self.db = self.reader()
        self.room.settle()
        self.observe(Act("restart", None))
        self.hands.restarted(OURS, self.rows.runs, self.now)

    # ---- how it is checked

    @property
    def now(self) -> int:
        return self.room.clock.now()

    def reader(self) -> sqlite3.Connection:
        return sqlite3.connect(self.room.folder / FILE, isolation_level=None)

    def observe(self, act: Act) -> None:
        """Look at the rows, hold them against the laws, and the hands against the rows."""
        after = read(self.db)
        check(self.rows, after, act)
        self.rows = after
        if act.kind not in ("poll", "time", "restart"):
            self.check_hands()

    def check_hands(self) -> None:
        running = {run_id: row["lease_token"] for run_id, row in self.rows.runs.items() if row["status"] == "running"}
        assert running == {run_id: segment.job.lease_token for run_id, segment in self.hands.segments.items()}

    def check_assignment(self, job: Assignment, before: Rows) -> None:
        run = self.rows.runs[job.run_id]
        assert (job.execution_seq, job.lease_token) == (run["execution_seq"], run["lease_token"])
        assert job.attempt == before.runs[job.run_id]["attempt"]
        mine = [row for (run_id, _), row in before.steps.items() if run_id == job.run_id]
        done = {row["step_id"]: row["output"] for row in mine if row["status"] == "completed"}
        assert {one.step_id: bytes(one.output) for one in job.completed_steps} == done
        assert job.step_sequence_base == max((row["sequence"] + 1 for row in mine), default=0)

    def fenced(self, command: Any, worker: str, job: Assignment) -> bool:
        """Ask; return whether the fence held, which must be what the model says."""
        if self.hands.holds(worker, job):
            self.room.ask(command)
            return True
        with pytest.raises(StaleExecutionError):
            self.room.ask(command)
        return False

    def job(self, pick: int, other: bool) -> tuple[str, Assignment]:
        """Return a job as seen by its worker or, wrongly, by the other one."""
        current = [(segment.worker, segment.job) for segment in self.hands.segments.values()]
        among = current if current and pick < 30 else self.jobs
        worker, job = among[-1 - pick % len(among)]
        return ({OURS: PLAIN, PLAIN: OURS}[worker] if other else worker), job

    def with_status(self, status: str) -> list[str]:
        return [run_id for run_id, row in self.rows.runs.items() if row["status"] == status]

    def register(self, worker: str) -> None:
        self.room.worker(worker, "patient", "hasty", "brief", instance=f"i{self.instance}" if worker == OURS else "")

    def bring_to_an_end(self) -> None:
        """Whatever has happened: every run can still be claimed and ended."""
        self.worker_comes_or_goes("closed")
        self.time_passes(1_000 + self.set_back)
        while jobs := self.room.poll(PLAIN, 10):
            for job in jobs:
                self.room.report(job, PLAIN)
        left = [row for row in read(self.db).runs.values() if row["status"] not in (*TERMINAL, "paused")]
        assert not left, f"these never end: {left}"


def bounds(examples: int, steps: int, *, derandomize: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=derandomize,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


def test_the_laws_hold() -> None:
    run_state_machine_as_test(Engine, settings=bounds(60, 60, derandomize=True))


@pytest.mark.soak
def test_the_laws_hold_for_long() -> None:
    run_state_machine_as_test(Engine, settings=bounds(3_000, 100, derandomize=False))
