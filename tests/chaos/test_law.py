"""The checker itself: a sound session passes, and each planted fault is found by the law it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos import law, plan
from tests.chaos.law import Sighting, StepSeen
from tests.chaos.witness import Line, Phase

KERNEL, NEXT_KERNEL = 100, 200


class Session:
    """A session told by hand: every bill's run goes to its end, 100 bytes a line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.sightings: list[Sighting] = []

    @property
    def end(self) -> int:
        """The length of the file."""
        return 100 * len(self.lines)

    def body(self, run: str, step: str, *, attempt: int = 1, good: bool | None = True, process: int = KERNEL) -> None:
        """Tell of an execution; `good` None means that it was cut off."""
        self._line("begin", run=run, step=f"{run}:{step}:0", attempt=attempt, process=process)
        if good is not None:
            self._line("end", run=run, step=f"{run}:{step}:0", attempt=attempt, process=process, good=good)

    def outage(self, part: str) -> None:
        """Tell that a part was killed and is up again."""
        self._line("down", part=part)
        self._line("up", part=part)

    def _line(self, phase: Phase, **facts: object) -> None:
        self.lines.append(replace(Line(at=self.end, phase=phase), **facts))  # type: ignore[arg-type]  # fields by name

    def see(self, run: str, status: str, attempt: int, **steps: tuple[str, int]) -> None:
        """Tell what an answer showed of a run: its steps as status and attempt."""
        rows = {
            f"{run}:{name}:0": StepSeen(
                status=found, attempt=tried, name=f"{name}:0", bodily=name != "rest", kept=(place,)
            )
            for place, (name, (found, tried)) in enumerate(steps.items())
        }
        seen = Sighting(at=self.end, run=run, number=int(run[1:]), status=status, attempt=attempt, steps=rows)
        self.sightings.append(seen)

    def whole(self, bill: int) -> None:
        """Tell a bill's run from beginning to end, undisturbed."""
        run = f"r{bill}"
        status, last = plan.ALL[bill].status, plan.ALL[bill].attempt
        self.body(run, "validate")
        for attempt in range(1, last):
            self.body(run, "charge", attempt=attempt, good=False)
        self.body(run, "charge", attempt=last, good=status == "completed")
        rows = {"validate": ("completed", 1), "charge": (status, last)}
        if status == "completed":
            self.body(run, "receipt", attempt=last)
            rows |= {"rest": ("completed", last), "receipt": ("completed", last)}
        self.see(run, status, last, **rows)

    def faults(self) -> list[str]:
        """Return what breaks the law."""
        return law.faults(self.lines, self.sightings, plan.ALL)


def session(*, without: int | None = None) -> Session:
    """Return a sound session, of all bills but one if told so."""
    told = Session()
    for bill in range(plan.BILLS):
        if bill != without:
            told.whole(bill)
    return told


def test_a_sound_session_breaks_no_law() -> None:
    assert session().faults() == []
    assert law.executions(session().lines) == plan.bodies()


@pytest.mark.parametrize("part", ["kernel", "server"])
def test_a_repeat_of_what_was_not_recorded_is_allowed_when_something_was_down(part: str) -> None:
    told = session(without=0)
    told.body("r0", "validate")
    told.see("r0", "running", 1)
    told.outage(part)
    process = NEXT_KERNEL if part == "kernel" else KERNEL
    told.body("r0", "validate", process=process)
    told.body("r0", "charge", process=process)
    told.body("r0", "receipt", process=process)
    steps = dict.fromkeys(("validate", "charge", "rest", "receipt"), ("completed", 1))
    told.see("r0", "completed", 1, **steps)
    assert told.faults() == []
    assert law.repeats(told.lines) == 1


def double_after_the_record(told: Session) -> None:
    """Run a step again behind the sighting of its row, with the best excuse there is."""
    told.outage("kernel")
    told.body("r7", "charge", process=NEXT_KERNEL)


def double_without_a_cause(told: Session) -> None:
    """Run a step twice before anybody looked."""
    place = next(place for place, line in enumerate(told.lines) if line.step == "r7:validate:0")
    told.lines[place:place] = told.lines[place : place + 2]


def double_with_the_wrong_cause(told: Session) -> None:
    """Run a step again in another process although only the server was down."""
    told.sightings = [seen for seen in told.sightings if seen.run != "r7"]
    told.outage("server")
    told.body("r7", "receipt", process=NEXT_KERNEL)
    told.see("r7", "completed", 1, **dict.fromkeys(("validate", "charge", "rest", "receipt"), ("completed", 1)))


def never_ran(told: Session) -> None:
    """Record a step whose body nobody ran."""
    told.lines = [line for line in told.lines if line.step != "r7:receipt:0"]


def ran_badly(told: Session) -> None:
    """Record as completed what failed."""
    told.lines = [replace(line, good=False) if line.step == "r7:receipt:0" else line for line in told.lines]


def never_ended(told: Session) -> None:
    """Leave a run where a kill left it."""
    told.sightings = [replace(seen, status="running") if seen.run == "r7" else seen for seen in told.sightings]


def cost_an_attempt(told: Session) -> None:
    """Charge a kill to the run's budget."""
    told.sightings = [replace(seen, attempt=seen.attempt + 1) if seen.run == "r7" else seen for seen in told.sightings]


def doubled_event(told: Session) -> None:
    """Start two runs for one bill."""
    told.sightings += [replace(told.sightings[7], run="r7-again", steps={})]


def lost_event(told: Session) -> None:
    """Start no run for a bill."""
    told.sightings = [seen for seen in told.sightings if seen.run != "r7"]


def changed_record(told: Session) -> None:
    """Change the output of a completed step."""
    seen = told.sightings[7]
    row = replace(seen.steps["r7:charge:0"], kept=("another output",))
    told.sightings.append(replace(seen, steps={**seen.steps, "r7:charge:0": row}))


def forgotten_record(told: Session) -> None:
    """Forget a completed step, and record it once more."""
    seen = told.sightings[7]
    rest = {step: row for step, row in seen.steps.items() if step != "r7:charge:0"}
    told.sightings += [replace(seen, status="running", steps=rest), seen]


@pytest.mark.parametrize(
    ("plant", "broken"),
    [
        (double_after_the_record, "law 3"),
        (double_without_a_cause, "law 4"),
        (double_with_the_wrong_cause, "law 4"),
        (never_ran, "law 5"),
        (ran_badly, "law 5"),
        (never_ended, "law 1"),
        (cost_an_attempt, "law 1"),
        (doubled_event, "law 1"),
        (lost_event, "law 1"),
        (changed_record, "law 2"),
        (forgotten_record, "law 2"),
    ],
)
def test_a_planted_fault_is_found(plant: Callable[[Session], None], broken: str) -> None:
    told = session()
    plant(told)
    found = told.faults()
    assert found, plant.__doc__
    assert found[0].startswith(broken) or broken in {fault[:5] for fault in found}, found
    assert any("r7" in fault or "number 7 " in fault for fault in found), found
