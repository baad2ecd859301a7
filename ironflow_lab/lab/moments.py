"""What may stand for a moment of a run: a position, an event, a step, a time, a snapshot."""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import index
from typing import Any

from ironflow_lab.client import arguments
from ironflow_lab.client.arguments import When
from ironflow_lab.errors import DefinitionError, InvalidArgumentError, NotFoundError
from ironflow_lab.history.fold import History
from ironflow_lab.history.redaction import clip
from ironflow_lab.models.instant import Instant

WAYS = (
    "a position (run.at(3), run.at(-1) for the last), an event (run.at(event=3)), a step (run.at(step='charge'))"
    " or a time (run.at('2h') for two hours ago, run.at('2026-01-02T03:04:05Z'), run.at(an aware datetime))"
)
_SHOWN = 60


def is_time(value: Any) -> bool:
    """Return whether the value is written as a time; a number is a position, unless it is an `Instant`."""
    return isinstance(value, Instant | datetime | timedelta)


def at_position(history: History, given: Any) -> int:
    """Return the position, counted from the end when negative; raises `InvalidArgumentError` beyond the ends."""
    position = _whole(given)
    if position is None:
        raise DefinitionError(f"{given!r:.60} is no moment of a run; give {WAYS}")
    found = position + history.length + 1 if position < 0 else position
    if not 0 <= found <= history.length:
        raise InvalidArgumentError(
            f"run {history.run_id} has positions 0 (before it was created) to {history.length}, or -1 to"
            f" {-history.length - 1} from the end; {position} is none of them"
        )
    return found


def at_event(history: History, event: Any) -> int:
    """Return the position after an event, given by its number (from 1, or from the end) or its id."""
    if isinstance(event, str):
        for position, known in enumerate(history.events, 1):
            if known.id == event:
                return position
        raise NotFoundError(f"run {history.run_id} has no event {clip(event, limit=_SHOWN)!r}; see run.audit")
    number = _whole(event)
    if number is None:
        raise DefinitionError(f"event={event!r:.60} must be the number of an event, counted from 1, or its id")
    found = number + history.length + 1 if number < 0 else number
    if not 1 <= found <= history.length:
        raise InvalidArgumentError(
            f"run {history.run_id} has events 1 to {history.length}, or -1 to {-history.length} from the end;"
            f" {number} is none of them"
        )
    return found


def at_step(history: History, step: Any) -> int:
    """Return the position after a step's end; raises `NotFoundError` that names the steps there are."""
    if not isinstance(step, str):
        raise DefinitionError(f"step={step!r:.60} must be the name of a step, such as 'charge' or 'charge:1'")
    return history.position_of(step)


def at_time(history: History, value: When, now: int) -> tuple[int, Instant]:
    """Return the position at a time, and the time; raises `NotFoundError` for one before the run's creation."""
    at = arguments.moment("the time", value, now)
    position = history.position_at(at)
    if position == 0:
        raise NotFoundError(f"run {history.run_id} did not exist at {at}: it was created at {history.t0}")
    return position, at


def at_text(history: History, text: str, now: int) -> tuple[int, Instant]:
    """Return the position and the time that a text means: a step's name, or a time.

    Raises `DefinitionError` for a text that is both or neither.
    """
    try:
        at = arguments.moment("the time", text, now)
    except DefinitionError:
        at = None
    if not _is_step(history, text):
        if at is None:
            raise DefinitionError(
                f"{clip(text, limit=_SHOWN)!r} is neither a time nor one of the steps {_names(history)}; give {WAYS}"
            )
        return at_time(history, at, now)
    if at is not None:
        raise DefinitionError(
            f"{text!r} is a step of this run and can be read as a time too; say run.at(step={text!r})"
            f" or run.at({str(at)!r})"
        )
    position = at_step(history, text)
    return position, history.time_of(position)


def _whole(value: Any) -> int | None:
    """Return a whole number of any kind, those out of a DataFrame included, as Python's; None for all else."""
    if isinstance(value, bool):
        return None
    try:
        return index(value)
    except TypeError:
        return None


def _is_step(history: History, text: str) -> bool:
    try:
        history.lane_of(text)
    except NotFoundError:
        return False
    return True


def _names(history: History) -> str:
    labels = [clip(label, limit=_SHOWN) for label in history.labels]
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return (", ".join(labels[:10]) or "(it has none)") + more
