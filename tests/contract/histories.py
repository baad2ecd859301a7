"""Made-up lives of recorded runs on the real writer, each seen by GetRun and GetRunSteps after every command."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import TERMINAL, Run, Step
from ironflow_lab.models.workers import Assignment
from ironflow_lab.server.engine.commands import CancelRun, Release, Unclaim
from ironflow_lab.server.store.reads import Reader
from ironflow_lab.wire import codec
from ironflow_lab.wire.payload import settle
from ironflow_lab.wire.stepid import escape
from tests.contract.engine_room import ENV, Room, claim, fence_of, report, step

WORKER, INSTANCE = "w", "i"
AT_ONCE = 6
LONGEST = 9
NAMES = ("a", "b", "c:d", "__proto__", "e.f")
ACTS = ("progresses", "progresses", "completes", "fails", "fails", "sleeps", "goes", "goes")
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
    "brief": {"timeoutMs": 40_000, "retry": {"maxAttempts": 9, "initialDelayMs": 1, "onExhausted": "fail"}},
}


class Seen(msgspec.Struct, frozen=True):
    """A run and its steps as the reads told them right after a command."""

    run: Run
    steps: tuple[Step, ...]


class Lives:
    """Lets runs live side by side by chance, and notes how each looked after every command."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.room = Room(folder)
        # What a power cut would leave is not asked here, and waiting for the disk is most of the time.
        self.room.writer._db.execute("PRAGMA synchronous = OFF")
        self.chance = chance
        self.reader = Reader(folder)
        self.seen: dict[str, list[Seen]] = {}
        self.going: list[str] = []
        self.held: dict[str, Assignment] = {}
        for name, fields in FUNCTIONS.items():
            self.room.function(name, f"go.{name}", recording=True, **fields)
        self._registers()

    def close(self) -> None:
        self.reader.close()
        self.room.close()

    async def live(self, count: int) -> None:
        """Let `count` runs begin and live, a few at a time, until each has ended."""
        while self.going or len(self.seen) < count:
            if len(self.going) < AT_ONCE and len(self.seen) < count:
                self.going.append(self.begins())
                await self.look(self.going[-1])
            else:
                await self.act(self.chance.choice(self.going))
            self.going = [run_id for run_id in self.going if self.seen[run_id][-1].run.status not in TERMINAL]

    async def act(self, run_id: str) -> None:
        """Let something happen to this run, or to all."""
        job = self.held.get(run_id)
        if len(self.seen[run_id]) > LONGEST:
            await self._is_cancelled(run_id)
        elif job is None:
            await self._idle(run_id)
        else:
            await self.look(*getattr(self, self.chance.choice(ACTS))(job))

    async def _idle(self, run_id: str) -> None:
        status = self.seen[run_id][-1].run.status
        if status == "paused" or self.chance.random() < 0.04:
            await self._is_cancelled(run_id)
        elif status == "waiting_for_capacity" and self.chance.random() < 0.9:
            jobs = self.room.poll(WORKER, 2)
            self.held |= {job.run_id: job for job in jobs}
            await self.look(*(job.run_id for job in jobs))
        else:
            await self.look(*self.time_passes())

    async def _is_cancelled(self, run_id: str) -> None:
        self.room.ask(CancelRun(env=ENV, run_id=run_id, reason="enough"))
        await self.look(run_id)

    async def look(self, *run_ids: str) -> None:
        """Note how the runs look; one that is not held any more is let go."""
        for run_id in dict.fromkeys(run_ids):
            run, seen = await self.reader.run(ENV, run_id), self.seen.setdefault(run_id, [])
            if not seen or seen[-1].run.updated_at != run.updated_at:
                seen.append(Seen(run, await self.reader.steps(ENV, run_id)))
            if run.status != "running":
                self.held.pop(run_id, None)

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
        nap = {
            "step_id": f"{job.run_id}:nap:{self.chance.randint(0, 2)}",
            "type": "sleep",
            "until": format_instant(until),
        }
        self.room.ask(report(job, WORKER, status="yielded", yield_=nap, **self.steps(job)))
        return [job.run_id]

    def goes(self, job: Assignment) -> list[str]:
        """The worker goes: by itself, unheard of, replaced; or its job was never delivered; or the server restarts."""
        how = self.chance.choice(("released", "replaced", "undelivered", "undelivered", "restart", "time", "time"))
        if how == "released":
            self.room.ask(Release(env=ENV, worker_id=WORKER, instance_id=INSTANCE))
        elif how == "replaced":
            self._registers("other")
            self._registers()
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
        # A poll of nobody brings the timers along.
        self.room.answer(self.room.send(claim("nobody")))
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
        self.room.worker(WORKER, *FUNCTIONS, instance=instance)


def received(record: Any) -> Any:
    """Return the record as a client gets it: over the wire, its payloads settled."""
    return settle(codec.decode(codec.encode(record), type(record)))
