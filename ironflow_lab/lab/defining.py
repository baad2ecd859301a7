"""Durable functions of cells: registered when they are defined, served from this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
        """Register the function, serve it, and return it; the guard is asked first."""
        events = ", ".join(trigger.event for trigger in defined.triggers)
        on = f", started by {events}," if events else ""
        self._session.guard.check(f"register the function {defined.id!r}{on} and serve it from this process")
        if self._serving is None:
            self._serving = serving(self._session)
        self._serving.add(self._session, defined)
        return defined

    def worker(self) -> WorkerCard:
        """Return the card of this process's worker for the session's server."""
        if self._serving is None:
            self._serving = serving(self._session)
        return WorkerCard(self._serving, self._session.guard)
