"""What the runs of one group share that those of another lack, and how likely that is chance."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from statistics import median
from typing import Any, NamedTuple

import msgspec

from ironflow_lab.history.facts import ATTEMPTS, ERROR, KINDS, Fact, Observation, kind_of, observe, scalar
from ironflow_lab.history.paths import Path
from ironflow_lab.history.recording import Recording

__all__ = ["KINDS", "Difference", "Findings", "fisher", "shared"]

SURE = 0.05
# Less of a difference in shares is none worth reading.
_LEAST = 0.2
_MOST_VALUES = 50
_MOST_PATHS = 3_000
_MOST_FOUND = 30
_MOST_UNSURE = 10
_MOST_ALSO = 5
_TESTS = ("=", "present", "absent", ">", "<=", "!=")
# What comes with a failure tells where it failed, not why.
_FOLLOWS = frozenset({ERROR, ATTEMPTS})


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A fact and how many runs have it: `has` of `known` in the group, `others_have` of `others_known` elsewhere.

    `score` is the difference of the two shares (1: all and none), `chance` the probability of one as
    large by chance, corrected for all that was looked at, `also` other facts of exactly the same runs.
    """

    fact: Fact
    has: int
    known: int
    others_have: int
    others_known: int
    chance: float
    also: tuple[Fact, ...] = ()

    @property
    def score(self) -> float:
        """The share of the group that has it, less the share of the others."""
        return self.has / self.known - self.others_have / self.others_known

    @property
    def sure(self) -> bool:
        """Whether chance can be ruled out (below 0.05)."""
        return self.chance < SURE

    @property
    def follows(self) -> bool:
        """Whether it only comes with the failure: its error, where it stands, its attempts."""
        return self.fact.kind in _FOLLOWS

    def words(self) -> str:
        """Return the fact in words, redacted."""
        return self.fact.words()

    def __repr__(self) -> str:
        counts = f"{self.has} of {self.known} against {self.others_have} of {self.others_known}"
        return f"Difference({self.words()}: {counts}, chance {self.chance:.2g})"


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What discriminates, best first; how many facts were looked at, and what is to be said about it."""

    differences: tuple[Difference, ...] = ()
    looked_at: int = 0
    notes: tuple[str, ...] = ()


class _Split(NamedTuple):
    """A fact and, as bits by run, which have it and of which it is known; `cuts` is how many were tried for it."""

    fact: Fact
    has: int
    known: int
    cuts: int = 1


def shared(group: Sequence[Recording], others: Sequence[Recording]) -> Findings:
    """Return what runs of the group have more often than the others: values, steps, surroundings.

    A step that a run did not reach is not counted as lacking there. Where nothing is sure, the best that
    is not is returned, which the notes say; groups too small to be sure of anything likewise.
    """
    if not group or not others:
        return Findings(notes=("one of the groups is empty: nothing can be compared",))
    seen = [observe(one) for one in (*group, *others)]
    ours = (1 << len(group)) - 1
    splits, notes = _splits(seen, ours)
    counted = [(split, *_counts(split, ours)) for split in splits]
    testable = sum(split.cuts for split, *counts in counted if _best_case(*counts) < SURE) or 1
    merged: dict[Hashable, list[Difference]] = defaultdict(list)
    for split, has, known, others_have, others_known in counted:
        if not known or not others_known or has / known - others_have / others_known < _LEAST:
            continue
        chance = fisher(has, known, others_have, others_known)
        one = Difference(
            fact=split.fact,
            has=has,
            known=known,
            others_have=others_have,
            others_known=others_known,
            chance=min(1.0, chance * max(testable, split.cuts)),
        )
        if chance < SURE or one.score == 1 or one.follows:
            merged[split.has, split.known, one.follows].append(one)
    found = sorted(map(_merge, merged.values()), key=_order)
    return Findings(
        differences=tuple(_chosen(found)),
        looked_at=len(splits),
        notes=(*notes, *_said(found, len(group), len(others))),
    )


@lru_cache(maxsize=100_000)
def fisher(has: int, known: int, others_have: int, others_known: int) -> float:
    """Return the two-sided probability of a split as uneven by chance: Fisher's exact test, the tail doubled."""
    total, k = known + others_known, has + others_have
    most = min(known, k)
    tail = sum(math.exp(_log_chance(x, known, k, total)) for x in range(has, most + 1))
    return min(1.0, 2 * tail)


def _log_chance(x: int, known: int, k: int, total: int) -> float:
    return _log_choose(known, x) + _log_choose(total - known, k - x) - _log_choose(total, k)


def _log_choose(n: int, k: int) -> float:
    if not 0 <= k <= n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _best_case(has: int, known: int, others_have: int, others_known: int) -> float:
    """Return the least chance that a fact of so many runs could have: one that never can be sure is no test."""
    k = has + others_have
    if not known or not others_known or not 0 < k < known + others_known:
        return 1.0
    return 2 * math.exp(_log_chance(min(k, known), known, k, known + others_known))


def _counts(split: _Split, ours: int) -> tuple[int, int, int, int]:
    mine, theirs = split.known & ours, split.known & ~ours
    return (
        (split.has & mine).bit_count(),
        mine.bit_count(),
        (split.has & theirs).bit_count(),
        theirs.bit_count(),
    )


def _splits(seen: Sequence[Observation], ours: int) -> tuple[list[_Split], list[str]]:
    often = Counter(path for one in seen for path in one.values)
    chosen = often.most_common(_MOST_PATHS)
    notes = [f"of {len(often):,} places only the {_MOST_PATHS:,} most frequent were looked at"]
    ranks = _ranks(seen)
    lasts = [max((ranks[step] for step in one.steps), default=-1.0) for one in seen]
    found = []
    for path, _ in chosen:
        states = [_state(one, path, ranks, last) for one, last in zip(seen, lasts, strict=True)]
        found += list(_tests(path, states, ours))
    return found, notes if len(often) > _MOST_PATHS else []


def _ranks(seen: Sequence[Observation]) -> dict[str, float]:
    """Return where each step usually stands, told by runs that completed where there are any."""
    places: dict[str, list[int]] = defaultdict(list)
    for whole in (True, False):
        known = set(places)
        for one in seen:
            if one.whole is whole:
                for at, label in enumerate(one.steps):
                    if label not in known:
                        places[label].append(at)
    return {label: median(found) for label, found in places.items()}


def _state(one: Observation, path: Path, ranks: dict[str, float], last: float) -> frozenset[Any] | str | None:
    """Return the values at a path, "absent", or None where that is not known; `last` is how far the run came."""
    if any(path[: len(place)] == place for place in one.hidden):
        return None
    values = one.values.get(path)
    if values is not None:
        return values
    if path[0] == "steps":
        label = str(path[1])
        if len(path) > 2:
            return "absent" if label in one.done else None
        return "absent" if one.whole or last > ranks[label] else None
    return None if kind_of(path) not in ("input", ERROR) else "absent"


def _tests(path: Path, states: Sequence[frozenset[Any] | str | None], ours: int) -> Iterator[_Split]:
    kind = kind_of(path)
    known = _bits(state is not None for state in states)
    there = _bits(isinstance(state, frozenset) for state in states)
    if there != known and kind != ERROR:
        yield _turned(kind, path, ("present", "absent"), msgspec.UNSET, there, known, ours)
    if path[2:] == ("corrected",) or (path[0] == "steps" and len(path) == 2):
        return
    by_value: dict[Any, int] = defaultdict(int)
    for run, state in enumerate(states):
        for value in state if isinstance(state, frozenset) else ():
            by_value[value] |= 1 << run
    frequent = sorted(by_value, key=lambda value: -by_value[value].bit_count())[:_MOST_VALUES]
    if path[0] != "created_at":
        for value in frequent:
            if by_value[value] != known:
                yield _turned(kind, path, ("=", "!="), scalar(value), by_value[value], known, ours)
    yield from _cut(kind, path, states, ours)


def _turned(
    kind: str, path: Path, tests: tuple[str, str], value: Any, has: int, known: int, ours: int, cuts: int = 1
) -> _Split:
    """Return the fact or its opposite, whichever the group has more often."""
    split = _Split(Fact(kind=kind, path=path, test=tests[0], value=value), has, known, cuts)
    mine, own, theirs, other = _counts(split, ours)
    if kind == ERROR or not own or not other or mine / own >= theirs / other:
        return split
    return _Split(Fact(kind=kind, path=path, test=tests[1], value=value), known & ~has, known, cuts)


def _cut(kind: str, path: Path, states: Sequence[frozenset[Any] | str | None], ours: int) -> Iterator[_Split]:
    """Yield the cut between two numbers that parts the groups best."""
    numbers = sorted((value, run) for run, state in enumerate(states) if (value := _number(state)) is not None)
    distinct = sorted({value for value, _ in numbers})
    if len(distinct) < 3:
        return
    known = sum(1 << run for _, run in numbers)
    own, other = (known & ours).bit_count(), (known & ~ours).bit_count()
    if not own or not other:
        return
    best, at = -1.0, distinct[0]
    mine = theirs = 0
    for place, (value, run) in enumerate(numbers):
        mine, theirs = mine + (ours >> run & 1), theirs + (~ours >> run & 1)
        last = place + 1 == len(numbers) or numbers[place + 1][0] != value
        if last and abs(mine / own - theirs / other) > best:
            best, at = abs(mine / own - theirs / other), value
    place = bisect_right(numbers, at, key=lambda one: one[0])
    above = sum(1 << run for _, run in numbers[place:])
    yield _turned(kind, path, (">", "<="), at, above, known, ours, cuts=len(distinct) - 1)


def _number(state: frozenset[Any] | str | None) -> int | float | None:
    if not isinstance(state, frozenset) or len(state) != 1:
        return None
    value = next(iter(state))
    return value if isinstance(value, int | float) and value == value and abs(value) < 1e300 else None


def _merge(same: list[Difference]) -> Difference:
    """Return the plainest of the facts that the same runs have, with the others beside it."""
    first, *rest = sorted(same, key=_plainness)
    least = min(one.chance for one in same)
    also = tuple(one.fact for one in rest[:_MOST_ALSO])
    return msgspec.structs.replace(first, also=also, chance=min(first.chance, least) if len(same) > 1 else first.chance)


def _plainness(one: Difference) -> tuple[int, int, int]:
    return KINDS.index(one.fact.kind), _TESTS.index(one.fact.test), len(one.fact.path)


def _order(one: Difference) -> tuple[Any, ...]:
    return one.follows, not one.sure, -one.score, one.chance, _plainness(one), one.fact.place()


def _chosen(found: Sequence[Difference]) -> Iterable[Difference]:
    causes: list[Difference] = []
    told: dict[Path, str] = {}
    for one in found:
        # Of one place several values may count, each by itself; what only follows from a better fact does not.
        if not one.follows and (one.fact.path not in told or told[one.fact.path] == one.fact.test == "="):
            causes.append(one)
            told[one.fact.path] = one.fact.test
    sure = [one for one in causes if one.sure]
    follows = [one for one in found if one.follows][:_MOST_ALSO]
    return [*(sure[:_MOST_FOUND] or causes[:_MOST_UNSURE]), *follows]


def _said(found: Sequence[Difference], group: int, others: int) -> Iterator[str]:
    causes = [one for one in found if not one.follows]
    least = 2 / math.comb(group + others, group)
    if not causes:
        yield "no value, step or surrounding of the runs tells the two groups apart"
    elif least >= SURE:
        yield (
            f"with {group} against {others} runs nothing can be told from chance, whatever it is;"
            " these are only the facts that part them best"
        )
    elif not any(one.sure for one in causes):
        yield "nothing is sure: what is shown may be chance, as one of the many facts that were looked at"
    hidden = sum(one.sure for one in causes) - _MOST_FOUND
    if hidden > 0:
        yield f"and {hidden:,} more facts that are sure"


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << run for run, flag in enumerate(flags) if flag)
