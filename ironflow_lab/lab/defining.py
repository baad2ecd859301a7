"""Durable functions of cells: registered when they are defined, served from this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ironflow_lab.errors import ApiError, PermissionDeniedError, UnauthenticatedError, UnimplementedError
from ironflow_lab.lab import aftercells
from ironflow_lab.lab.serving import Serving, serving
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.worker import WorkerCard
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.upcasters import Upcasters

M = TypeVar("M", bound=Callable[..., Any])


def takes(original: Callable[..., Any]) -> Callable[[M], M]:
    """Return a decorator that lets a method tell the arguments of the function whose options it takes."""

    def mark(method: M) -> M:
        own = next(iter(inspect.signature(method).parameters.values()))
        shown = inspect.signature(original)
        # What help and completion in a notebook ask for.
        vars(method)["__signature__"] = shown.replace(parameters=[own, *shown.parameters.values()])
        return method

    return mark


class Definer:
    """Defines functions through one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._serving: Serving | None = None
        self.upcasters = Upcasters()

    def add(self, defined: DurableFunction) -> DurableFunction:
        """Register the function, serve it, and return it; the guard is asked first.

        Its runs are recorded unless it says otherwise (design D12), and old events brought up to date by the
        lab's upcasters unless it has its own.
        """
        defined = self._session.naming.placed(defined)
        events = ", ".join(trigger.event for trigger in defined.triggers)
        on = f", started by {events}," if events else ""
        self._session.guard.check(f"register the function {defined.id!r}{on} and serve it from this process")
        if self._serving is None:
            self._serving = serving(self._session)
        recorded = defined.recorded().upcast_by(self.upcasters)
        try:
            self._serving.add(self._session, recorded)
        except ApiError as error:
            raise refusal(error, recorded) from None
        aftercells.defined(self._session, recorded)
        return recorded

    def worker(self) -> WorkerCard:
        """Return the card of this process's worker for the session's server."""
        if self._serving is None:
            self._serving = serving(self._session)
        return WorkerCard(self._serving, self._session)


def refusal(error: ApiError, defined: DurableFunction) -> ApiError:
    """Return the error of a registration that a server refused, naming the function and the remedy.

    One that was not answered speaks for itself.
    """
    if error.status == 0:
        return error
    return type(error)(
        f"the function {defined.id!r} was not registered: {error.message}. {_remedy(error, defined)}",
        code=error.code,
        status=error.status,
        retryable=error.retryable,
        retry_after=error.retry_after,
        details=error.details,
        reason=error.reason,
    )


def _remedy(error: ApiError, defined: DurableFunction) -> str:
    if isinstance(error, UnauthenticatedError | PermissionDeniedError):
        return "Join with a key that may register functions: il.connect(api_key=...)"
    if not isinstance(error, UnimplementedError):
        return "Mend what it names, and run the cell again"
    if defined.recording and "recording" in error.message:
        return (
            "A lab asks for recording unless the function says recording=False; without it run.at, run.diff and"
            " run.scrub have nothing to show"
        )
    return "Leave that option out, or join a server that has it"
