"""One session over all primitives: a real server, a worker of its own process, somebody outside, and kills."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from tests.chaos import effects, law, repertoire, troupe
from tests.chaos.effects import Closing, Entry, Link, Wanted
from tests.chaos.law import Sighting, StepSeen
from tests.chaos.operator import MOVING, Operator
from tests.chaos.witness import Line, Witness
from tests.conformance.plain import ENDED, payload, segment
from tests.conformance.processes import ROOT, Process, Server, clean_environment

Victim = Literal["server", "worker", "both"]
VICTIMS: tuple[Victim, ...] = ("server", "worker", "both")
PATIENCE = 90.0
# How many runs that have not ended are looked at when something was killed: all would take longer than to play.
SAMPLE = 25
_RUN, _STEP, _TYPE = len("RUN_STATUS_"), len("STEP_STATUS_"), len("STEP_TYPE_")
WANTED = Wanted(messages=repertoire.messages(), events=repertoire.events(), functions=repertoire.functions())


@dataclass(frozen=True)
class Kill:
    """Kill -9 of `victim` once `after` bodies have begun."""

    victim: Victim
    after: int


def points(seed: int, victims: Sequence[Victim]) -> list[Kill]:
    """Return one kill a victim, at places drawn from the seed all along the session."""
    chance = random.Random(seed)
    share = 0.9 * repertoire.bodies() / len(victims)
    return [Kill(victim, 2 + int((place + chance.random()) * share)) for place, victim in enumerate(victims)]


class Worker(Process):
    """The process that serves the functions."""

    def __init__(self, folder: Path) -> None:
        super().__init__("worker", folder)

    def start(self, url: str) -> Self:
        """Start it, or start it again."""
        command: list[str | Path] = [sys.executable, "-m", "tests.chaos.troupe", url]
        (self.folder / troupe.READY).unlink(missing_ok=True)
        self.spawn(command, clean_environment(PYTHONPATH=str(ROOT)))
        return self


@dataclass
class Stage:
    """A session being played in a folder; afterwards `lines`, `sightings` and `closing` are held to the law."""

    folder: Path
    seed: int
    server: Server = field(init=False)
    worker: Worker = field(init=False)
    witness: Witness = field(init=False)
    operator: Operator = field(init=False)
    sightings: list[Sighting] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _looking: threading.Lock = field(default_factory=threading.Lock)
    closing: Closing | None = None

    def __post_init__(self) -> None:
        self.server, self.worker = Server(self.folder), Worker(self.folder)
        self.witness = Witness(self.folder / troupe.WITNESS)
        self.operator = Operator(self.server.plain, self.witness, self.folder, self.look)

    def __enter__(self) -> Self:
        self.worker.start(self.server.plain.url)
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.operator.end()
        self.worker.kill()
        self.server.kill()

    @property
    def lines(self) -> list[Line]:
        """All that the witness file says."""
        return self.witness.lines()

    def play(self, kills: Sequence[Kill]) -> None:
        """Go through all runs, kill at every point and start again what was killed, until every run has ended."""
        self._reach((self.folder / troupe.READY).exists, "the worker to serve")
        self.operator.start()
        for kill in kills:
            self._reach(lambda kill=kill: self.witness.begun() >= kill.after, f"{kill.after} bodies to begin")  # type: ignore[misc]
            self._strike(kill)
        self._reach(self._is_over, "every run to end")
        self.operator.end()
        self.operator.answer_all()
        self.closing = self._close()

    def look(self, run_id: str, row: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Read a run (unless its row is given, and final) and its steps, and note where the witness file stands."""
        # One at a time: sightings are in the order of what they show.
        with self._looking:
            row = row or self.server.plain.run(run_id)
            steps = self.server.plain.steps(run_id)
            seen = Sighting(
                at=self.witness.size(),
                run=run_id,
                number=row["input"]["number"],
                status=row["status"][_RUN:].lower(),
                attempt=row["attempt"],
                steps={step["stepId"]: _seen(step) for step in steps},
            )
            self.sightings.append(seen)
        return row, steps

    def faults(self) -> list[str]:
        """Return what breaks the law."""
        assert self.closing is not None
        lines = self.lines
        return [
            *law.faults(lines, self.sightings, repertoire.ALL, hands="worker"),
            *effects.faults(self.sightings, law.bodies_of(lines), self.closing, repertoire.ALL, WANTED),
        ]

    def story(self) -> str:
        """Return what the processes said, for a failure."""
        return "\n".join([*self.notes, self.server.story(), self.worker.story()])

    # ---- killing and starting again

    def _strike(self, kill: Kill) -> None:
        # Bodies that would begin while rows are read wait: else the session is over before the next kill.
        halt = self.folder / troupe.HALT
        halt.touch()
        parts = ("worker", "server") if kill.victim == "both" else (kill.victim,)
        for part in parts:
            self.witness.mark("down", part)
        if "server" in parts:
            self.server.kill()
        if "worker" in parts:
            self.worker.kill()
        began = self.witness.begun()
        # Side by side, since each takes a while; whoever is up first begins no body.
        if "worker" in parts:
            self.worker.start(self.server.plain.url)
            self.witness.mark("up", "worker")
        if "server" in parts:
            self.server.start()
            self.witness.mark("up", "server")
        # Rows as they are before anything goes on: what is recorded now must not run again.
        count, moving = self._moving(500)
        chance = random.Random(f"{self.seed} {kill.after}")
        for row in chance.sample(moving, min(SAMPLE, len(moving))):
            self.look(row["id"])
        halt.unlink()
        self.notes.append(f"killed {kill.victim} after {began} bodies, with {count} runs moving")

    def _is_over(self) -> bool:
        if self.operator.started < repertoire.RUNS or self._moving(1)[0]:
            return False
        # A failed run that an operator goes on with is not over, nor one whose patch was stored a moment ago.
        rows = self.server.plain.call("ListRuns", {"functionId": repertoire.function("patched"), "limit": 500})
        return all(row["status"] == "RUN_STATUS_COMPLETED" for row in rows["runs"])

    def _reach(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert self.operator.broken is None, f"the operator broke: {self.operator.broken!r}\n{self.story()}"
            assert self.worker.running, f"the worker ended by itself\n{self.story()}"
            if time.monotonic() > deadline:
                moving = "\n".join(map(str, self._moving(8)[1]))
                raise AssertionError(
                    f"seed {self.seed}: waited {PATIENCE:.0f} s for {what}\n{self.story()}\nnot ended:\n{moving}"
                )
            time.sleep(0.02)

    # ---- reading

    def _moving(self, most: int) -> tuple[int, list[Any]]:
        """Return how many runs have not ended, and the newest of them."""
        found = self.server.plain.call("ListRuns", {"statuses": MOVING, "limit": most})
        return found.get("totalCount", 0), found.get("runs", [])

    def _close(self) -> Closing:
        """Look at every run for the last time, and count."""
        plain = self.server.plain
        rows = [row for page in plain.pages("ListRuns", "runs", limit=500) for row in page]
        assert all(row["status"] in ENDED for row in rows), self.story()
        for row in rows:
            self.look(row["id"], row)
        names = plain.rest("GET", "/api/v1/events/names").json["names"]
        known = {one["name"]: one["count"] for one in names if one["name"] in WANTED.events}
        after = plain.call("PubSubService/Publish", {"topic": "chaos-closing", "data": {}})
        return Closing(
            links=tuple(
                Link(row["id"], row["parentRunId"], row["parentStepId"]) for row in rows if row.get("parentRunId")
            ),
            trails=self._trails(),
            answers={number: frozenset(ids) for number, ids in self.operator.answers.items()},
            messages=int(after["sequence"]) - 1,
            events=known,
            functions=Counter(row["functionId"] for row in rows),
        )

    def _trails(self) -> dict[str, tuple[Entry, ...]]:
        """Read the trails of all runs, which come newest first."""
        found: dict[str, list[Entry]] = defaultdict(list)
        cursor, more = "", True
        while more:
            page = self.server.plain.rest("GET", f"/api/v1/audit?limit=1000&cursor={segment(cursor)}").json
            for event in page["events"]:
                entry = Entry(event["event_type"], event.get("step_id", "").partition(":")[2])
                found[event["run_id"]].insert(0, entry)
            cursor, more = page["next_cursor"], page["next_cursor"] != ""
        return {run: tuple(entries) for run, entries in found.items()}


def _seen(step: dict[str, Any]) -> StepSeen:
    name, kind = step["stepId"].partition(":")[2], step["stepType"][_TYPE:].lower()
    return StepSeen(
        status=step["status"][_STEP:].lower(),
        attempt=step["attempt"],
        name=name,
        bodily=kind in ("invoke", "compensate") and not name.startswith(effects.PUBLISHING),
        output=payload(step, "output"),
        kept=(kind, step.get("sequence", 0), step.get("startedAt"), step.get("childRunId")),
    )
