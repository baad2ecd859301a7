"""Which items of one sequence are which of another: in order, by the highest sum of scores, fast when both are long."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Protocol, TypeVar


class Item(Protocol):
    """What is aligned: equal tokens are the same thing, equal keys the same name."""

    @property
    def token(self) -> Hashable:
        """What it is, all of it."""
        ...

    @property
    def key(self) -> Hashable:
        """What it is called."""
        ...


T = TypeVar("T", bound=Item)
Pair = tuple[int, int]
# Beyond that many combinations of two stretches, they are cut at what is unique in both.
_MOST_CELLS = 60_000


def pairs(xs: Sequence[T], ys: Sequence[T], score: Callable[[T, T], int]) -> list[Pair]:
    """Return pairs of indices, increasing in both, with the highest sum of `score`; 0 means "not a pair".

    Equal beginnings and ends are paired at once. Of long sequences the sum is not always the highest.
    """
    found: list[Pair] = []
    pending = [(0, len(xs), 0, len(ys))]
    while pending:
        i, m, j, n = pending.pop()
        while i < m and j < n and xs[i].token == ys[j].token:
            found.append((i, j))
            i, j = i + 1, j + 1
        while i < m and j < n and xs[m - 1].token == ys[n - 1].token:
            m, n = m - 1, n - 1
            found.append((m, n))
        if i == m or j == n:
            continue
        if (m - i) * (n - j) <= _MOST_CELLS:
            found += ((i + x, j + y) for x, y in _best(xs[i:m], ys[j:n], score))
            continue
        anchors = _unique(_tokens(xs, i, m), _tokens(ys, j, n))
        if not anchors:
            # Nothing is the same: the n-th of a name is the n-th of that name.
            found += ((i + x, j + y) for x, y in _unique(_counted(xs[i:m]), _counted(ys[j:n])))
            continue
        for x, y in [*((i + x, j + y) for x, y in anchors), (m, n)]:
            pending.append((i, x, j, y))
            if x < m:
                found.append((x, y))
            i, j = x + 1, y + 1
    return _earliest(xs, ys, sorted(found))


def _earliest(xs: Sequence[Item], ys: Sequence[Item], found: list[Pair]) -> list[Pair]:
    """Return the pairs with the first taken of several equal items in a row: what is one too many is the last."""
    moved: list[Pair] = []
    last_i = last_j = -1
    for pair in found:
        i, j = pair
        while i - 1 > last_i and xs[i - 1].token == xs[i].token:
            i -= 1
        while j - 1 > last_j and ys[j - 1].token == ys[j].token:
            j -= 1
        moved.append((i, j))
        last_i, last_j = i, j
    return moved


def _best(xs: Sequence[T], ys: Sequence[T], score: Callable[[T, T], int]) -> Iterator[Pair]:
    scores = [[score(x, y) for y in ys] for x in xs]
    below = [0] * (len(ys) + 1)
    table = [below]
    for row in reversed(scores):
        line, right = [0] * len(below), 0
        for j in range(len(ys) - 1, -1, -1):
            right = max(right, below[j], row[j] + below[j + 1] if row[j] else 0)
            line[j] = right
        table.append(line)
        below = line
    table.reverse()
    i = j = 0
    while i < len(xs) and j < len(ys):
        best = table[i][j]
        if scores[i][j] and scores[i][j] + table[i + 1][j + 1] == best:
            yield i, j
            i, j = i + 1, j + 1
        elif table[i + 1][j] == best:
            i += 1
        else:
            j += 1


def _tokens(items: Sequence[Item], first: int, end: int) -> list[Hashable]:
    return [items[at].token for at in range(first, end)]


def _counted(items: Sequence[Item]) -> list[Hashable]:
    seen: Counter[Hashable] = Counter()
    found: list[Hashable] = []
    for one in items:
        found.append((one.key, seen[one.key]))
        seen[one.key] += 1
    return found


def _unique(xs: Sequence[Hashable], ys: Sequence[Hashable]) -> list[Pair]:
    """Return the places of what stands once in both, the longest part of it that is in order."""
    once, known = Counter(xs), Counter(ys)
    place = {token: j for j, token in enumerate(ys) if known[token] == 1}
    candidates = [(i, place[token]) for i, token in enumerate(xs) if once[token] == 1 and token in place]
    ends: list[int] = []
    tails: list[int] = []
    former = [-1] * len(candidates)
    for at, (_, j) in enumerate(candidates):
        length = bisect_left(ends, j)
        former[at] = tails[length - 1] if length else -1
        if length == len(ends):
            ends.append(j)
            tails.append(at)
        else:
            ends[length], tails[length] = j, at
    found, at = [], tails[-1] if tails else -1
    while at >= 0:
        found.append(candidates[at])
        at = former[at]
    return found[::-1]
