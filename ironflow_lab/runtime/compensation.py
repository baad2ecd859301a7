"""Undoing: what `compensate` registers, and when and in what order it runs (worker.md 9.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from msgspec import UnsetType

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.workers import Assignment
from ironflow_lab.runtime.journal import COMPENSATE, Journal, Scope, check_name
from ironflow_lab.runtime.outcome import Failed, Outcome
from ironflow_lab.wire import stepid


class Undo(NamedTuple):
    """A function that undoes a step; `place` is where in the handler it was registered."""

    place: tuple[int, ...]
    step_name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Undoing(NamedTuple):
    """One compensation that is to run: its step's id and name, and what it does."""

    step_id: str
    name: str
    undo: Undo


class Undos:
    """The compensations one execution of a handler has registered."""

    __slots__ = ("_registered",)

    def __init__(self) -> None:
        self._registered: list[Undo] = []

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._registered)

    def register(self, scope: Scope, step_name: Any, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Add one; raises `DefinitionError` for a bad name or something that cannot be called."""
        check_name(step_name)
        if not callable(fn):
            raise DefinitionError(
                f"compensate {step_name!r:.60} got {type(fn).__name__} instead of a function; pass the function and"
                " its arguments apart: step.compensate('charge', refund, order)"
            )
        self._registered.append(Undo(scope.next(), step_name, fn, args, kwargs))

    def due(self, journal: Journal) -> Iterator[Undoing]:
        """Yield those that have not been done yet, the newest first.

        The order goes by place and not by time, so that branches give every compensation the same
        id on every execution. Ids count each name from zero, apart from the handler's own steps.
        """
        uses: dict[str, int] = {}
        for undo in sorted(self._registered, key=_place, reverse=True):
            name = COMPENSATE + undo.step_name
            index = uses.get(name, 0)
            uses[name] = index + 1
            step_id = stepid.step_id(journal.root.id, name, index)
            if journal.recall(step_id) is None:
                yield Undoing(step_id, name, undo)


def _place(undo: Undo) -> tuple[int, ...]:
    return undo.place


def terminal(outcome: Outcome, given: Assignment) -> bool:
    """Return whether the run has failed for good by this outcome.

    A retryable failure is final only where the server said that this attempt is the last one and
    that the run fails then; a run that pauses instead may still go on.
    """
    if not isinstance(outcome, Failed):
        return False
    if not outcome.fault.retryable:
        return True
    most = 0 if isinstance(given.max_attempts, UnsetType) else given.max_attempts
    return given.on_exhausted == "fail" and 0 < most <= given.attempt
