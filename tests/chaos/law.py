"""The law of a killed engine, and the checker that holds a session against it.

Two independent stories are compared: the witness file, which step bodies append to and no engine can
see, and the rows, read by plain HTTP. A row is evidence from the moment its answer was received: the
length of the file at that moment is noted with it (a `Sighting`), so that whatever stands behind that
place happened after the step was recorded. No clock is compared with another.

1. **Everything ends.** There is one run a bill, no more (an emission that was cut off and sent again
   doubles nothing), and each ends in the status and the attempt that its bill is made for: a kill
   costs no attempt.
2. **What is recorded stays.** A step seen as completed is seen the same in every later answer; a run
   seen as ended too.
3. **What is recorded does not run again.** No body begins behind the sighting of its completed row, or
   of the end of its run.
4. **Nothing runs twice without a cause.** Rows are only read now and then, so 3 alone would miss what
   runs again between two readings. Hence: between the beginnings of two executions of one step, unless
   the first one failed and the second belongs to a later attempt, something must have been down: the
   kernel when they are of two processes, the server when they are of one.
5. **What is recorded did run.** A completed row has an execution of its attempt that ended well, and a
   failed one an execution that failed.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos import plan
from tests.chaos.witness import Line

ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class StepSeen:
    """A step's row: `kept` is all of it that must not change once it is completed."""

    status: str
    attempt: int
    name: str
    kept: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A run and its steps as one answer showed them, received when the file was `at` bytes long."""

    at: int
    run: str
    bill: int
    status: str
    attempt: int
    steps: Mapping[str, StepSeen]


def faults(lines: Iterable[Line], sightings: Iterable[Sighting]) -> list[str]:
    """Return what breaks the law, in words; the last sighting of each run must be from the end."""
    listed, by_run = list(lines), defaultdict[str, list[Sighting]](list)
    for sighting in sightings:
        by_run[sighting.run].append(sighting)
    bodies = _bodies(listed)
    return [
        *_all_ended({run: seen[-1] for run, seen in by_run.items()}),
        *(fault for seen in by_run.values() for fault in _stays(seen)),
        *(fault for seen in by_run.values() for fault in _never_again(seen, bodies)),
        *_caused(bodies, _outages(listed)),
        *(fault for seen in by_run.values() for fault in _did_run(seen[-1], bodies)),
    ]


@dataclass(frozen=True, kw_only=True)
class Body:
    """One execution of a step's body; `good` is None when it never ended."""

    at: int
    attempt: int
    process: int
    good: bool | None


def executions(lines: Iterable[Line]) -> int:
    """Return how many bodies began."""
    return sum(line.phase == "begin" for line in lines)


def repeats(lines: Iterable[Line]) -> int:
    """Return how many executions were repeats of one that had ended the same attempt well."""
    count = 0
    for found in _bodies(list(lines)).values():
        count += sum(earlier.good is True for earlier in found[:-1])
    return count


def _bodies(lines: list[Line]) -> dict[tuple[str, str], list[Body]]:
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


def _all_ended(last: Mapping[str, Sighting]) -> Iterator[str]:
    by_bill: dict[int, list[str]] = defaultdict(list)
    for run, seen in last.items():
        by_bill[seen.bill].append(run)
    for bill in range(plan.BILLS):
        if len(by_bill[bill]) != 1:
            yield f"law 1: bill {bill} has {len(by_bill[bill])} runs, not one: {by_bill[bill]}"
    for bill in sorted(set(by_bill) - set(range(plan.BILLS))):
        yield f"law 1: there is no bill {bill}, yet it has runs: {by_bill[bill]}"
    for run, seen in last.items():
        if (seen.status, seen.attempt) != plan.outcome(seen.bill):
            yield (
                f"law 1: {run} (bill {seen.bill}) stands at {seen.status}, attempt {seen.attempt};"
                f" made for {plan.outcome(seen.bill)}"
            )
        steps = {step.name: step.status for step in seen.steps.values()}
        if steps != plan.steps(seen.bill) or len(steps) != len(seen.steps):
            yield f"law 1: {run} (bill {seen.bill}) has the steps {steps}"


def _stays(seen: list[Sighting]) -> Iterator[str]:
    for earlier, later in itertools.pairwise(seen):
        if earlier.status in ENDED and (later.status, later.attempt) != (earlier.status, earlier.attempt):
            yield f"law 2: {earlier.run} was seen {earlier.status} and later {later.status}"
        for step, row in earlier.steps.items():
            now = later.steps.get(step)
            if row.status == "completed" and now != row:
                yield f"law 2: {step} was seen as {row} and later as {now}"


def _never_again(seen: list[Sighting], bodies: Mapping[tuple[str, str], list[Body]]) -> Iterator[str]:
    run = seen[0].run
    for (of, step), found in bodies.items():
        if of != run:
            continue
        barred = min(
            (
                sighting.at
                for sighting in seen
                if sighting.status in ENDED or (step in sighting.steps and sighting.steps[step].status == "completed")
            ),
            default=None,
        )
        for body in found:
            if barred is not None and body.at >= barred:
                yield f"law 3: {step} began at byte {body.at} and was known to be recorded at {barred}"


def _caused(
    bodies: Mapping[tuple[str, str], list[Body]], outages: Mapping[str, list[tuple[int, int]]]
) -> Iterator[str]:
    for (_, step), found in bodies.items():
        for first, second in itertools.pairwise(found):
            if first.good is False and second.attempt > first.attempt:
                continue
            part = "server" if first.process == second.process else "kernel"
            if not any(down < second.at and first.at < up for down, up in outages.get(part, ())):
                yield f"law 4: {step} ran twice ({first}, {second}) and the {part} was not down between"


def _did_run(seen: Sighting, bodies: Mapping[tuple[str, str], list[Body]]) -> Iterator[str]:
    for step, row in seen.steps.items():
        if row.name == "rest" or row.status not in ("completed", "failed"):
            continue
        wanted = row.status == "completed"
        ran = bodies.get((seen.run, step), ())
        if not any(body.good is wanted and body.attempt == row.attempt for body in ran):
            yield f"law 5: {step} is recorded as {row.status} in attempt {row.attempt}, and ran as {ran}"
