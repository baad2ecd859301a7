"""Workers, clients, time and restarts in any order, on the real writer and a real file, held against the book."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ironflow_lab.errors import StaleExecutionError
from ironflow_lab.models.workers import Assignment
from ironflow_lab.server.engine.commands import Heartbeat, Hold, Release, ResumeRun, SetFunctionStatus, Unclaim
from ironflow_lab.server.store.database import FILE
from tests.contract.engine_book import Book, Kind, Life
from tests.contract.engine_model import TERMINAL, Act, Hands, Rows, check, read
from tests.contract.engine_room import ENV, Room, acknowledge, emit, fence_of, report, step

OURS, PLAIN = "ours", "plain"
WORKERS = st.sampled_from([OURS, PLAIN])
NAMED, KEYS = st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["", "", "", "k1", "k2"])
DATA = st.sampled_from([{}, {"k": "x"}, {"k": "x"}, {"k": "y"}])
# Below 30 one of the jobs that are in somebody's hands, from 30 on any there has been.
PICK = st.integers(0, 39)
SECONDS = st.sampled_from([0.001, 0.5, 1, 4.999, 5, 14, 15, 16, 60, 90, 91, 400, 3_000_000])
RARELY = st.sampled_from([False, False, False, False, True])
NAMES = st.lists(st.sampled_from("abc"), max_size=3)
WISHES = st.sampled_from([None, None, 1, 1_500, 999_999])
OFFSETS = st.sampled_from([0, 1, 2, 7, 499])
LONGEST_WAIT = 10_000_000


def lane(data: Any) -> str:
    return str(data.get("k", ""))


KINDS = {
    "patient": Kind(tries=3, exhausted="fail"),
    "brief": Kind(tries=3, exhausted="fail"),
    "hasty": Kind(tries=2, most_ms=2_000),
    "laned": Kind(tries=2, lane=lane, limit=1),
    "loose": Kind(tries=2, limit=2, holds=False),
    "child": Kind(tries=2, exhausted="fail"),
    "small": Kind(tries=1),
}
PROFILES = {"patient": "all", "brief": "run_lifecycle", "laned": "all", "child": "all"}
STARTS = {"a": ("patient", "hasty"), "b": ("hasty",), "c": ("brief",), "d": ("laned", "loose")}
FUNCTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "patient": (("a",), {"retry": {"maxAttempts": 3, "initialDelayMs": 1_000, "onExhausted": "fail"}}),
    "brief": (("c",), {"retry": {"maxAttempts": 3, "onExhausted": "fail"}, "recordingProfile": "run_lifecycle"}),
    "hasty": (("b", "a"), {"retry": {"maxAttempts": 2, "maxDelayMs": 2_000}, "timeoutMs": 100_000}),
    "laned": (("d",), {"retry": {"maxAttempts": 2}, "concurrency": {"limit": 1, "key": "k"}}),
    "loose": (("d",), {"retry": {"maxAttempts": 2}, "concurrency": {"limit": 2}, "pauseBehavior": "release"}),
    "child": ((), {"retry": {"maxAttempts": 2, "onExhausted": "fail"}}),
    "small": ((), {"retry": {"maxAttempts": 1}}),
}


class Machine(RuleBasedStateMachine):
    """Everything but waits and operators."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.copies = 0
        (self.home / "0").mkdir()
        self.room = Room(self.home / "0")
        self.db = self.reader()
        self.hands, self.book = Hands(), Book()
        self.jobs: list[tuple[str, Assignment]] = []
        self.keys: dict[str, Any] = {}
        self.active = dict.fromkeys(KINDS, "active")
        self.instance = self.turn = self.outputs = 1
        self.set_back = 0.0
        # A law that was broken is told of, and nothing that follows from it.
        self.sound = True
        self.rows = Rows()

    @initialize()
    def prepare(self) -> None:
        for function_id in KINDS:
            self.define(function_id)
        self.register(OURS)
        self.register(PLAIN)
        for worker in (OURS, PLAIN):
            self.works("a", "", {}, worker, available=1, ack=False)

    def teardown(self) -> None:
        try:
            if self.sound:
                self.bring_to_an_end()
        finally:
            self.db.close()
            self.room.close()
            shutil.rmtree(self.home)

    # ---- clients

    def emits(self, name: str, key: str, data: dict[str, Any]) -> None:
        answer = self.room.ask(emit(name, key=key, data=msgspec.json.encode(data)))
        first = not key or key not in self.keys
        if key:
            known = self.keys.setdefault(key, answer)
            left = tuple(run_id for run_id in known.run_ids if run_id in self.book.lives or first)
            assert (answer.event_id, answer.run_ids) == (known.event_id, left), "a repeated key gave another answer"
        if first:
            self.starts(name, answer.run_ids, data)
            self.book.event(name, answer.event_id, data)
        self.observe("emit")

    def starts(self, name: str, run_ids: tuple[str, ...], data: dict[str, Any]) -> None:
        functions = sorted(one for one in STARTS.get(name, ()) if self.active[one] not in ("archived", ""))
        assert len(run_ids) == len(functions)
        for run_id, function_id in zip(run_ids, functions, strict=True):
            self.book.lives[run_id] = Life(function_id, data, KINDS[function_id])

    @rule(name=st.sampled_from(["a", "e", "e"]), data=DATA)
    def something_happens(self, name: str, data: dict[str, Any]) -> None:
        """An event that somebody may wait for."""
        self.emits(name, "", data)

    @rule(name=NAMED, key=KEYS, data=DATA, worker=WORKERS, available=st.integers(1, 3), ack=st.booleans())
    def works(self, name: str, key: str, data: dict[str, Any], worker: str, available: int, ack: bool) -> None:
        """What happens all the time: an event, a poll, and the job begins."""
        self.emits(name, key, data)
        for job in self.polled(worker, available):
            if ack:
                self.acked(worker, job)

    # ---- workers

    @rule(worker=WORKERS, available=st.integers(1, 4))
    def polls(self, worker: str, available: int) -> None:
        self.polled(worker, available)

    def polled(self, worker: str, available: int) -> tuple[Assignment, ...]:
        before, ready = self.rows, self.ready()
        jobs = self.room.poll(worker, available)
        self.hands.heard[worker] = self.now
        for job in jobs:
            assert job.run_id in ready, "handed out though its lane or its function has no room for it"
            self.check_assignment(job)
            self.hands.claimed(worker, job, before.runs[job.run_id], self.now)
            self.jobs.append((worker, job))
            self.book.claim(job.run_id)
        self.check_order({job.run_id for job in jobs}, ready)
        assert jobs or not ready, f"work that cannot be claimed: {ready}"
        self.observe("poll")
        return jobs

    def ready(self) -> list[str]:
        """Return the runs that a worker may get, those of full lanes and of paused functions left out."""
        queued = [run_id for run_id, life in self.book.lives.items() if life.status == "waiting_for_capacity"]
        return [
            run_id
            for run_id in queued
            if self.active[self.book.lives[run_id].function] in ("active", "archived")
            and self.has_room(self.book.lives[run_id])
        ]

    def has_room(self, life: Life) -> bool:
        return life.holding or not life.kind.limit or self.book.room_in(life.lane, life.kind.limit) > 0

    def check_order(self, given: set[str], ready: list[str]) -> None:
        """Of one lane the oldest come first."""
        for run_id in given:
            life, age = self.book.lives[run_id], self.age(run_id)
            passed = [
                one
                for one in set(ready) - given
                if self.book.lives[one].lane == life.lane and self.age(one) < age and not life.kind.limit
            ]
            assert not passed, f"{run_id} came before {passed}"

    def age(self, run_id: str) -> tuple[int, int]:
        return self.rows.runs[run_id]["eligible_at"], self.rows.runs[run_id]["seq"]

    @rule(pick=PICK, other=RARELY)
    def acks(self, pick: int, other: bool) -> None:
        self.acked(*self.job(pick, other))

    def acked(self, worker: str, job: Assignment) -> None:
        answer = self.fenced(acknowledge(job, worker), worker, job)
        if answer is not None:
            assert answer.status == ("pausing" if self.book.lives[job.run_id].asked else "acknowledged")
            self.hands.seen(job, self.now)
        self.observe("ack")

    @rule(
        pick=PICK,
        other=RARELY,
        names=NAMES,
        offset=OFFSETS,
        status=st.sampled_from(["completed", "failed"]),
        boundary=st.booleans(),
    )
    def checkpoints(self, pick: int, other: bool, names: list[str], offset: int, status: str, boundary: bool) -> None:
        worker, job = self.job(pick, other)
        self.saves(worker, job, self.steps(job, names, status), offset, boundary=boundary)

    def saves(
        self, worker: str, job: Assignment, steps: list[dict[str, Any]], offset: int, *, boundary: bool = False
    ) -> None:
        """A checkpoint: a worker of ours is asked to stop, and stops at a boundary; any other is cut off."""
        fields: dict[str, Any] = {"boundary": True} if boundary else {}
        command = report(job, worker, status="progress", steps=steps, step_offset=offset, **fields)
        answer = self.fenced(command, worker, job)
        if answer is not None:
            self.book.save(job.run_id, steps, offset)
            asked = self.book.lives[job.run_id].asked
            if asked and (boundary or worker == PLAIN):
                assert answer.status == ("paused" if worker == OURS else "stale")
                del self.hands.segments[job.run_id]
                self.book.queue(job.run_id)
            else:
                assert answer.status == ("pausing" if asked else "ok")
                self.hands.seen(job, self.now)
        self.observe("checkpoint")

    @rule(pick=PICK, other=RARELY, names=NAMES, offset=OFFSETS)
    def completes(self, pick: int, other: bool, names: list[str], offset: int) -> None:
        worker, job = self.job(pick, other)
        if self.reports(worker, job, names, offset, status="completed", output=names):
            self.book.end(job.run_id, "completed", names)
        self.observe("complete")

    @rule(pick=PICK, other=RARELY, names=NAMES, retryable=st.sampled_from([True, True, True, False]), wish=WISHES)
    def fails(self, pick: int, other: bool, names: list[str], retryable: bool, wish: int | None) -> None:
        worker, job = self.job(pick, other)
        error = {"message": "m", "retryable": retryable} | ({} if wish is None else {"retry_after_ms": wish})
        undone = [] if retryable else ["compensate:a"]
        at = self.at(job.run_id)
        if self.reports(worker, job, names + undone, 0, status="failed", error=error):
            self.book.fail(job.run_id, retryable=retryable, wish=wish, at=at)
        self.observe("fail")

    @rule(pick=PICK, names=NAMES)
    def fails_and_tries_again(self, pick: int, names: list[str]) -> None:
        """What a retry is: the same steps once more, under a new attempt."""
        worker, job = self.job(pick, False)
        at, error = self.at(job.run_id), {"message": "m", "retryable": True, "retry_after_ms": 1}
        if self.reports(worker, job, names, 0, status="failed", error=error):
            self.book.fail(job.run_id, retryable=True, wish=1, at=at)
        self.observe("fail")
        self.time_passes(0.5)
        for again in self.polled(worker, 4):
            self.saves(worker, again, self.steps(again, names), 0)

    def reports(self, worker: str, job: Assignment, names: list[str], offset: int, **fields: Any) -> bool:
        """The end of a segment; return whether it was accepted."""
        steps = self.steps(job, names)
        answer = self.fenced(report(job, worker, steps=steps, step_offset=offset, **fields), worker, job)
        if answer is not None:
            del self.hands.segments[job.run_id]
            self.book.save(job.run_id, steps, offset)
        return answer is not None

    # ---- losses

    @rule(pick=PICK, other=RARELY)
    def is_never_delivered(self, pick: int, other: bool) -> None:
        """The poll's answer is lost, and the server knows."""
        worker, job = self.job(pick, other)
        mine = self.hands.holds(worker, job)
        self.room.ask(Unclaim(env=ENV, worker_id=worker, fences=(fence_of(job),)))
        if mine:
            del self.hands.segments[job.run_id]
            self.book.queue(job.run_id)
        self.observe("take back")

    @rule(worker=WORKERS, picks=st.lists(PICK, max_size=4))
    def beats(self, worker: str, picks: list[int]) -> None:
        jobs = [self.job(pick, False)[1].job_id for pick in picks if self.jobs]
        self.room.ask(Heartbeat(env=ENV, worker_id=worker, job_ids=tuple(jobs)))
        self.hands.heard[worker] = self.now
        self.hands.beat(worker, jobs, self.now)
        self.observe("beat")

    @rule(former=RARELY)
    def opens_a_connection(self, former: bool) -> None:
        command = Hold(env=ENV, worker_id=OURS, instance_id=f"i{self.instance - former}")
        if former:
            with pytest.raises(StaleExecutionError):
                self.room.ask(command)
        else:
            self.room.ask(command)
            self.hands.heard[OURS] = self.now
            self.hands.connected(OURS, self.now)
        self.observe("hold")

    @rule(how=st.sampled_from(["again", "again", "former", "closed", "taken over", "replaced"]))
    def worker_comes_or_goes(self, how: str) -> None:
        """The same instance registers again, or a former one's connection closes: nothing; else its runs go back."""
        gone: list[str] = []
        if how in ("former", "closed"):
            self.room.ask(Release(env=ENV, worker_id=OURS, instance_id=f"i{self.instance - (how == 'former')}"))
            if how == "closed":
                gone = self.hands.gone(OURS)
                self.hands.heard.pop(OURS, None)
        elif how == "replaced":
            self.register(PLAIN)
            gone = self.hands.gone(PLAIN)
        else:
            self.instance += how == "taken over"
            self.register(OURS)
            gone = self.hands.gone(OURS) if how == "taken over" else []
        for run_id in gone:
            self.book.queue(run_id)
        self.observe("take back")

    # ---- time

    @rule(seconds=st.sampled_from([0.001, 1, 60, 3_000_000]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        """Nothing happens by it; whatever happens afterwards still comes after what was before."""
        self.room.clock.advance(seconds=-seconds)
        self.set_back += seconds
        self.room.settle()
        self.observe("clock")

    @rule(seconds=SECONDS, how=st.sampled_from(["on", "on", "on", "on", "restarted", "killed"]))
    def time_passes(self, seconds: float, how: str = "on") -> None:
        if how != "on":
            self.restarts(seconds, killed=how == "killed")
            seconds = 0
        self.room.pass_time(seconds)
        for run_id, too_long in self.hands.passed(self.now).items():
            if too_long:
                self.book.end(run_id, "failed")
            else:
                self.book.queue(run_id)
        self.book.due(self.now)
        self.observe("time")

    def restarts(self, away: float, *, killed: bool) -> None:
        self.db.close()
        if killed:
            self.copies += 1
            self.room.crash(self.home / str(self.copies), away=away)
        else:
            self.room.restart(away=away)
        self.db = self.reader()
        self.room.settle()
        self.book.touched |= self.hands.segments.keys()
        self.book.due(self.now)
        self.hands.restarted(OURS, read(self.db).runs, self.now)
        self.observe("restart")

    # ---- how it is checked

    @property
    def now(self) -> int:
        return self.room.clock.now()

    def at(self, run_id: str) -> int:
        """The instant of the run's next change."""
        run = self.rows.runs.get(run_id)
        return self.now if run is None else max(self.now, run["updated_at"] + 1)

    def reader(self) -> sqlite3.Connection:
        return sqlite3.connect(self.room.folder / FILE, isolation_level=None)

    def observe(self, kind: str) -> None:
        """Look at the rows, and hold them against the laws, the book and the hands."""
        if self.book.is_due(self.now):
            self.room.settle()
            self.book.due(self.now)
        self.sound, after = False, read(self.db)
        check(self.rows, after, Act(kind, frozenset(self.book.touched)))
        self.book.compare(after)
        self.rows = after
        self.book.touched.clear()
        running = {run_id: row["lease_token"] for run_id, row in self.rows.runs.items() if row["status"] == "running"}
        assert running == {run_id: segment.job.lease_token for run_id, segment in self.hands.segments.items()}
        self.sound = True

    def check_assignment(self, job: Assignment) -> None:
        """The job says what its run's rows say; completed steps and failed calls are not executed again."""
        steps = {row["step_id"]: row for row in self.rows.steps_of(job.run_id).values()}
        assert job.attempt == self.book.lives[job.run_id].attempt
        done = {
            step_id: row["output"] if row["status"] == "completed" else row["error"]
            for step_id, row in steps.items()
            if row["status"] == "completed" or (row["status"], row["type"]) == ("failed", "invoke_function")
        }
        told = {one.step_id: bytes(one.error if one.status == "failed" else one.output) for one in job.completed_steps}
        assert told == done
        assert job.step_sequence_base == max((row["sequence"] + 1 for row in steps.values()), default=0)

    def fenced(self, command: Any, worker: str, job: Assignment) -> Any:
        """Ask; return the answer if the fence held, which must be what the model says."""
        if self.hands.holds(worker, job):
            self.hands.heard[worker] = self.now
            return self.room.ask(command)
        with pytest.raises(StaleExecutionError):
            self.room.ask(command)
        return None

    def job(self, pick: int, other: bool) -> tuple[str, Assignment]:
        """Return a job as seen by its worker or, wrongly, by the other one."""
        current = [(segment.worker, segment.job) for segment in self.hands.segments.values()]
        among = current if current and pick < 30 else self.jobs
        worker, job = among[-1 - pick % len(among)]
        return ({OURS: PLAIN, PLAIN: OURS}[worker] if other else worker), job

    def steps(self, job: Assignment, names: list[str], status: str = "completed") -> list[dict[str, Any]]:
        """Return reports of steps, each with an output that no other has."""
        made = []
        for name in dict.fromkeys(names):
            self.outputs += 1
            undo = {"type": "compensate", "compensation_for": "a"} if name.startswith("compensate:") else {}
            made.append(step(job, name, status=status, output=self.outputs, **undo))
        return made

    def define(self, function_id: str) -> None:
        events, fields = FUNCTIONS[function_id]
        self.room.function(function_id, *events, recording=function_id in PROFILES, triggered=bool(events), **fields)
        self.active[function_id] = "active"

    def register(self, worker: str) -> None:
        self.room.worker(worker, *KINDS, instance=f"i{self.instance}" if worker == OURS else "")
        self.hands.heard[worker] = self.now

    def bring_to_an_end(self) -> None:
        """Whatever has happened: every run can still be resumed, claimed and ended."""
        for function_id, state in self.active.items():
            if not state:
                self.define(function_id)
            elif state != "active":
                self.room.ask(SetFunctionStatus(env=ENV, function_id=function_id, status="active"))
                self.active[function_id] = "active"
        self.worker_comes_or_goes("closed")
        self.time_passes(LONGEST_WAIT + self.set_back)
        for run_id, life in list(self.book.lives.items()):
            if life.status == "paused":
                self.room.ask(ResumeRun(env=ENV, run_id=run_id))
                self.book.resume(run_id)
                self.observe("resume")
        self.time_passes(LONGEST_WAIT)
        while jobs := self.polled(PLAIN, 10):
            for job in jobs:
                assert self.reports(PLAIN, job, [], 0, status="completed", output=None)
                self.book.end(job.run_id, "completed")
                self.observe("complete")
        left = {run_id: life for run_id, life in self.book.lives.items() if life.status not in TERMINAL}
        assert not left, f"these never end: {left}"
