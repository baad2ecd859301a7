"""The law of what steps do beside running bodies, held against how everything stands on closing.

6. **One child a call.** Each step that starts a run has started the one that says so of itself, and no
   other; the row names it.
7. **Once recorded.** The trail of a run tells of the end of each of its completed steps once, a wait's as
   any other's; a wait has come to the one event that was emitted for it, however often it was sent.
8. **Once published.** The places of the messages that rows tell of are all places there are in the log.
9. **Undone in order.** Compensations are recorded newest first, and nowhere but where they are due: not in
   a run that paused, that was cancelled or whose wait timed out, neither as a row nor as a body.
10. **Corrections last.** A step whose output an operator replaced has that output in the end, the trail
    tells of it, and what came after has worked with it.
11. **Counts agree.** There are as many runs of each function, as many events of each name and as many
    messages as were asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.chaos.law import Bodies, Sighting, StepSeen
from tests.chaos.made import Made

COMPLETIONS = ("step.completed", "saga.compensation.completed")
CORRECTIONS = ("step.injected", "step.patched")
UNDOING = "compensate:"
PUBLISHING = "publish:"
ANSWER = "answer:"


class Link(NamedTuple):
    """A run that was started by another: its id, and the run and step that it says have started it."""

    run: str
    parent: str
    step: str


class Entry(NamedTuple):
    """One event of a trail: its type, and the step's id without the run's."""

    kind: str
    step: str


@dataclass(frozen=True, kw_only=True)
class Closing:
    """How everything stands when every run has ended, read by plain HTTP.

    `answers` are the event ids that the emissions for a number were answered with; `messages` is the last
    place of the log.
    """

    links: tuple[Link, ...]
    trails: Mapping[str, tuple[Entry, ...]]
    answers: Mapping[int, frozenset[str]]
    messages: int
    events: Mapping[str, int]
    functions: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the counts on closing must be."""

    messages: int
    events: Mapping[str, int]
    functions: Mapping[str, int]


def faults(
    sightings: Iterable[Sighting], bodies: Bodies, closing: Closing, made: Mapping[int, Made], wanted: Wanted
) -> list[str]:
    """Return what breaks the law, in words."""
    last = {sighting.run: sighting for sighting in sightings}
    pairs = [(seen, made[seen.number]) for seen in last.values() if seen.number in made]
    return [
        *_children(pairs, closing),
        *(fault for seen, _ in pairs for fault in _once_recorded(seen, closing)),
        *_published(pairs, closing),
        *(fault for seen, meant in pairs for fault in _undone(seen, meant, closing)),
        *_undone_bodies(last, bodies, made),
        *(fault for seen, meant in pairs for fault in _corrected(seen, meant, closing)),
        *_counts(closing, wanted),
    ]


def _children(pairs: list[tuple[Sighting, Made]], closing: Closing) -> Iterator[str]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for link in closing.links:
        found[link.parent, link.step].append(link.run)
    for seen, meant in pairs:
        for name in meant.children:
            step = f"{seen.run}:{name}"
            started = found.pop((seen.run, step), [])
            if len(started) != 1:
                yield f"law 6: {step} has started {len(started)} runs, not one: {started}"
            elif _child_of(seen.steps.get(step)) not in (None, started[0]):
                yield f"law 6: {step} has started {started[0]} and tells of {seen.steps[step]}"
    for (parent, step), runs in found.items():
        yield f"law 6: {runs} say that {step} of {parent} has started them, which starts none"


def _child_of(row: StepSeen | None) -> str | None:
    output = None if row is None else row.output
    return output.get("run_id") if isinstance(output, dict) else None


def _once_recorded(seen: Sighting, closing: Closing) -> Iterator[str]:
    told = Counter(entry.step for entry in closing.trails.get(seen.run, ()) if entry.kind in COMPLETIONS)
    corrected = {entry.step for entry in closing.trails.get(seen.run, ()) if entry.kind in CORRECTIONS}
    for row in seen.steps.values():
        count = told[row.name]
        # What was corrected after a failure was never completed by anybody else.
        least = 0 if row.name in corrected else 1
        if row.status == "completed" and not least <= count <= 1:
            yield f"law 7: {seen.run}:{row.name} was recorded as completed {count} times"
        if row.status == "completed" and row.name.startswith(ANSWER):
            sent = closing.answers.get(seen.number, frozenset())
            came = row.output.get("id") if isinstance(row.output, dict) else None
            if sent != {came}:
                yield f"law 7: {seen.run}:{row.name} waited for {sorted(sent)} and got {came}"


def _published(pairs: list[tuple[Sighting, Made]], closing: Closing) -> Iterator[str]:
    places: dict[Any, list[str]] = defaultdict(list)
    ids = set[Any]()
    for seen, _ in pairs:
        for step, row in seen.steps.items():
            if row.name.startswith(PUBLISHING) and row.status == "completed":
                places[row.output["sequence"]].append(step)
                ids.add(row.output["eventId"])
    for place, steps in places.items():
        if len(steps) > 1:
            yield f"law 8: {steps} have the same place {place} in the log"
    for place in sorted(set(range(1, closing.messages + 1)) - set(places)):
        yield f"law 8: the message at place {place} is nobody's: it was published twice, or by nobody"
    for place in sorted(set(places) - set(range(1, closing.messages + 1))):
        yield f"law 8: {places[place]} tell of place {place} in a log of {closing.messages}"
    if len(ids) < len(places):
        yield f"law 8: {len(places)} messages have {len(ids)} ids"


def _undone(seen: Sighting, meant: Made, closing: Closing) -> Iterator[str]:
    told = [entry for entry in closing.trails.get(seen.run, ()) if entry.kind == "saga.compensation.completed"]
    order = tuple(entry.step for entry in told)
    if order != meant.undone:
        yield f"law 9: {seen.run} (number {seen.number}) was undone by {order}; made for {meant.undone}"


def _undone_bodies(last: Mapping[str, Sighting], bodies: Bodies, made: Mapping[int, Made]) -> Iterator[str]:
    for (run, step), found in bodies.items():
        name = step.partition(":")[2]
        if not name.startswith(UNDOING):
            continue
        seen = last.get(run)
        meant = made.get(seen.number) if seen else None
        if meant is None or name not in meant.undone:
            yield f"law 9: {step} ran {len(found)} times, and nothing of its run is to be undone by it"


def _corrected(seen: Sighting, meant: Made, closing: Closing) -> Iterator[str]:
    rows = {row.name: row for row in seen.steps.values()}
    for name, output in meant.outputs.items():
        if name not in rows or rows[name].output != output:
            yield f"law 10: {seen.run}:{name} came to {rows.get(name)}; made for {output}"
    told = {entry.step for entry in closing.trails.get(seen.run, ()) if entry.kind in CORRECTIONS}
    if told != set(meant.corrected):
        yield f"law 10: the trail of {seen.run} tells of corrections of {sorted(told)}, not {sorted(meant.corrected)}"


def _counts(closing: Closing, wanted: Wanted) -> Iterator[str]:
    if closing.messages != wanted.messages:
        yield f"law 11: there are {closing.messages} messages, not {wanted.messages}"
    for what, found, meant in (
        ("events", closing.events, wanted.events),
        ("runs", closing.functions, wanted.functions),
    ):
        for name in sorted({*found, *meant}):
            if found.get(name, 0) != meant.get(name, 0):
                yield f"law 11: there are {found.get(name, 0)} {what} of {name}, not {meant.get(name, 0)}"
