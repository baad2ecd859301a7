"""One change to a program of steps, and what a comparison has to find then."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from ironflow_lab.history.align import ONLY_A, ONLY_B, Alignment, Pair
from ironflow_lab.models.runs import Error
from tests.unit.history.recordings import copied, leaves, output, step

Program = list[dict[str, Any]]
NEW = -1


class Mutation(NamedTuple):
    """The changed program, what differs as (what, mark), and the marks where the runs part."""

    program: Program
    truth: frozenset[tuple[str, int]]
    first: frozenset[int]
    either: frozenset[tuple[str, int]] = frozenset()


def rename(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    one = _any(after, rng)
    one["name"] = f"new-{rng.randrange(1000)}"
    return _one(after, "renamed", one["mark"])


def value(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    one = _any(after, rng)
    former = one["output"]
    one["output"] = {**former, "total": former["total"] + 1} if former and isinstance(former, dict) else "other"
    return _one(after, "output", one["mark"])


def fail(before: Program, rng: random.Random) -> Mutation | None:
    """A step fails and the handler goes on."""
    after = copied(before)
    one = _any(after, rng)
    one["error"] = Error(message="declined", code="DECLINED")
    return _one(after, "error", one["mark"])


def retry(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    one = _any(after, rng)
    one["tries"] = rng.randrange(2, 4)
    return _one(after, "attempts", one["mark"])


def child(before: Program, rng: random.Random) -> Mutation | None:
    """What a child run is started with differs, and so does what it returns."""
    after = copied(before)
    one = _any(after, rng)
    for given, calls in ((1, before), (2, after)):
        same = next(call for call in leaves(calls) if call["mark"] == one["mark"])
        same |= {"type": "invoke_function", "told": {"functionId": "inner", "input": {"n": given}}, "output": given}
    return Mutation(after, frozenset({("given", one["mark"]), ("output", one["mark"])}), frozenset({one["mark"]}))


def drop(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    calls, at = _place(after, rng)
    if len(calls) < 2:
        return None
    gone = calls.pop(at)
    return _one(after, ONLY_A, gone["mark"])


def duplicate(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    calls, at = _place(after, rng)
    calls.insert(at + 1, {**calls[at], "mark": NEW})
    return _one(after, ONLY_B, NEW)


def insert(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    calls, at = _place(after, rng)
    calls.insert(at, step("added", output(rng), mark=NEW))
    return _one(after, ONLY_B, NEW)


def reorder(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    places = [
        (calls, at)
        for calls in _levels(after)
        for at in range(len(calls) - 1)
        if not {"branches"} & (calls[at].keys() | calls[at + 1].keys()) and calls[at]["name"] != calls[at + 1]["name"]
    ]
    if not places:
        return None
    calls, at = rng.choice(places)
    marks = calls[at]["mark"], calls[at + 1]["mark"]
    calls[at], calls[at + 1] = calls[at + 1], calls[at]
    both = frozenset(marks)
    return Mutation(after, frozenset({("moved", marks[0])}), both, frozenset({("moved", marks[1])}))


def branch_added(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    groups = _groups(after)
    if not groups:
        return None
    one = rng.choice(groups)
    inner = copied(one["branches"][0])
    steps = list(leaves(inner))
    for call in steps:
        call |= {"mark": NEW, "output": output(rng)}
    one["branches"].insert(rng.randrange(len(one["branches"]) + 1), inner)
    return Mutation(after, frozenset({(ONLY_B, NEW)}), frozenset({NEW}))


def branch_removed(before: Program, rng: random.Random) -> Mutation | None:
    after = copied(before)
    groups = [one for one in _groups(after) if len(one["branches"]) > 1]
    if not groups:
        return None
    one = rng.choice(groups)
    gone = [call["mark"] for call in leaves(one["branches"].pop(rng.randrange(len(one["branches"]))))]
    return Mutation(after, frozenset((ONLY_A, mark) for mark in gone), frozenset(gone[:1]))


ALL: tuple[Callable[[Program, random.Random], Mutation | None], ...] = (
    *(rename, value, fail, retry, child, drop, duplicate, insert, reorder, branch_added, branch_removed),
)


def found(alignment: Alignment, before: Program, after: Program) -> frozenset[tuple[str, int]]:
    """Return what an alignment says differs, as (what, mark)."""
    told: set[tuple[str, int]] = set()
    for pair in alignment.pairs:
        mark = marked(pair, before, after)
        if pair.a is None or pair.b is None:
            told.add((pair.kind, mark))
            continue
        told |= {({"name": "renamed", "place": "moved"}.get(what, what), mark) for what in pair.differs}
    # An error is told by its status too.
    return frozenset(one for one in told if one[0] != "status")


def paired(alignment: Alignment, before: Program, after: Program) -> frozenset[tuple[int, int]]:
    """Return which marks were taken for which."""
    own, other = [one["mark"] for one in leaves(before)], [one["mark"] for one in leaves(after)]
    both = ((one.a, one.b) for one in alignment.pairs if one.a is not None and one.b is not None)
    return frozenset((own[a.order], other[b.order]) for a, b in both)


def marked(pair: Pair, before: Program, after: Program) -> int:
    """Return the mark of a pair's step."""
    if pair.a is not None:
        return int([one["mark"] for one in leaves(before)][pair.a.order])
    assert pair.b is not None
    return int([one["mark"] for one in leaves(after)][pair.b.order])


def _one(after: Program, what: str, mark: int) -> Mutation:
    return Mutation(after, frozenset({(what, mark)}), frozenset({mark}))


def _any(calls: Program, rng: random.Random) -> dict[str, Any]:
    return rng.choice(list(leaves(calls)))


def _levels(calls: Program) -> list[Program]:
    inner = [level for one in _groups_here(calls) for branch in one["branches"] for level in _levels(branch)]
    return [calls, *inner]


def _groups_here(calls: Program) -> Program:
    return [one for one in calls if "branches" in one]


def _groups(calls: Program) -> Program:
    return [one for level in _levels(calls) for one in _groups_here(level)]


def _place(calls: Program, rng: random.Random) -> tuple[Program, int]:
    places = [(level, at) for level in _levels(calls) for at, one in enumerate(level) if "branches" not in one]
    return rng.choice(places)
