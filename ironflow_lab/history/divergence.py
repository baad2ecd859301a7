"""Where two runs part: the first step that was given the same and came to something else, where that can be told."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.acts import digest, error_key, is_hidden
from ironflow_lab.history.align import (
    CHANGED,
    MOVED,
    NOT_REACHED_A,
    NOT_REACHED_B,
    ONLY_A,
    ONLY_B,
    RENAMED,
    Alignment,
    Pair,
    visible,
)
from ironflow_lab.history.diff import Change
from ironflow_lab.history.paths import path_text, shown_at
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.values import json_text, plain_text

_SHOWN = 80
_MOST_PATHS = 3
_ABSENT = (ONLY_A, ONLY_B)
_CUT = (NOT_REACHED_A, NOT_REACHED_B)
# Of a run, these alone do not make two runs do something else.
_ASIDE = frozenset({"attempts", "function_version", "code_hash"})


class RunDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs of the runs themselves: function, input, status, output, error, attempts, function_version, code.

    `changes` are the places inside of an input or output; `a` and `b` the values themselves.
    """

    name: str
    a: Any = None
    b: Any = None
    changes: tuple[Change, ...] = ()

    def __repr__(self) -> str:
        return f"RunDifference({self.line()})"

    def line(self) -> str:
        """Return it on one line, redacted."""
        if self.changes:
            return f"{self.name}: {told(self.changes)}"
        texts = [shown(_plain(value)) for value in (self.a, self.b)]
        return f"{self.name}: {texts[0]} -> {texts[1]}"


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where two runs part first, in the order of execution, and what it is in words.

    `exact` says that everything before it was the same and is known: the cause is at `step` (or, for
    `kind` "end", in the handler's own code after it). Otherwise `why` says what that cannot be told for.
    `kind` is input, changed, missing, renamed, moved, end, attempts, or "" where no first place is defined.
    """

    kind: str
    message: str
    exact: bool = False
    why: str = ""
    step: str = ""
    pair: Pair | None = None

    def __repr__(self) -> str:
        return f"Divergence({self.kind or 'not defined'}: {self.message})"


def runs(alignment: Alignment) -> tuple[RunDifference, ...]:
    """Return what differs of the two runs themselves."""
    a, b = alignment.a, alignment.b
    found = [
        RunDifference(name=name, a=one, b=other)
        for name, one, other in (
            ("function", a.run.function_id, b.run.function_id),
            ("event", a.run.event_name, b.run.event_name),
            ("status", str(a.run.status), str(b.run.status)),
            ("error", a.run.error, b.run.error),
            ("attempts", a.run.attempt, b.run.attempt),
            ("function_version", a.run.function_version, b.run.function_version),
            ("code_hash", a.code.code_hash, b.code.code_hash),
        )
        if _differ(name, one, other)
    ]
    places = (_payload(name, a, b) for name in ("input", "output"))
    return tuple(found + [one for one in places if one is not None])


def is_same(alignment: Alignment, differences: tuple[RunDifference, ...]) -> bool:
    """Return whether both runs were given, did and came to the same; tries, versions and times do not count."""
    steps = all(not pair.substance and pair.kind not in _ABSENT + _CUT for pair in alignment.pairs)
    return steps and all(one.name in _ASIDE for one in differences)


def first(alignment: Alignment, differences: tuple[RunDifference, ...]) -> Divergence | None:
    """Return where two runs part; None when nothing differs."""
    known = {one.name: one for one in differences}
    if not alignment.pairs and not set(known) - _ASIDE:
        return None
    reasons = _unknown(alignment, known)
    at = next((n for n, one in enumerate(alignment.pairs) if one.substance or one.kind in _ABSENT + _CUT), -1)
    if "input" in known:
        return _of_input(known["input"], alignment.pairs[at] if at >= 0 else None)
    if at < 0:
        return _end(alignment, known, reasons) or _attempts(alignment)
    return _of_step(alignment, at, reasons)


def told(found: tuple[Change, ...]) -> str:
    """Return the first changes on one line, redacted."""
    lines = []
    for one in found[:_MOST_PATHS]:
        before, after = (shown_at(one.path, value) for value in (one.before, one.after))
        place = f"{clean(path_text(one.path))}: " if one.path else ""
        lines.append(f"{place}{shown(before)} -> {shown(after)}")
    more = len(found) - _MOST_PATHS
    return "; ".join(lines) + (f"; and {more:,} more" if more > 0 else "")


def shown(value: Any, *, limit: int = _SHOWN) -> str:
    """Return a JSON value as redacted JSON on one line, whatever it holds; "absent" for `UNSET`."""
    if value is msgspec.UNSET:
        return "absent"
    return redaction.clip(json_text(redaction.redact(value)).decode("utf-8", "replace"), limit=limit)


def clean(text: str, *, limit: int = _SHOWN) -> str:
    """Return a text cut to `limit` characters that every encoder takes."""
    return plain_text(redaction.clip(text, limit=limit))


def _of_input(difference: RunDifference, pair: Pair | None) -> Divergence:
    then = f"; the first step that differs is {_name(pair)!r}" if pair is not None else "; no step differs"
    return Divergence(
        kind="input",
        message=f"the inputs differ: {told(difference.changes)}{then}",
        exact=True,
        step=pair.label if pair is not None else "",
        pair=pair,
    )


def _of_step(alignment: Alignment, at: int, reasons: list[str]) -> Divergence:
    pair = alignment.pairs[at]
    before = alignment.pairs[:at]
    hidden = next((one for one in before if one.unknown), None)
    reasons += [f"what {_name(hidden)!r} returned before it is redacted"] if hidden is not None else []
    if not any(one.a is not None and one.b is not None for one in alignment.pairs):
        reasons.append("the runs have no step in common")
        return Divergence(kind="", message=f"not defined: {'; '.join(reasons)}", why="; ".join(reasons), pair=pair)
    if pair.kind in _CUT:
        cut = alignment.b if pair.kind == NOT_REACHED_B else alignment.a
        return _cut(alignment, pair, cut, before[-1] if before else None, reasons)
    kind = {RENAMED: "renamed", MOVED: "moved"}.get(pair.kind, "missing" if pair.kind in _ABSENT else "changed")
    return Divergence(
        kind=kind,
        message=_what(pair, before),
        exact=not reasons,
        why="; ".join(reasons),
        step=pair.label,
        pair=pair,
    )


def _what(pair: Pair, before: tuple[Pair, ...]) -> str:
    name = _name(pair)
    after = f", after {_name(before[-1])!r}" if before else ", as the first step"
    if pair.kind in _ABSENT:
        has, lacks = ("a", "b") if pair.kind == ONLY_A else ("b", "a")
        return f"{has} goes on with step {name!r}{after}, {lacks} does not"
    if pair.kind == MOVED:
        return f"step {name!r} comes at another place{after}"
    said = f"step {name!r}"
    if pair.kind == RENAMED and pair.b is not None:
        said = f"step {name!r} is called {clean(pair.b.label)!r} in b"
        if pair.substance == ("name",):
            return said
    same = "the same before it" if before else "the same input"
    if "given" in pair.differs:
        return f"{said} is called with something else, with {same}"
    return f"{said} came to something else, with {same}: {_outcomes(pair)}"


def _outcomes(pair: Pair) -> str:
    found = pair.changes()
    if found:
        return told(found)
    if pair.a is None or pair.b is None:
        return ""
    one, other = pair.a, pair.b
    if "error" in pair.differs or one.status != other.status:
        return f"{_end_of(one.status, one.error)} -> {_end_of(other.status, other.error)}"
    return ", ".join(pair.substance)


def _end_of(status: str, error: Any) -> str:
    line = "" if error is None else error.message.strip().partition("\n")[0]
    code = f"{error.code}: " if error is not None and error.code else ""
    return f"{status} ({clean(code + line)})" if line or code else status


def _cut(alignment: Alignment, pair: Pair, cut: Recording, last: Pair | None, reasons: list[str]) -> Divergence:
    which, other = ("b", "a") if cut is alignment.b else ("a", "b")
    after = f"after step {_name(last)!r}" if last is not None else "before its first step"
    if not cut.ended and cut.run.status != "paused" and cut.run.error is None:
        message = f"{which} is {cut.run.status} {after}: what it does next is not known yet"
        why = f"{which} has not ended"
        return Divergence(kind="", message=message, why=why, step=pair.label, pair=pair)
    ended = _end_of(str(cut.run.status), cut.run.error)
    message = f"{which} ended {after}, outside a step: {ended}; {other} went on with step {_name(pair)!r}"
    return Divergence(
        kind="end", message=message, exact=not reasons, why="; ".join(reasons), step=pair.label, pair=pair
    )


def _end(alignment: Alignment, known: dict[str, RunDifference], reasons: list[str]) -> Divergence | None:
    found = [known[name] for name in ("output", "error", "status") if name in known]
    if not found:
        other = next((known[name] for name in ("function", "event") if name in known), None)
        if other is None:
            return None
        return Divergence(kind="", message=f"the steps and the ends are the same; {other.line()}", why=other.line())
    pairs = alignment.pairs
    where = f"after step {_name(pairs[-1])!r}" if pairs else "without any step"
    hidden = next((one for one in pairs if one.unknown), None)
    reasons += [f"what {_name(hidden)!r} returned is redacted"] if hidden is not None else []
    going = [which for which, one in (("a", alignment.a), ("b", alignment.b)) if not one.ended]
    reasons += [f"{' and '.join(going)} has not ended"] if going else []
    return Divergence(
        kind="end",
        message=f"every step is the same, and the ends differ, {where}, in the handler's own code: {found[0].line()}",
        exact=not reasons,
        why="; ".join(reasons),
        step=pairs[-1].label if pairs else "",
        pair=pairs[-1] if pairs else None,
    )


def _attempts(alignment: Alignment) -> Divergence | None:
    pair = next((one for one in alignment.pairs if one.kind == CHANGED), None)
    if pair is None or pair.a is None or pair.b is None:
        return None
    one, other = pair.a, pair.b
    if "attempts" not in pair.differs:
        message = f"step {_name(pair)!r} came to the same, and differs in {', '.join(pair.differs)}"
        return Divergence(kind="attempts", message=message, exact=True, step=pair.label, pair=pair)
    guessed = not (one.counted and other.counted)
    why = "without a recording of both runs, attempts are guessed from their rows" if guessed else ""
    message = f"step {_name(pair)!r} came to the same, in {one.tries} tries -> in {other.tries}"
    return Divergence(kind="attempts", message=message, exact=not guessed, why=why, step=pair.label, pair=pair)


def _unknown(alignment: Alignment, known: dict[str, RunDifference]) -> list[str]:
    """Return why nothing can be said to have begun with the same."""
    reasons = [known["function"].line()] if "function" in known else []
    redacted = [which for which, one in (("a", alignment.a), ("b", alignment.b)) if is_hidden(one.run.input)]
    return reasons + ([f"the input of {' and '.join(redacted)} is redacted, in part or all"] if redacted else [])


def _payload(name: str, a: Recording, b: Recording) -> RunDifference | None:
    one, other = getattr(a.run, name), getattr(b.run, name)
    if name == "output" and not a.run.status == b.run.status == "completed":
        return None
    if one is other or digest(one, a.run.id) == digest(other, b.run.id):
        return None
    found = visible(one, other)
    return RunDifference(name=name, a=one, b=other, changes=found) if found else None


def _differ(name: str, one: Any, other: Any) -> bool:
    if name == "error":
        return bool(digest(error_key(one)) != digest(error_key(other)))
    # What one side does not know does not differ.
    known = name in ("function", "status") or (one and other)
    return bool(known) and bool(one != other)


def _name(pair: Pair) -> str:
    return clean(pair.label)


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return ": ".join(text for text in (getattr(value, "code", ""), getattr(value, "message", "")) if text)
    return value
