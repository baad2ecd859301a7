"""Durable functions of cells: registered when they are defined, served from this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ironflow_lab.errors import UnimplementedError
from ironflow_lab.lab.serving import Serving, serving
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.worker import WorkerCard
from ironflow_lab.runtime.function import DurableFunction, Handler, function


class Definer:
    """Defines functions through one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._serving: Serving | None = None

    def decorate(
        self, id: Handler | str | None, options: dict[str, Any]
    ) -> DurableFunction | Callable[[Handler], DurableFunction]:
        """Return the durable function when used bare, else the decorator."""
        if callable(id):
            return self.add(function(**options)(id))
        make: Callable[[Handler], DurableFunction] = function(id, **options)
        return lambda handler: self.add(make(handler))

    def add(self, defined: DurableFunction) -> DurableFunction:
        """Register the function, serve it, and return it; the guard is asked first.

        Its runs are recorded unless it says otherwise (design D12).
        """
        events = ", ".join(trigger.event for trigger in defined.triggers)
        on = f", started by {events}," if events else ""
        self._session.guard.check(f"register the function {defined.id!r}{on} and serve it from this process")
        if self._serving is None:
            self._serving = serving(self._session)
        recorded = defined.recorded()
        try:
            self._serving.add(self._session, recorded)
        except UnimplementedError as error:
            raise refusal(error, recorded) from None
        return recorded

    def worker(self) -> WorkerCard:
        """Return the card of this process's worker for the session's server."""
        if self._serving is None:
            self._serving = serving(self._session)
        return WorkerCard(self._serving, self._session.guard)


def refusal(error: UnimplementedError, defined: DurableFunction) -> UnimplementedError:
    """Return the error of a server that lacks an option, with the remedy when the option is recording."""
    if not defined.recording or "recording" not in error.message:
        return error
    return UnimplementedError(
        f"{error.message}. A lab asks for recording unless the function says recording=False; without it"
        " run.at, run.diff and run.scrub have nothing to show",
        status=error.status,
    )
