"""Which event put a value where it stands in a run, what stood there before, and where else an equal one stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ironflow_lab.errors import DefinitionError, NotFoundError
from ironflow_lab.history import redaction
from ironflow_lab.history.actors import actor_of
from ironflow_lab.history.equality import agree, same
from ironflow_lab.history.fold import History
from ironflow_lab.history.paths import Path, path_text, read_path, value_at
from ironflow_lab.history.payloads import payload_of, text
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.rows import events_of
from ironflow_lab.history.snapshot import (
    RUN_MEMBERS,
    STEP_MEMBERS,
    Kind,
    Member,
    RunState,
    StepState,
    is_absent,
    milliseconds,
)
from ironflow_lab.history.words import sentence
from ironflow_lab.models.instant import Instant

_RUN = {member.name: member for member in RUN_MEMBERS}
_STEP = {member.name: member for member in STEP_MEMBERS}
_MOST_EQUAL, _MOST_KEYS = 20, 10
# How many values are looked at, and how many are compared with one another: seconds would be too long.
_MOST_LOOKED_AT, _MOST_COMPARED = 200_000, 1_000_000
# No payload with a meaning is nested as deeply, and comparing at every depth takes the square of it.
_DEEPEST = 64
_SHOWN = 60
UNRECORDED = (
    "the run was not recorded: its rows tell who made the newest values; what stood there before, in which order and"
    " at which position, cannot be known"
)
NOT_TOLD = "the audit events do not tell how this value came to be; its rows tell the newest one only"
NO_WAY = "the handler's own code made it: no step's output and no input holds an equal value"
PLAIN = "null, true, false and what is empty stand everywhere: where it came from is not searched for"
CUT = "the outputs are large: only a part of them was searched for an equal value"


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """An event that put a value in the place, or took it away; `UNSET` stands for "nothing was there".

    `position` is that right after the event, 0 when it is only told by a row. `step` is the label of the step it
    is about, empty for the run itself; `attempt` is that one's. `words` say what happened. `actor` is who patched
    or injected, the worker's id, `operator`, or empty for the server itself.
    """

    position: int
    event_id: str
    event_type: str
    at: Instant
    before: Any
    after: Any
    words: str = ""
    step: str = ""
    attempt: int = 0
    actor: str = ""
    reason: str = ""


class Equal(msgspec.Struct, frozen=True, kw_only=True):
    """A place of an equal value, which may be where it came from, and what put it there."""

    path: Path
    put: Put


class Blamed(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a place: the value there now, the events that put it there, oldest first.

    `equal` are places of equal values, in the order of the steps, only for a place in the run's output.
    """

    path: Path
    value: Any
    puts: tuple[Put, ...]
    equal: tuple[Equal, ...] = ()
    notes: tuple[str, ...] = ()


class _Place(msgspec.Struct, frozen=True):
    """A place by its lane (0 is the run), the step's label, the member of its state and the way into that."""

    lane: int
    label: str
    member: Member
    rest: Path

    def path(self) -> Path:
        where: Path = ("steps", self.label) if self.lane else ()
        return (*where, self.member.name, *self.rest)

    def value(self, state: RunState | StepState | None, t0: int) -> Any:
        if state is None:
            return msgspec.UNSET
        value = getattr(state, self.member.field)
        if is_absent(value, self.member.absent):
            return msgspec.UNSET
        return value_at(milliseconds(value, t0) if self.member.kind is Kind.TIME else value, self.rest)


def blame(recording: Recording, path: str) -> Blamed:
    """Return what put the value that stands at a path, such as `output.total` or `steps.charge.output.id`.

    Raises `DefinitionError` for a path that cannot be read or begins with no member of a run, and
    `NotFoundError` for an unknown step and for a place where nothing ever stood.
    """
    parsed = read_path(path)
    if not recording.recorded:
        return _of_rows(recording, parsed, UNRECORDED)
    history = recording.history()
    place = _place(history, parsed)
    puts = tuple(_puts(history, place))
    value = puts[-1].after if puts else msgspec.UNSET
    if recording.note and not agree(value, _by_rows(recording, parsed)):
        return _of_rows(recording, parsed, NOT_TOLD)
    if not puts:
        raise _nothing(history, place)
    return _blamed(history, place, puts, ())


def rows_of(recording: Recording) -> History:
    """Return the coarser history that the run's rows tell."""
    run = recording.run
    return History(run.id, events_of(run, recording.steps), function_id=run.function_id)


def _of_rows(recording: Recording, parsed: Path, note: str) -> Blamed:
    history = rows_of(recording)
    place = _place(history, parsed)
    puts = tuple(_puts(history, place))
    if not puts:
        raise _nothing(history, place)
    found = _blamed(history, place, puts, (note,))
    # The events were made up out of the rows: their positions and ids are nobody's.
    return msgspec.structs.replace(
        found,
        puts=tuple(map(_unplaced, found.puts)),
        equal=tuple(msgspec.structs.replace(one, put=_unplaced(one.put)) for one in found.equal),
    )


def _unplaced(put: Put) -> Put:
    return msgspec.structs.replace(put, position=0, event_id="")


def _by_rows(recording: Recording, parsed: Path) -> Any:
    history = rows_of(recording)
    try:
        puts = tuple(_puts(history, _place(history, parsed)))
    except NotFoundError:
        return msgspec.UNSET
    return puts[-1].after if puts else msgspec.UNSET


def _blamed(history: History, place: _Place, puts: tuple[Put, ...], notes: tuple[str, ...]) -> Blamed:
    value = puts[-1].after
    equal: tuple[Equal, ...] = ()
    if place.lane == 0 and place.member.name == "output" and value is not msgspec.UNSET:
        equal, searched = _equal(history, value, puts[-1].position)
        notes += (searched,) if searched else ()
    return Blamed(path=place.path(), value=value, puts=puts, equal=equal, notes=notes)


def _place(history: History, path: Path) -> _Place:
    way = path[1:] if path[:1] == ("run",) else path
    if not way:
        raise DefinitionError(
            "a path is empty; give a place such as output.total, input.id, error, steps.charge.output"
        )
    first = way[0]
    if first == "steps":
        return _step_place(history, way)
    if first not in _RUN:
        raise DefinitionError(
            f"{path_text(path)!r:.80} begins with no part of a run; it begins with steps (steps.charge.output.id) or"
            f" one of {', '.join(_RUN)}" + _did_you_mean(history, first)
        )
    return _Place(0, "", _RUN[str(first)], way[1:])


def _did_you_mean(history: History, first: str | int) -> str:
    if first not in history.labels:
        return ""
    return f"; that is a step: {redaction.clip(path_text(('steps', first, 'output')), limit=2 * _SHOWN)}"


def _step_place(history: History, way: Path) -> _Place:
    if len(way) < 2 or not isinstance(way[1], str):
        raise DefinitionError("name the step and what of it: steps.charge.output, steps.charge:1.output.id")
    lane = history.lane_of(way[1])
    label = history.labels[lane - 1]
    if len(way) < 3 or way[2] not in _STEP:
        example = redaction.clip(path_text(("steps", label, "output")), limit=2 * _SHOWN)
        raise DefinitionError(f"say what of step {label!r:.60}: one of {', '.join(_STEP)}, as in {example}")
    return _Place(lane, label, _STEP[str(way[2])], way[3:])


def _puts(history: History, place: _Place, until: int | None = None) -> Iterator[Put]:
    """Yield the events that changed what stands at the place, oldest first."""
    t0 = history.t0
    former: Any = msgspec.UNSET
    for position in history.touched(place.lane, 0, history.length if until is None else until):
        delta = history.deltas[position - 1]
        if delta.before is delta.after:
            continue
        value = place.value(delta.after, t0)
        if not same(former, value):
            yield _put(history, place, position, former, value)
        former = value


def _put(history: History, place: _Place, position: int, before: Any, after: Any) -> Put:
    event, state = history.events[position - 1], history.deltas[position - 1].after
    payload = payload_of(event)
    return Put(
        position=position,
        event_id=event.id,
        event_type=event.event_type,
        at=history.time_of(position),
        before=before,
        after=after,
        words=sentence(event.event_type, payload, repr(redaction.clip(place.label, limit=_SHOWN))),
        step=place.label,
        attempt=state.attempt,
        actor=actor_of(event, history.run_at(position - 1)),
        reason=text(payload, "cause") or text(payload, "reason"),
    )


def _equal(history: History, value: Any, position: int) -> tuple[tuple[Equal, ...], str]:
    """Return where an equal value stood before the position, and what to say of the search."""
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return (), PLAIN
    size = _size(value)
    if size is None:
        return (), CUT
    before = history.at_position(position - 1)
    sources = [(_Place(0, "", _RUN["input"], ()), before.input)]
    sources += [
        (_Place(lane, step.label, _STEP["output"], ()), step.output) for lane, step in enumerate(before.steps, 1)
    ]
    found: list[Equal] = []
    looks, compares, cut = _MOST_LOOKED_AT, _MOST_COMPARED, False
    for place, held in sources:
        for way, inner in _inside(held):
            looks, cut = looks - 1, cut or len(way) == _DEEPEST
            if not _alike(inner, value):
                continue
            compares -= size
            if looks < 0 or compares < 0:
                return tuple(found), CUT
            if same(inner, value):
                there = _Place(place.lane, place.label, place.member, way)
                *_, put = _puts(history, there, position - 1)
                found.append(Equal(path=there.path(), put=put))
                break
        if len(found) == _MOST_EQUAL:
            return tuple(found), f"only the first {_MOST_EQUAL} places with an equal value are told"
        if looks < 0:
            return tuple(found), CUT
    return tuple(found), CUT if cut else "" if found else NO_WAY


def _size(value: Any) -> int | None:
    """Return how many values there are in a JSON value; None for one that is nested too deeply, or too large."""
    count = 0
    for way, _ in _inside(value):
        count += 1
        if len(way) == _DEEPEST or count > _MOST_LOOKED_AT:
            return None
    return count


def _alike(one: Any, other: Any) -> bool:
    """Return whether two values may be the same, at a glance."""
    return type(one) is type(other) and (not isinstance(one, dict | list) or len(one) == len(other))


def _inside(value: Any) -> Iterator[tuple[Path, Any]]:
    """Yield every value inside a JSON value with the way to it, the outer before the inner, to a depth of 64."""
    if value is msgspec.UNSET:
        return
    pending: list[tuple[Path, Any]] = [((), value)]
    while pending:
        way, one = pending.pop()
        yield way, one
        if len(way) == _DEEPEST:
            continue
        if isinstance(one, dict):
            pending.extend(((*way, key), inner) for key, inner in reversed(one.items()))
        elif isinstance(one, list):
            pending.extend(((*way, index), one[index]) for index in reversed(range(len(one))))


def _nothing(history: History, place: _Place) -> NotFoundError:
    """Return the error for a place where nothing ever stood; it names what is beside it."""
    states = history.steps
    state = states[place.lane - 1] if place.lane else history.run_at(history.length)
    known: Path = place.rest
    while known:
        known = known[:-1]
        holder = _Place(place.lane, place.label, place.member, known)
        value = holder.value(state, history.t0)
        if value is not msgspec.UNSET:
            return NotFoundError(
                f"nothing stands, or stood, at {_short(place)} in run {history.run_id}; {_short(holder)} {_has(value)}"
            )
    return NotFoundError(f"nothing stands, or stood, at {_short(place)} in run {history.run_id}")


def _has(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(redaction.clip(str(key), limit=_SHOWN) for key in list(value)[:_MOST_KEYS])
        more = f" and {len(value) - _MOST_KEYS} more" if len(value) > _MOST_KEYS else ""
        return f"has {keys or 'nothing in it'}{more}"
    if isinstance(value, list):
        return f"is a list of {len(value)}: write [0] for its first"
    return "is neither an object nor a list"


def _short(place: _Place) -> str:
    return redaction.clip(path_text(place.path()), limit=2 * _SHOWN)
