"""Made-up lives of recorded runs on the real writer, each seen by GetRun and GetRunSteps after every command."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import TERMINAL, Run, Step
from ironflow_lab.models.workers import Assignment
from ironflow_lab.server.engine.commands import (
    CancelRun,
    InjectOutput,
    PatchStep,
    PauseRun,
    Release,
    ResumeRun,
    Unclaim,
)
from ironflow_lab.server.store.database import FILE
from ironflow_lab.server.store.reads import Reader
from ironflow_lab.wire import codec
from ironflow_lab.wire.payload import settle
from ironflow_lab.wire.stepid import escape
from tests.contract.engine_room import ENV, Room, emit, fence_of, report, step

WORKER, INSTANCE = "w", "i"
AT_ONCE = 6
LONGEST = 10
NAMES = ("a", "b", "c:d", "__proto__", "e.f")
ACTS = (
    *("progresses", "progresses", "completes", "fails", "fails", "sleeps", "sleeps", "goes", "goes", "goes"),
    *("awaits", "awaits", "invokes", "invokes", "undoes", "is_paused", "is_paused", "is_corrected"),
)
FINISHED = ("completed", "failed", "timed_out")
CHILD = "child"
VALUES: tuple[Any, ...] = (
    None,
    0,
    1.0,
    -0.0,
    True,
    "",
    "é\u2028\x00",
    [],
    {},
    {"a": [1, {"b": None}]},
    {"password": "p"},
    2**53 + 1,
)
FUNCTIONS: dict[str, dict[str, Any]] = {
    "patient": {"retry": {"maxAttempts": 3, "initialDelayMs": 700, "onExhausted": "fail"}},
    "pausing": {"retry": {"maxAttempts": 1}},
    "brief": {"timeoutMs": 12_000, "retry": {"maxAttempts": 9, "initialDelayMs": 1, "onExhausted": "fail"}},
}
# What the protocol has no field for.
MORE = "SELECT step_id FROM steps WHERE run_id = ? AND injected = 1"


class Seen(msgspec.Struct, frozen=True):
    """A run and its steps as the reads told them right after a command, and the injected ones' ids."""

    run: Run
    steps: tuple[Step, ...]
    injected: frozenset[str]


class Lives:
    """Lets runs live side by side by chance, and notes how each looked after every command."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.room = Room(folder)
        # What a power cut would leave is not asked here, and waiting for the disk is most of the time.
        self.room.writer._db.execute("PRAGMA synchronous = OFF")
        self.chance = chance
        self.reader = Reader(folder)
        self.beside = sqlite3.connect(folder / FILE, isolation_level=None)
        self.seen: dict[str, list[Seen]] = {}
        self.going: list[str] = []
        self.held: dict[str, Assignment] = {}
        for name, fields in FUNCTIONS.items():
            self.room.function(name, f"go.{name}", recording=True, **fields)
        self.room.function(CHILD, recording=True, triggers=[], retry={"maxAttempts": 1, "onExhausted": "fail"})
        # A worker without an instance id is not ours, and cannot be asked to stop.
        self.instance = chance.choice((INSTANCE, INSTANCE, ""))
        self._registers(self.instance)

    def close(self) -> None:
        self.beside.close()
        self.reader.close()
        self.room.close()

    async def live(self, count: int) -> None:
        """Let at least `count` runs begin and live, a few at a time, until each has ended."""
        while self.going or len(self.seen) < count:
            if len(self.going) < AT_ONCE and len(self.seen) < count:
                self.going.append(self.begins())
                await self.look(self.going[-1])
            else:
                await self.act(self.chance.choice(self.going))
            self.going = [run_id for run_id in self.going if self.status(run_id) not in TERMINAL]

    def status(self, run_id: str) -> str:
        """Return the run's status as it was last seen."""
        return str(self.seen[run_id][-1].run.status)

    async def act(self, run_id: str) -> None:
        """Let something happen to this run, or to all."""
        job = self.held.get(run_id)
        if len(self.seen[run_id]) > LONGEST:
            await self.look(*self.is_cancelled(run_id))
        elif job is None:
            await self.look(*self._idle(run_id))
        else:
            await self.look(*getattr(self, self.chance.choice(ACTS))(job))
        if self.status(run_id) == "failed" and self.chance.random() < 0.4 and len(self.seen[run_id]) < LONGEST:
            await self.look(*self.is_resumed(run_id))
        if self.status(run_id) in TERMINAL and self.chance.random() < 0.1:
            await self.look(*self.is_patched(run_id))

    def _idle(self, run_id: str) -> list[str]:
        status, dice = self.status(run_id), self.chance.random()
        if status == "paused":
            choices = (self.is_resumed, self.is_resumed, self.is_injected, self.is_injected, self.is_patched)
            return self.is_cancelled(run_id) if dice < 0.1 else self.chance.choice(choices)(run_id)
        if dice < 0.04:
            return self.is_cancelled(run_id)
        if dice < 0.1:
            return self.is_held(run_id)
        if status == "waiting_for_capacity" and dice < 0.9:
            jobs = self.room.poll(WORKER, 2)
            self.held |= {job.run_id: job for job in jobs}
            return [job.run_id for job in jobs]
        return self.signals() if dice < 0.5 else self.time_passes()

    async def look(self, *run_ids: str) -> None:
        """Note how the runs, those they wait for and those that wait for them look; who is not held is let go."""
        looked: dict[str, None] = {}
        queue = list(run_ids)
        while queue:
            run_id = queue.pop(0)
            if run_id in looked:
                continue
            looked[run_id] = None
            run, seen = await self.reader.run(ENV, run_id), self.seen.setdefault(run_id, [])
            if not seen or seen[-1].run.updated_at != run.updated_at:
                seen.append(await self._seen(run))
                run = seen[-1].run
                queue += [run.parent_run_id] if run.parent_run_id else []
                born = {one.child_run_id for one in seen[-1].steps} - {""} - self.seen.keys()
                queue += sorted(born)
                self.going += sorted(born)
            if run.status != "running":
                self.held.pop(run_id, None)

    async def _seen(self, run: Run) -> Seen:
        """Return the run with its steps, both of one moment: what is due happens whenever the writer comes to it."""
        while True:
            steps = await self.reader.steps(ENV, run.id)
            injected = frozenset(step_id for (step_id,) in self.beside.execute(MORE, (run.id,)))
            then, run = run, await self.reader.run(ENV, run.id)
            if run.updated_at == then.updated_at:
                return Seen(run, steps, injected)

    # ---- what happens; each returns the runs it may have touched

    def begins(self) -> str:
        name = self.chance.choice(tuple(FUNCTIONS))
        return self.room.emit(f"go.{name}", data=msgspec.json.encode({"v": self.chance.choice(VALUES)}))

    def progresses(self, job: Assignment) -> list[str]:
        self.room.ask(report(job, WORKER, status="progress", **self.steps(job)))
        return [job.run_id]

    def completes(self, job: Assignment) -> list[str]:
        output = {} if self.chance.random() < 0.2 else {"output": self.chance.choice(VALUES)}
        self.room.ask(report(job, WORKER, status="completed", **self.steps(job), **output))
        return [job.run_id]

    def fails(self, job: Assignment) -> list[str]:
        error = {"message": "no", "code": "X", "retryable": self.chance.random() < 0.85}
        self.room.ask(report(job, WORKER, status="failed", **self.steps(job), error=error))
        return [job.run_id]

    def sleeps(self, job: Assignment) -> list[str]:
        until = self.room.clock.now() + self.chance.choice((-5, 1, 3)) * SECOND
        return self._yields(job, "nap", type="sleep", until=format_instant(until))

    def awaits(self, job: Assignment) -> list[str]:
        """It waits for an event, any or one with a value that may never come."""
        asked: dict[str, Any] = {"event": "signal.a", "timeout": self.chance.choice(("1s", "40s", "90s"))}
        if self.chance.random() < 0.5:
            asked |= {"match": "data.v", "match_value": self.chance.choice(("x", "y"))}
        elif self.chance.random() < 0.2:
            # Resolved against the event that started the run, which may have nothing there.
            asked |= {"match": "v"}
        return self._yields(job, "wait", type="wait_for_event", event_filter=asked)

    def invokes(self, job: Assignment) -> list[str]:
        kind = self.chance.choice(("invoke_function", "invoke_function", "invoke_function_async"))
        told = {"function_id": self.chance.choice((CHILD, CHILD, CHILD, "nobody")), "invoke_timeout_ms": 50_000}
        if self.chance.random() < 0.7:
            told["input"] = self.chance.choice(VALUES)
        return self._yields(job, "call", type=kind, **told)

    def _yields(self, job: Assignment, name: str, **wanted: Any) -> list[str]:
        done = {one.step_id for one in self.seen[job.run_id][-1].steps if one.status == "completed"}
        ids = [f"{job.run_id}:{name}:{number}" for number in range(LONGEST + 9)]
        step_id = self.chance.choice([one for one in ids if one not in done][:2])
        told = {"step_id": step_id, **wanted}
        self.room.ask(report(job, WORKER, status="yielded", yield_=told, **self.steps(job)))
        return [job.run_id]

    def undoes(self, job: Assignment) -> list[str]:
        """It fails for good, having undone some of what it did."""
        steps = self.steps(job)
        for name in self.chance.sample(NAMES, 2):
            undo = self._step(job) | {"id": f"{job.run_id}:compensate:{escape(name)}:0", "type": "compensate"}
            undo.pop("output", None)
            steps["steps"].append(undo | {"name": f"compensate:{name}", "compensation_for": name})
        error = {"message": "undone", "retryable": False}
        self.room.ask(report(job, WORKER, status="failed", error=error, **steps))
        return [job.run_id]

    def is_paused(self, job: Assignment) -> list[str]:
        """It is to be held, and mostly says at once that it stands at a boundary."""
        self.room.ask(PauseRun(env=ENV, run_id=job.run_id))
        if self.chance.random() < 0.3:
            return [job.run_id]
        told = {"boundary": True} if self.chance.random() < 0.8 else {}
        self.room.ask(report(job, WORKER, status="progress", **self.steps(job), **told))
        return [job.run_id]

    def is_corrected(self, job: Assignment) -> list[str]:
        return self.is_patched(job.run_id)

    def is_held(self, run_id: str) -> list[str]:
        self.room.ask(PauseRun(env=ENV, run_id=run_id))
        return [run_id]

    def is_cancelled(self, run_id: str) -> list[str]:
        self.room.ask(CancelRun(env=ENV, run_id=run_id, reason="enough"))
        return [run_id]

    def is_resumed(self, run_id: str) -> list[str]:
        steps = [one.step_id for one in self.seen[run_id][-1].steps]
        first = self.chance.choice(steps) if steps and self.chance.random() < 0.6 else ""
        self.room.ask(ResumeRun(env=ENV, run_id=run_id, from_step=first))
        return [run_id]

    def is_patched(self, run_id: str) -> list[str]:
        for one in self._finished(run_id):
            output = codec.encode(self.chance.choice(VALUES))
            named = self.chance.choice((one.id, one.step_id))
            self.room.ask(PatchStep(env=ENV, step_id=named, output=output, reason=self.chance.choice(("", "why"))))
        return [run_id]

    def is_injected(self, run_id: str) -> list[str]:
        for one in self._finished(run_id):
            output = codec.encode(self.chance.choice(VALUES))
            self.room.ask(InjectOutput(env=ENV, run_id=run_id, step_id=one.step_id, output=output, reason="live"))
        return [run_id]

    def _finished(self, run_id: str) -> list[Step]:
        found = [one for one in self.seen[run_id][-1].steps if one.status in FINISHED]
        return [self.chance.choice(found)] if found else []

    def signals(self) -> list[str]:
        """An event comes that runs may wait for."""
        data = msgspec.json.encode({"v": self.chance.choice(("x", "y"))})
        self.room.ask(emit("signal.a", data=data))
        return self.going

    def goes(self, job: Assignment) -> list[str]:
        """The worker goes: by itself, unheard of, replaced; or its job was never delivered; or the server restarts."""
        how = self.chance.choice((*("undelivered",) * 5, *("time",) * 4, "released", "replaced", "restart"))
        if how == "released":
            self.room.ask(Release(env=ENV, worker_id=WORKER, instance_id=self.instance))
        elif how == "replaced":
            self._registers("other")
            self._registers(self.instance)
        elif how == "undelivered":
            self.room.ask(Unclaim(env=ENV, worker_id=WORKER, fences=(fence_of(job),)))
        elif how == "restart" and self.chance.random() < 0.05:
            self.room.restart(away=1)
        else:
            return self.time_passes()
        return self.going

    def time_passes(self) -> list[str]:
        """Let time go on, or the clock be set back, and everything that is due happen."""
        self.room.clock.advance(seconds=self.chance.choice((-3, 0, 0.001, 0.8, 2, 16, 41, 100)))
        # What is due for a child and for its parent comes one after the other.
        self.room.settle()
        return self.going

    def steps(self, job: Assignment) -> dict[str, Any]:
        told = [self._step(job) for _ in range(self.chance.choice((0, 1, 1, 2, 4)))]
        return {"steps": told, "step_offset": self.chance.randint(0, 3)}

    def _step(self, job: Assignment) -> dict[str, Any]:
        name, now = self.chance.choice(NAMES), self.room.clock.now()
        told: dict[str, Any] = {"duration_ms": self.chance.randint(0, 9)}
        if self.chance.random() < 0.6:
            began = now - self.chance.randint(0, 5_000) * MILLISECOND
            told |= {"started_at": format_instant(began), "ended_at": format_instant(now)}
        if self.chance.random() < 0.35:
            told |= {"status": "failed", "error": {"message": "no", "stack": "s"}}
        told.setdefault("output", self.chance.choice(VALUES))
        return {**step(job, escape(name), **told), "name": name}

    def _registers(self, instance: str = INSTANCE) -> None:
        self.room.worker(WORKER, *FUNCTIONS, CHILD, instance=instance)


def received(record: Any) -> Any:
    """Return the record as a client gets it: over the wire, its payloads settled."""
    return settle(codec.decode(codec.encode(record), type(record)))
