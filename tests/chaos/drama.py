"""One session: the tour's bills, a real server and a real kernel, kills at given points, rows read between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from tests.chaos import cells, law, plan
from tests.chaos.kernel import CellFailed, Kernel, environment_of
from tests.chaos.law import Sighting, StepSeen
from tests.chaos.witness import Line, Witness
from tests.conformance.plain import ENDED, payload
from tests.conformance.processes import Server

Victim = Literal["server", "kernel", "both"]
VICTIMS: tuple[Victim, ...] = ("server", "kernel", "both")
PATIENCE = 60.0
# While so many bodies begin, the bills are still being emitted.
EMITTING = 15
MOVING = [f"RUN_STATUS_{status}" for status in ("PENDING", "WAITING_FOR_CAPACITY", "RUNNING", "WAITING", "PAUSED")]
_RUN, _STEP = len("RUN_STATUS_"), len("STEP_STATUS_")


@dataclass(frozen=True)
class Kill:
    """Kill -9 of `victim` once `after` bodies have begun."""

    victim: Victim
    after: int


def points(seed: int, victims: Sequence[Victim]) -> list[Kill]:
    """Return one kill a victim at places drawn from the seed: the first amid the emission, then all along."""
    chance = random.Random(seed)
    afters = [chance.randrange(2, EMITTING)]
    share = (plan.bodies() - 2 * EMITTING) / max(len(victims) - 1, 1)
    afters += [EMITTING + int((place + chance.random()) * share) for place in range(len(victims) - 1)]
    return [Kill(victim, after) for victim, after in zip(victims, afters, strict=True)]


@dataclass
class Drama:
    """A session being played in a folder; afterwards `lines` and `sightings` are what the law is held to."""

    folder: Path
    server: Server = field(init=False)
    witness: Witness = field(init=False)
    kernel: Kernel | None = None
    sightings: list[Sighting] = field(default_factory=list)
    emission: str = ""
    emitted: bool = False
    emissions: int = 0
    accepted_at_first_kill: int = 0
    notes: list[str] = field(default_factory=list)
    _seen_ended: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.server = Server(self.folder)
        self.witness = Witness(self.folder / "witness")

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.kernel is not None:
            self.kernel.kill()
        self.server.kill()

    @property
    def lines(self) -> list[Line]:
        """All that the witness file says."""
        return self.witness.lines()

    def play(self, kills: Sequence[Kill]) -> None:
        """Emit the bills, kill at every point and start again what was killed, until every run has ended."""
        self._open_kernel()
        for kill in kills:
            self._reach(partial(self._begun, kill.after), f"{kill.after} bodies to begin")
            self._strike(kill)
        self._reach(lambda: self.emitted, "the emission to end")
        self._reach(lambda: not self._moving(), "every run to end")
        self.see(self._runs())

    def see(self, rows: Sequence[dict[str, Any]]) -> None:
        """Read the steps of these runs, and note where the witness file stood when each answer had come."""
        for row in rows:
            steps = self.server.plain.steps(row["id"])
            at = self.witness.size()
            if row["status"] in ENDED:
                self._seen_ended.add(row["id"])
            self.sightings.append(
                Sighting(
                    at=at,
                    run=row["id"],
                    number=row["input"]["bill"],
                    status=row["status"][_RUN:].lower(),
                    attempt=row["attempt"],
                    steps={
                        step["stepId"]: StepSeen(
                            status=step["status"][_STEP:].lower(),
                            attempt=step["attempt"],
                            name=step["stepId"].partition(":")[2],
                            bodily=step["stepType"] != "STEP_TYPE_SLEEP",
                            output=payload(step, "output"),
                            kept=(step.get("sequence", 0), step.get("startedAt")),
                        )
                        for step in steps
                    },
                )
            )

    def story(self) -> str:
        """Return what the processes said, for a failure."""
        parts = [*self.notes, self.server.story()]
        return "\n".join([*parts, self.kernel.story()] if self.kernel else parts)

    # ---- killing and starting again

    def _strike(self, kill: Kill) -> None:
        self.see([self.server.plain.run(run) for run in self._recent()])
        # Bodies that would begin while rows are read wait: else the session is over before the next kill.
        halt = self.folder / cells.HALT
        halt.touch()
        parts = ("kernel", "server") if kill.victim == "both" else (kill.victim,)
        for part in parts:
            self.witness.mark("down", part)
        if "server" in parts:
            self.server.kill()
        if "kernel" in parts and self.kernel is not None:
            self.kernel.kill()
            self.kernel = None
        began = self.witness.begun()
        if "server" in parts:
            self.server.start()
            self.witness.mark("up", "server")
        # Rows as they are before a new worker is there: what is recorded now must not run again.
        rows = self._runs()
        # Of one that has not begun there is nothing to see.
        self.see([row for row in rows if row["id"] not in self._seen_ended and "startedAt" in row])
        self.accepted_at_first_kill = self.accepted_at_first_kill or len(rows)
        if "kernel" in parts:
            self._open_kernel()
            self.witness.mark("up", "kernel")
        halt.unlink()
        self.notes.append(f"killed {kill.victim} after {began} bodies, with {len(rows)} runs accepted")

    def _open_kernel(self) -> None:
        self.kernel = Kernel(self.folder, **environment_of(self.server.plain.url, self.witness.path))
        self.kernel.run(cells.CONNECT)
        self.kernel.run(cells.DEFINE)
        if not self.emitted:
            self._emit()

    def _emit(self) -> None:
        assert self.kernel is not None
        self.emissions += 1
        self.emission = self.kernel.start_cell(cells.EMIT)

    def _reach(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            self._watch_emission()
            if time.monotonic() > deadline:
                moving = "\n".join(map(str, self._moving()[:8]))
                raise AssertionError(
                    f"waited {PATIENCE:.0f} s for {what}; emitted: {self.emitted}\n{self.story()}\n"
                    f"these have not ended:\n{moving}"
                )
            time.sleep(0.002)

    def _watch_emission(self) -> None:
        if self.emitted or self.kernel is None:
            return
        try:
            self.emitted = self.kernel.cell_ended(self.emission)
        except CellFailed as failure:
            # The remedy that any user has: run the cell again. The batch has a name, so nothing doubles.
            self.notes.append(str(failure))
            self._emit()

    # ---- reading

    def _begun(self, wanted: int) -> bool:
        return self.witness.begun() >= wanted

    def _runs(self) -> list[dict[str, Any]]:
        pages = self.server.plain.pages("ListRuns", "runs", limit=500)
        return [row for page in pages for row in page]

    def _recent(self) -> list[str]:
        begun = [line.run for line in self.lines if line.phase == "begin"]
        return list(dict.fromkeys(reversed(begun)))[:4]

    def _moving(self) -> list[Any]:
        rows: list[Any] = self.server.plain.call("ListRuns", {"statuses": MOVING, "limit": 500}).get("runs", [])
        return rows

    def faults(self) -> list[str]:
        """Return what breaks the law."""
        return law.faults(self.lines, self.sightings, plan.ALL)
