"""The law of a killed engine, and the checker that holds a session against it.

Two independent stories are compared: the witness file, which step bodies append to and no engine can
see, and the rows, read by plain HTTP. A row is evidence from the moment its answer was received: the
length of the file at that moment is noted with it (a `Sighting`), so that whatever stands behind that
place happened after the step was recorded. No clock is compared with another.

1. **Everything ends.** There is one run a number, no more (an emission that was cut off and sent again
   doubles nothing), and each ends in the status, the attempt and the steps it is made for: a kill
   costs no attempt.
2. **What is recorded stays.** A step seen as completed is seen the same in every later answer, unless
   an operator has put the output he meant to in its place; a run seen as ended stays so too, unless it
   failed and an operator resumed it.
3. **What is recorded does not run again.** No body begins behind the sighting of its completed row, or
   of the end of its run.
4. **Nothing runs twice without a cause.** Rows are only read now and then, so 3 alone would miss what
   runs again between two readings. Hence: between the beginnings of two executions of one step, unless
   the first one failed and the second belongs to a later attempt or to a resumed run, something must
   have been down: the kernel or worker when they are of two processes, the server when they are of one.
5. **What is recorded did run.** A completed row has an execution of its attempt that ended well, and a
   failed one an execution that failed; a corrected one has been executed.

The laws of what steps do beside running bodies go on in `effects`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.chaos.made import Made
from tests.chaos.witness import Line

ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class StepSeen:
    """A step's row: all of it must stay once it is completed.

    `name` is its id without the run's; `bodily` whether a body of the worker makes its output.
    """

    status: str
    attempt: int
    name: str
    bodily: bool = True
    output: Any = None
    kept: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A run and its steps as one answer showed them, received when the file was `at` bytes long."""

    at: int
    run: str
    number: int
    status: str
    attempt: int
    steps: Mapping[str, StepSeen]


@dataclass(frozen=True, kw_only=True)
class Body:
    """One execution of a step's body; `good` is None when it never ended."""

    at: int
    attempt: int
    process: int
    good: bool | None


Bodies = Mapping[tuple[str, str], list[Body]]


@dataclass(frozen=True)
class Acts:
    """What an operator did: where in the file he began to, by what it was, the run and the step."""

    places: Mapping[tuple[str, str, str], list[int]]

    def resumed(self, run: str, first: int, last: int) -> bool:
        """Return whether the run was resumed between two places."""
        return any(first <= at < last for at in self.places.get(("resume", run, ""), ()))

    def corrected(self, run: str, step: str, last: int) -> bool:
        """Return whether a step's output was replaced before a place."""
        found = (at for kind in ("inject", "patch") for at in self.places.get((kind, run, step), ()))
        return any(at < last for at in found)


def faults(
    lines: Iterable[Line], sightings: Iterable[Sighting], made: Mapping[int, Made], *, hands: str = "kernel"
) -> list[str]:
    """Return what breaks the law, in words; the last sighting of each run must be from the end.

    `hands` is what the bodies run in.
    """
    listed, by_run = list(lines), defaultdict[str, list[Sighting]](list)
    for sighting in sightings:
        by_run[sighting.run].append(sighting)
    bodies, acts = bodies_of(listed), _acts(listed)
    return [
        *_all_ended({run: seen[-1] for run, seen in by_run.items()}, made),
        *(fault for seen in by_run.values() for fault in _stays(seen, made, acts)),
        *_never_again(by_run, bodies, acts),
        *_caused(bodies, _outages(listed), acts, hands),
        *(fault for seen in by_run.values() for fault in _did_run(seen[-1], bodies, made)),
    ]


def executions(lines: Iterable[Line]) -> int:
    """Return how many bodies began."""
    return sum(line.phase == "begin" for line in lines)


def repeats(lines: Iterable[Line]) -> int:
    """Return how many executions were repeats of one that had ended the same attempt well."""
    count = 0
    for found in bodies_of(list(lines)).values():
        count += sum(earlier.good is True for earlier in found[:-1])
    return count


def bodies_of(lines: list[Line]) -> Bodies:
    """Return all executions, in order, by run and step."""
    begun: dict[tuple[str, str], list[Body]] = defaultdict(list)
    for place, line in enumerate(lines):
        if line.phase == "begin":
            end = _end_of(lines, place)
            body = Body(at=line.at, attempt=line.attempt, process=line.process, good=end)
            begun[line.run, line.step].append(body)
    return begun


def _end_of(lines: list[Line], place: int) -> bool | None:
    """Return how the body ended that began here: the next end of this step in this process is its own."""
    begin = lines[place]
    for line in lines[place + 1 :]:
        if (line.run, line.step, line.process) == (begin.run, begin.step, begin.process):
            return line.good if line.phase == "end" else None
    return None


def _outages(lines: list[Line]) -> dict[str, list[tuple[int, int]]]:
    open_since: dict[str, int] = {}
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for line in lines:
        if line.phase == "down":
            open_since[line.part] = line.at
        elif line.phase == "up":
            found[line.part].append((open_since.pop(line.part), line.at))
    return found


def _acts(lines: list[Line]) -> Acts:
    places: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for line in lines:
        if line.phase == "act":
            places[line.part, line.run, line.step].append(line.at)
    return Acts(places)


def _all_ended(last: Mapping[str, Sighting], made: Mapping[int, Made]) -> Iterator[str]:
    by_number: dict[int, list[str]] = defaultdict(list)
    for run, seen in last.items():
        by_number[seen.number].append(run)
    for number in made:
        if len(by_number[number]) != 1:
            yield f"law 1: number {number} has {len(by_number[number])} runs, not one: {by_number[number]}"
    for number in sorted(set(by_number) - set(made)):
        yield f"law 1: there is no number {number}, yet it has runs: {by_number[number]}"
    for run, seen in last.items():
        meant = made.get(seen.number)
        if meant is None:
            continue
        if (seen.status, seen.attempt) != (meant.status, meant.attempt):
            yield (
                f"law 1: {run} (number {seen.number}) stands at {seen.status}, attempt {seen.attempt};"
                f" made for {meant.status}, attempt {meant.attempt}"
            )
        steps = {step.name: step.status for step in seen.steps.values()}
        if steps != meant.steps or len(steps) != len(seen.steps):
            yield f"law 1: {run} (number {seen.number}) has the steps {steps}; made for {dict(meant.steps)}"


def _stays(seen: list[Sighting], made: Mapping[int, Made], acts: Acts) -> Iterator[str]:
    for earlier, later in itertools.pairwise(seen):
        ended, now = (earlier.status, earlier.attempt), (later.status, later.attempt)
        resumed = earlier.status == "failed" and acts.resumed(earlier.run, 0, later.at)
        if earlier.status in ENDED and now != ended and not resumed:
            yield f"law 2: {earlier.run} was seen {earlier.status} and later {later.status}"
        meant = made.get(earlier.number)
        corrected = {} if meant is None else meant.corrected
        for step, row in earlier.steps.items():
            found = later.steps.get(step)
            if row.status != "completed" or found == row:
                continue
            # The first output may give way to the one that was meant, and that one to none.
            gives_way = row.name in corrected and acts.corrected(earlier.run, step, later.at)
            if not gives_way or found != replace(row, output=corrected[row.name]):
                yield f"law 2: {step} was seen as {row} and later as {found}"


def _never_again(by_run: Mapping[str, list[Sighting]], bodies: Bodies, acts: Acts) -> Iterator[str]:
    for (run, step), found in bodies.items():
        seen = by_run.get(run, ())
        recorded = [one.at for one in seen if step in one.steps and one.steps[step].status == "completed"]
        ended = [one.at for one in seen if one.status in ENDED]
        for body in found:
            over = [at for at in recorded if at <= body.at]
            over += [at for at in ended if at <= body.at and not acts.resumed(run, 0, body.at)]
            if over:
                yield f"law 3: {step} began at byte {body.at} and was known to be recorded at {min(over)}"


def _caused(bodies: Bodies, outages: Mapping[str, list[tuple[int, int]]], acts: Acts, hands: str) -> Iterator[str]:
    for (run, step), found in bodies.items():
        for first, second in itertools.pairwise(found):
            again = second.attempt > first.attempt or acts.resumed(run, first.at, second.at)
            if first.good is False and again:
                continue
            part = "server" if first.process == second.process else hands
            if not any(down < second.at and first.at < up for down, up in outages.get(part, ())):
                yield f"law 4: {step} ran twice ({first}, {second}) and the {part} was not down between"


def _did_run(seen: Sighting, bodies: Bodies, made: Mapping[int, Made]) -> Iterator[str]:
    meant = made.get(seen.number)
    corrected = {} if meant is None else meant.corrected
    for step, row in seen.steps.items():
        if not row.bodily or row.status not in ("completed", "failed"):
            continue
        wanted = row.status == "completed"
        ran = bodies.get((seen.run, step), ())
        if row.name in corrected:
            did = any(body.good is not None for body in ran)
        else:
            did = any(body.good is wanted and body.attempt == row.attempt for body in ran)
        if not did:
            yield f"law 5: {step} is recorded as {row.status} in attempt {row.attempt}, and ran as {ran}"
