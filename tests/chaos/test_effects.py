"""The checker of what steps do beside running bodies: a sound session passes, each planted fault is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from tests.chaos import effects, law, repertoire
from tests.chaos.effects import Closing, Entry, Link
from tests.chaos.law import Sighting, StepSeen
from tests.chaos.made import Made
from tests.chaos.stage import WANTED
from tests.chaos.witness import Line

WORKER, NEXT_WORKER = 100, 200
BODILESS = ("rest:", "nap:", "answer:", "never:", "publish:", "chaos-child:")


class Session:
    """A session told by hand: each run goes to its end undisturbed, 100 bytes a line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.sightings: list[Sighting] = []
        self.trails: dict[str, list[Entry]] = {}
        self.links: list[Link] = []
        self.messages = 0

    def line(self, phase: Any, run: str, **facts: Any) -> None:
        """Tell a line of the witness file."""
        self.lines.append(Line(at=100 * len(self.lines), phase=phase, run=run, process=WORKER, **facts))

    def body(self, run: str, step: str, attempt: int, *, good: bool) -> None:
        """Tell of a body."""
        for phase in ("begin", "end"):
            self.line(phase, run, step=f"{run}:{step}", attempt=attempt, good=good and phase == "end")

    def tell(self, number: int, made: Made) -> None:
        """Tell of a run: first as it was before an operator came, if one did, and then as it ended."""
        run = f"r{number}"
        trail: list[Entry] = []
        rows: dict[str, StepSeen] = {}
        for name, status in made.steps.items():
            rows[f"{run}:{name}"] = self.row(run, number, name, status, made, trail)
        for name, meant in made.corrected.items():
            before = {**rows, f"{run}:{name}": replace(rows[f"{run}:{name}"], output={"price": -1})}
            self.see(run, number, "paused", 1, before)
            self.line("act", run, part="inject", step=f"{run}:{name}")
            rows[f"{run}:{name}"] = replace(rows[f"{run}:{name}"], output=meant)
            trail.append(Entry("step.injected", name))
        self.trails[run] = trail
        self.see(run, number, made.status, made.attempt, rows)

    def row(self, run: str, number: int, name: str, status: str, made: Made, trail: list[Entry]) -> StepSeen:
        """Tell how a step came about and return its row."""
        bodily, output = self.bodily(name), made.outputs.get(name)
        if bodily:
            self.body(run, name, made.attempt, good=status == "completed")
        elif name.startswith("publish:"):
            self.messages += 1
            output = {"sequence": self.messages, "eventId": f"msg_{self.messages}"}
        elif name in made.children:
            self.links.append(Link(f"r{made.children[name]}", run, f"{run}:{name}"))
        elif name.startswith("answer:"):
            output = {"id": f"evt_{number}"}
        if status == "completed":
            undoing = name.startswith("compensate:")
            trail.append(Entry("saga.compensation.completed" if undoing else "step.completed", name))
        return StepSeen(status=status, attempt=made.attempt, name=name, bodily=bodily, output=output)

    @staticmethod
    def bodily(name: str) -> bool:
        """Whether a body makes the step's output."""
        return not name.startswith(BODILESS) and ":nap:" not in name

    def see(self, run: str, number: int, status: str, attempt: int, rows: dict[str, StepSeen]) -> None:
        """Tell what an answer showed."""
        at = 100 * len(self.lines)
        self.sightings.append(Sighting(at=at, run=run, number=number, status=status, attempt=attempt, steps=dict(rows)))

    def change(self, run: str, **fields: Any) -> None:
        """Change the last sighting of a run."""
        place = max(place for place, seen in enumerate(self.sightings) if seen.run == run)
        self.sightings[place] = replace(self.sightings[place], **fields)

    def last(self, run: str) -> Sighting:
        """Return the last sighting of a run."""
        return next(seen for seen in reversed(self.sightings) if seen.run == run)

    def faults(self) -> list[str]:
        """Return what breaks the law."""
        answers = {
            number: frozenset({f"evt_{number}"})
            for number in range(repertoire.RUNS)
            if repertoire.kind(number) in repertoire.AWAITING
        }
        closing = Closing(
            links=tuple(self.links),
            trails={run: tuple(entries) for run, entries in self.trails.items()},
            answers=answers,
            messages=self.messages,
            events=repertoire.events(),
            functions=repertoire.functions(),
        )
        bodies = law.bodies_of(self.lines)
        return [
            *law.faults(self.lines, self.sightings, repertoire.ALL, hands="worker"),
            *effects.faults(self.sightings, bodies, closing, repertoire.ALL, WANTED),
        ]


@cache
def told() -> Session:
    """Return the story of all runs, told once."""
    found = Session()
    for number, made in repertoire.ALL.items():
        found.tell(number, made)
    return found


def sound() -> Session:
    """Return a sound session, which may be changed."""
    found, base = Session(), told()
    found.lines, found.sightings, found.links = [*base.lines], [*base.sightings], [*base.links]
    found.trails = {run: [*trail] for run, trail in base.trails.items()}
    found.messages = base.messages
    return found


def first(kind: str, turn: int = 0) -> str:
    """Return the run of a kind."""
    return f"r{repertoire.KINDS.index(kind) + turn * len(repertoire.KINDS)}"


def without(told: Session, run: str, step: str) -> dict[str, StepSeen]:
    """Return the rows of a run without one of them."""
    return {name: row for name, row in told.last(run).steps.items() if name != f"{run}:{step}"}


def test_a_sound_session_breaks_no_law() -> None:
    assert sound().faults() == []


def double_execution(told: Session) -> None:
    """Run a step of a parallel's branch again behind its row, with the excuse of another kill."""
    run = first("fan")
    told.line("down", "", part="worker")
    told.line("up", "", part="worker")
    told.lines.append(replace(told.lines[-1], phase="begin", run=run, step=f"{run}:fan:1:b:0", process=NEXT_WORKER))


def injected_executed_over(told: Session) -> None:
    """Execute a step again whose output an operator has put in."""
    run = first("held")
    told.line("act", run, part="resume")
    told.body(run, "quote:0", 1, good=True)


def injection_lost(told: Session) -> None:
    """Let the first output come back."""
    run = first("held")
    rows = told.last(run).steps
    name = f"{run}:quote:0"
    told.see(run, told.last(run).number, "completed", 1, {**rows, name: replace(rows[name], output={"price": -1})})


def correction_never_made(told: Session) -> None:
    """Answer an injection and store nothing."""
    run = first("stopped")
    told.trails[run] = [entry for entry in told.trails[run] if entry.kind != "step.injected"]


def lost_compensation(told: Session) -> None:
    """Undo one thing less."""
    run = first("saga")
    told.trails[run] = [entry for entry in told.trails[run] if entry.step != "compensate:charge:1"]


def lost_compensation_row(told: Session) -> None:
    """Tell of a compensation in the trail only."""
    run = first("saga")
    told.change(run, steps=without(told, run, "compensate:reserve:0"))


def compensation_twice(told: Session) -> None:
    """Record a compensation again."""
    run = first("saga")
    told.trails[run].append(Entry("saga.compensation.completed", "compensate:reserve:0"))


def oldest_first(told: Session) -> None:
    """Undo in the order of doing."""
    run = first("saga")
    told.trails[run][-3:] = reversed(told.trails[run][-3:])


def undone_though_cancelled(told: Session) -> None:
    """Run a compensation of a run that was cancelled, and keep it to itself."""
    told.lines.insert(0, Line(at=0, phase="begin", run=first("cancelled"), step=f"{first('cancelled')}:compensate:x:0"))


def undone_though_paused(told: Session) -> None:
    """Undo what a run did that only pauses."""
    run = first("exhausted")
    told.trails[run].append(Entry("saga.compensation.completed", "compensate:reserve:0"))


def second_child(told: Session) -> None:
    """Start a second run for a call, which ends as the first."""
    run = first("parent")
    link = next(link for link in told.links if link.parent == run)
    child = told.last(link.run)
    told.links.append(Link("again", link.parent, link.step))
    told.sightings.append(replace(child, run="again", steps={}))


def lost_child(told: Session) -> None:
    """Start no run for a call."""
    told.links = [link for link in told.links if link.parent != first("starter")]


def doubled_message(told: Session) -> None:
    """Publish a message again: the log has one more than rows tell of."""
    told.messages += 1


def message_of_two(told: Session) -> None:
    """Give two messages one place."""
    run = first("herald")
    rows = told.last(run).steps
    one, two = (f"{run}:publish:{repertoire.TOPIC}:{place}" for place in range(2))
    told.change(run, steps={**rows, two: replace(rows[two], output=rows[one].output)})


def wait_ended_twice(told: Session) -> None:
    """Record the end of a wait again."""
    told.trails[first("wait")].append(Entry("step.completed", "answer:0"))


def wrong_event(told: Session) -> None:
    """Give a wait the event that another one waits for."""
    run = first("wait")
    rows = told.last(run).steps
    name = f"{run}:answer:0"
    told.change(run, steps={**rows, name: replace(rows[name], output={"id": "evt_999"})})


def lost_run(told: Session) -> None:
    """Leave a run out."""
    told.sightings = [seen for seen in told.sightings if seen.run != first("spread")]


def stuck_run(told: Session) -> None:
    """Leave a run waiting."""
    told.change(first("loop"), status="waiting")


@pytest.mark.parametrize(
    ("plant", "broken"),
    [
        (double_execution, "law 3"),
        (injected_executed_over, "law 3"),
        (injection_lost, "law 10"),
        (injection_lost, "law 2"),
        (correction_never_made, "law 10"),
        (lost_compensation, "law 9"),
        (lost_compensation_row, "law 1"),
        (compensation_twice, "law 9"),
        (oldest_first, "law 9"),
        (undone_though_cancelled, "law 9"),
        (undone_though_paused, "law 9"),
        (second_child, "law 6"),
        (second_child, "law 1"),
        (lost_child, "law 6"),
        (doubled_message, "law 8"),
        (doubled_message, "law 11"),
        (message_of_two, "law 8"),
        (wait_ended_twice, "law 7"),
        (wrong_event, "law 7"),
        (lost_run, "law 1"),
        (stuck_run, "law 1"),
    ],
)
def test_a_planted_fault_is_found(plant: Callable[[Session], None], broken: str) -> None:
    session = sound()
    plant(session)
    found = session.faults()
    assert broken in {fault.partition(":")[0] for fault in found}, found
