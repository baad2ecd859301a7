"""The difference of two JSON documents, in order and exact, and how its paths are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.actors import actor_of
from ironflow_lab.history.equality import same
from ironflow_lab.history.fold import History
from ironflow_lab.history.paths import Path, path_text, shown_at, value_at
from ironflow_lab.models.instant import Instant

# Deeper than this, two values that differ are one change: no payload with a meaning is nested as deeply.
_DEEPEST = 128
_SHOWN = 60


Difference = TypeVar("Difference", bound="Change | Explained")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a document that differs; `UNSET` stands for "is not there"."""

    path: Path
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET

    def __repr__(self) -> str:
        shown = redacted(self)
        return f"Change({path_text(self.path)}: {_shown(shown.before)} -> {_shown(shown.after)})"


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The event that made a difference; `position` is the one right after it, `at` its instant."""

    position: int
    event_id: str
    event_type: str
    at: Instant


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One difference of a run between two positions, its cause and who caused it.

    `actor` is who patched or injected, the worker's id, `operator`, or empty when the server itself did.
    """

    path: Path
    before: Any
    after: Any
    cause: Cause
    actor: str = ""

    def __repr__(self) -> str:
        shown = redacted(self)
        place = f"{path_text(self.path)}: {_shown(shown.before)} -> {_shown(shown.after)}"
        return f"Explained({place} by {self.cause.event_type} at {self.cause.position})"


def changes(before: Any, after: Any) -> tuple[Change, ...]:
    """Return what differs between two JSON values, the smallest places only, in document order.

    Members are compared by key and lists by index; what one side lacks is one change with `UNSET`
    there. The order of keys is no difference. Values differ as their JSON texts do: 1, 1.0, true
    and "1" are four values, 0.0 and -0.0 two; NaN, which JSON lacks, equals itself.
    """
    return tuple(_changes(before, after, ()))


def apply(before: Any, changed: Iterable[Change | Explained]) -> Any:
    """Return `before` with the changes made, `before` itself left as it is.

    `apply(x, changes(x, y))` is y. A removal from a list takes away its whole tail, as `changes`
    means it. Raises ValueError for changes that do not fit.
    """
    holder: dict[str, Any] = {"": before}
    owned = {id(holder)}
    for change in changed:
        try:
            _apply(holder, change, owned)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"the change at {path_text(change.path) or 'the root'} does not fit") from error
    return holder.get("", msgspec.UNSET)


def redacted(change: Difference) -> Difference:
    """Return the difference fit to show: values under a secret-looking key, the path's included, are hidden."""
    # A step's label is a name, not a key of anybody's data.
    named = isinstance(change, Explained) and change.path[:1] == ("steps",)
    path = change.path[2:] if named else change.path
    return msgspec.structs.replace(change, before=shown_at(path, change.before), after=shown_at(path, change.after))


def explain(history: History, a: int, b: int) -> tuple[Explained, ...]:
    """Return what differs between a run at position `a` and at position `b`, and which event made each difference.

    Paths are those of the state document, with a step's label for its index; a step that one side
    lacks differs in each of its members. With a > b the direction is kept: `before` is the state at
    `a`. The cause is the last event between the two that changed the place. Raises
    `InvalidArgumentError` for a position the history does not have.
    """
    span = (min(a, b), max(a, b))
    low, high = (history.at_position(position) for position in span)
    t0 = history.t0
    found = _explained(history, 0, span, ("run",), (low.run.document(), high.run.document()))
    for lane, (step, label) in enumerate(zip(high.steps, history.labels, strict=False), 1):
        former = low.steps[lane - 1] if lane <= len(low.steps) else None
        if former is not step:
            before = {} if former is None else former.document(t0=t0)
            found += _explained(history, lane, span, ("steps", label), (before, step.document(t0=t0)))
    return tuple(_turned(one) for one in found) if a > b else tuple(found)


def _explained(
    history: History, lane: int, span: tuple[int, int], place: Path, documents: tuple[dict[str, Any], dict[str, Any]]
) -> list[Explained]:
    pending = list(changes(*documents))
    causes: dict[Path, int] = {}
    for position in reversed(history.touched(lane, *span)):
        if len(causes) == len(pending):
            break
        delta = history.deltas[position - 1]
        if delta.before is not delta.after:
            former = {} if delta.before is None else delta.before.document(t0=history.t0)
            latter = delta.after.document(t0=history.t0)
            for one in pending:
                if one.path not in causes and not same(value_at(former, one.path), value_at(latter, one.path)):
                    causes[one.path] = position
    return [_explanation(history, place, one, causes[one.path]) for one in pending]


def _explanation(history: History, place: Path, change: Change, position: int) -> Explained:
    event = history.events[position - 1]
    return Explained(
        path=(*place, *change.path),
        before=change.before,
        after=change.after,
        cause=Cause(position=position, event_id=event.id, event_type=event.event_type, at=history.time_of(position)),
        actor=actor_of(event, history.run_at(position - 1)),
    )


def _turned(explained: Explained) -> Explained:
    return msgspec.structs.replace(explained, before=explained.after, after=explained.before)


def _changes(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if before is after:
        return
    if len(path) < _DEEPEST:
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _members(before, after, path)
            return
        if isinstance(before, list) and isinstance(after, list):
            yield from _items(before, after, path)
            return
    if not same(before, after):
        yield Change(path=path, before=before, after=after)


def _members(before: dict[str, Any], after: dict[str, Any], path: Path) -> Iterator[Change]:
    for key, value in before.items():
        if key in after:
            yield from _changes(value, after[key], (*path, key))
        else:
            yield Change(path=(*path, key), before=value)
    for key, value in after.items():
        if key not in before:
            yield Change(path=(*path, key), after=value)


def _items(before: list[Any], after: list[Any], path: Path) -> Iterator[Change]:
    for index, (one, other) in enumerate(zip(before, after, strict=False)):
        yield from _changes(one, other, (*path, index))
    shared = min(len(before), len(after))
    for index in range(shared, len(before)):
        yield Change(path=(*path, index), before=before[index])
    for index in range(shared, len(after)):
        yield Change(path=(*path, index), after=after[index])


def _apply(holder: Any, change: Change | Explained, owned: set[int]) -> None:
    if any(isinstance(part, int) and part < 0 for part in change.path):
        raise IndexError(change.path)
    key: str | int = ""
    for part in change.path:
        inner = holder[key]
        if id(inner) not in owned:
            # Copied once: `before` stays as it is, and a long list is not copied for every item.
            inner = holder[key] = inner.copy()
            owned.add(id(inner))
        holder, key = inner, part
    if isinstance(holder, list) and isinstance(key, int):
        _put_item(holder, key, change.after)
    elif isinstance(holder, dict) and isinstance(key, str):
        _put(holder, key, change.after)
    else:
        raise TypeError(key)


def _put_item(holder: list[Any], index: int, value: Any) -> None:
    if value is msgspec.UNSET:
        del holder[index:]
    elif index > len(holder):
        raise IndexError(index)
    else:
        holder[index : index + 1] = [value]


def _put(holder: dict[str, Any], key: str, value: Any) -> None:
    if value is msgspec.UNSET:
        del holder[key]
    else:
        holder[key] = value


def _shown(value: Any) -> str:
    return "absent" if value is msgspec.UNSET else redaction.show(value, limit=_SHOWN)
