"""Two runs side by side: which step of one is which of the other, and what differs between them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from ironflow_lab.history import sequences
from ironflow_lab.history.acts import Act, acts, error_key, is_hidden, is_marker
from ironflow_lab.history.diff import Change, changes
from ironflow_lab.history.equality import same
from ironflow_lab.history.paths import Path, value_at
from ironflow_lab.history.recording import Recording

SAME, CHANGED, RENAMED, MOVED, ONLY_A, ONLY_B = "same", "changed", "renamed", "moved", "only in a", "only in b"
NOT_REACHED_A, NOT_REACHED_B = "not reached in a", "not reached in b"
KINDS = (SAME, CHANGED, RENAMED, MOVED, ONLY_A, ONLY_B, NOT_REACHED_A, NOT_REACHED_B)
# What tells how a step went, and not what it was given or came to.
MINOR = frozenset({"attempts", "patched", "injected", "length"})
_ALIKE = 0.7
_LONGEST_NAME = 200
# Sleeps are measured by two clocks.
_JITTER = 250_000_000


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A step of both runs, or of one. `kind` is one of `KINDS`; `a` or `b` is None where a run lacks it.

    `differs` names what is not the same: name, place, type, given, output, error, status, and, which
    alone do not make a step differ in substance, attempts, patched, injected, length (of a sleep).
    `unknown` names what cannot be compared, because it is redacted.
    """

    kind: str
    a: Act | None = None
    b: Act | None = None
    differs: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What the step is called in `a`, or in `b` when `a` lacks it."""
        one = self.a or self.b
        return one.label if one is not None else ""

    @property
    def substance(self) -> tuple[str, ...]:
        """What differs of what the step was, was given, and came to."""
        return tuple(one for one in self.differs if one not in MINOR)

    @property
    def given_known(self) -> bool:
        """Whether what the step was called with is recorded on both sides; of a plain step it never is."""
        return self.a is not None and self.b is not None and msgspec.UNSET not in (self.a.given, self.b.given)

    def changes(self) -> tuple[Change, ...]:
        """Return where the outputs of the two differ, smallest places only; nothing for what is redacted."""
        if self.a is None or self.b is None or "output" not in self.differs:
            return ()
        return visible(self.a.output, self.b.output)

    def __repr__(self) -> str:
        other = f" -> {self.b.label!r}" if self.kind == RENAMED and self.b is not None else ""
        return f"Pair({self.kind}: {self.label!r}{other}{', ' if self.differs else ''}{', '.join(self.differs)})"


class Alignment(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The pairs of two runs in the order of execution, branch by branch where there are several."""

    a: Recording
    b: Recording
    pairs: tuple[Pair, ...] = ()

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many pairs there are of each kind that occurs."""
        found = dict.fromkeys(KINDS, 0)
        for pair in self.pairs:
            found[pair.kind] += 1
        return {kind: count for kind, count in found.items() if count}

    def __repr__(self) -> str:
        told = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        return f"Alignment({self.a.run.id!r}, {self.b.run.id!r}: {told or 'no steps'})"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A step, a group of branches, or one branch."""

    key: tuple[str, str]
    token: Any
    content: Any
    index: int = 0
    trivial: bool = False
    act: Act | None = None
    inner: tuple[Node, ...] = ()

    def steps(self) -> Iterator[Act]:
        """Yield the steps in it."""
        if self.act is not None:
            yield self.act
        for one in self.inner:
            yield from one.steps()


def align(a: Recording, b: Recording) -> Alignment:
    """Return the steps of two runs paired: by name and place, and by what came of them where names moved or changed.

    A step that was renamed is told from one that went and one that came by its place and by what came of
    it. The rest of a run that did not come so far, because it failed or goes on, is "not reached".
    """
    left, right = acts(a), acts(b)
    matcher = _Matcher()
    matcher.level(_tree(left, 0), _tree(right, 0))
    matcher.across()
    in_b = {x.order: y for x, y in matcher.found}
    taken = {y.order for _, y in matcher.found}
    found = [_pair(x, y, moved=x.order in matcher.moved) for x, y in matcher.found]
    last_a = max((x.order for x, _ in matcher.found), default=-1)
    last_b = max((y.order for _, y in matcher.found), default=-1)
    for one in left:
        if one.order not in in_b:
            cut = one.order > last_a and _stopped(b, right, last_b)
            found.append(Pair(kind=NOT_REACHED_B if cut else ONLY_A, a=one))
    for one in right:
        if one.order not in taken:
            cut = one.order > last_b and _stopped(a, left, last_a)
            found.append(Pair(kind=NOT_REACHED_A if cut else ONLY_B, b=one))
    return Alignment(a=a, b=b, pairs=tuple(_sorted(found)))


def visible(before: Any, after: Any) -> tuple[Change, ...]:
    """Return the changes between two values where both are known: what is redacted may be the same."""
    found = changes(before, after)
    if not found or not (is_hidden(before) or is_hidden(after)):
        return found
    return tuple(one for one in found if not _veiled(one.path, before) and not _veiled(one.path, after))


def _veiled(path: Path, value: Any) -> bool:
    return any(is_marker(value_at(value, path[:depth])) for depth in range(len(path) + 1))


class _Matcher:
    """Collects pairs level by level, and what is left over for a last look across the levels."""

    def __init__(self) -> None:
        self.found: list[tuple[Act, Act]] = []
        self.moved: set[int] = set()
        self.rest_a: list[Act] = []
        self.rest_b: list[Act] = []

    def level(self, xs: Sequence[Node], ys: Sequence[Node]) -> None:
        """Pair the items of one handler or branch, and what is inside of them."""
        matched = sequences.pairs(xs, ys, _score)
        matched += [pair for gap in _gaps(matched, len(xs), len(ys)) for pair in _renamed(xs, ys, *gap)]
        rest_a = sorted(set(range(len(xs))) - {i for i, _ in matched})
        rest_b = sorted(set(range(len(ys))) - {j for _, j in matched})
        elsewhere = _elsewhere(xs, ys, rest_a, rest_b)
        self.moved |= {one.order for i, _ in elsewhere for one in xs[i].steps()}
        gone_a, gone_b = {i for i, _ in elsewhere}, {j for _, j in elsewhere}
        for i, j in sorted(matched + elsewhere):
            x, y = xs[i], ys[j]
            if x.act is not None and y.act is not None:
                self.found.append((x.act, y.act))
            else:
                self.level(x.inner, y.inner)
        self.rest_a += (act for i in rest_a if i not in gone_a for act in xs[i].steps())
        self.rest_b += (act for j in rest_b if j not in gone_b for act in ys[j].steps())

    def across(self) -> None:
        """Pair what went from one level to another: the same name, and an outcome that says something."""
        there: dict[Any, list[Act]] = defaultdict(list)
        for one in reversed(self.rest_b):
            there[one.name, one.type, one.digest].append(one)
        for one in self.rest_a:
            same = there.get((one.name, one.type, one.digest))
            if same and not one.trivial:
                self.found.append((one, same.pop()))
                self.moved.add(one.order)


def _tree(found: Sequence[Act], depth: int) -> tuple[Node, ...]:
    """Return the steps and the groups of branches of one level, in order."""
    groups: dict[Any, dict[int, list[Act]]] = {}
    for one in found:
        if len(one.scope) == depth:
            groups[one.order] = {0: [one]}
        else:
            group, branch = one.scope[depth]
            groups.setdefault(group, {}).setdefault(branch, []).append(one)
    return tuple(
        _leaf(branches[0][0]) if isinstance(name, int) else _group(name, branches, depth)
        for name, branches in groups.items()
    )


def _leaf(act: Act) -> Node:
    key = (act.type, act.name)
    return Node(key=key, token=(key, act.digest), content=act.digest, index=act.index, trivial=act.trivial, act=act)


def _group(name: str, branches: dict[int, list[Act]], depth: int) -> Node:
    inner = tuple(_branch(number, _tree(steps, depth + 1)) for number, steps in sorted(branches.items()))
    content = _summed(inner)
    return Node(key=("group", name), token=("group", name, content), content=content, inner=inner)


def _branch(number: int, inner: tuple[Node, ...]) -> Node:
    content = _summed(inner)
    return Node(key=("branch", ""), token=("branch", content), content=content, index=number, inner=inner)


def _summed(inner: Sequence[Node]) -> bytes:
    state = blake2b(digest_size=16)
    for one in inner:
        state.update(repr(one.token).encode("utf-8", "surrogatepass"))
    return state.digest()


def _score(x: Node, y: Node) -> int:
    """Return how well two items fit: the name above all, then what came of them."""
    equal = x.content == y.content
    if x.key == y.key:
        return 10 + (0 if not equal else 2 if x.trivial else 4) + _given(x, y) + (x.index == y.index) + _shared(x, y)
    if (x.act is None) != (y.act is None) or "branch" in (x.key[0], y.key[0]):
        return 0
    if x.key[1] == y.key[1]:
        return 6
    return 5 if equal and not x.trivial and x.key[0] == y.key[0] else 0


def _given(x: Node, y: Node) -> int:
    known = x.act is not None and y.act is not None and x.act.given_digest
    return 2 if known and x.act.given_digest == y.act.given_digest else 0  # type: ignore[union-attr]


def _shared(x: Node, y: Node) -> int:
    """Return, up to 9, how much of two groups or branches is the same."""
    if not x.inner or not y.inner:
        return 0
    tokens = {one.token for one in x.inner}
    return 9 * sum(one.token in tokens for one in y.inner) // max(len(x.inner), len(y.inner))


def _gaps(matched: Sequence[tuple[int, int]], m: int, n: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the stretches between the pairs: from and to in a, from and to in b."""
    i = j = 0
    for x, y in [*matched, (m, n)]:
        if i < x and j < y:
            yield i, x, j, y
        i, j = x + 1, y + 1


def _renamed(xs: Sequence[Node], ys: Sequence[Node], i: int, m: int, j: int, n: int) -> list[tuple[int, int]]:
    """Return the pairs of a stretch where steps have other names in the same places."""
    if m - i != n - j:
        return []
    couples = list(zip(range(i, m), range(j, n), strict=True))
    alone = len(couples) == 1 or (len({x.key for x in xs[i:m]}) == 1 and len({y.key for y in ys[j:n]}) == 1)
    fits = all(_could_be(xs[x], ys[y]) for x, y in couples)
    return couples if alone and fits else []


def _could_be(x: Node, y: Node) -> bool:
    if (x.act is None) != (y.act is None) or (x.act is not None and x.key[0] != y.key[0]):
        return False
    if x.content == y.content:
        return True
    names = x.key[1][:_LONGEST_NAME], y.key[1][:_LONGEST_NAME]
    return SequenceMatcher(None, *names).ratio() >= _ALIKE


def _elsewhere(
    xs: Sequence[Node], ys: Sequence[Node], rest_a: Iterable[int], rest_b: Iterable[int]
) -> list[tuple[int, int]]:
    """Return the pairs of what has its name at another place, those with the same outcome first."""
    found: list[tuple[int, int]] = []
    left, right = list(rest_a), list(rest_b)
    for kind in ("token", "key"):
        there: dict[Any, list[int]] = defaultdict(list)
        for j in reversed(right):
            there[getattr(ys[j], kind)].append(j)
        pairs = [(i, there[getattr(xs[i], kind)].pop()) for i in left if there.get(getattr(xs[i], kind))]
        found += pairs
        left = [i for i in left if i not in {x for x, _ in pairs}]
        right = [j for j in right if j not in {y for _, y in pairs}]
    return found


def _pair(x: Act, y: Act, *, moved: bool) -> Pair:
    hidden = x.hidden or y.hidden
    unequal = x.output is not y.output and x.digest != y.digest
    output = "output" if unequal and _outputs_differ(x, y, hidden=hidden) else ""
    told = {
        "name": x.place != y.place,
        "place": moved,
        "type": x.type != y.type,
        "given": bool(x.given_digest and y.given_digest) and x.given_digest != y.given_digest,
        "status": x.status != y.status,
        "output": bool(output),
        "error": x.digest != y.digest and not same(error_key(x.error), error_key(y.error)),
        "attempts": x.tries != y.tries,
        "patched": x.patched != y.patched,
        "injected": x.injected != y.injected,
        "length": abs(x.length - y.length) > max(_JITTER, x.length // 10) if x.length and y.length else False,
    }
    differs = tuple(name for name, yes in told.items() if yes)
    kind = MOVED if moved else RENAMED if "name" in differs else CHANGED if differs else SAME
    return Pair(kind=kind, a=x, b=y, differs=differs, unknown=("output",) if hidden else ())


def _outputs_differ(x: Act, y: Act, *, hidden: bool) -> bool:
    if msgspec.UNSET in (x.output, y.output):
        # A step that failed, or goes on, has none: its status says so.
        return False
    if x.status == y.status and x.error is None and not hidden:
        return True
    return bool(visible(x.output, y.output))


def _stopped(run: Recording, steps: Sequence[Act], last: int) -> bool:
    """Return whether a run ended, or stands, without having completed, right after its last paired step."""
    return run.run.status != "completed" and not any(one.order > last for one in steps)


def _sorted(found: list[Pair]) -> list[Pair]:
    """Return the pairs in the order of execution; what only `b` has stands before what follows it there."""
    anchors = sorted((p.b.order, p.a.order) for p in found if p.a is not None and p.b is not None and p.kind != MOVED)
    places = [order for order, _ in anchors]
    end = max((p.a.order for p in found if p.a is not None), default=0) + 1

    def before(order: int) -> tuple[int, int, int]:
        at = bisect_right(places, order)
        return (anchors[at][1] if at < len(anchors) else end, -1, order)

    def key(pair: Pair) -> tuple[int, int, int]:
        if pair.a is None:
            return before(pair.b.order if pair.b is not None else 0)
        own = (pair.a.order, 0, 0)
        return min(own, before(pair.b.order)) if pair.kind == MOVED and pair.b is not None else own

    return sorted(found, key=key)
