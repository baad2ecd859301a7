"""What a handler is given: the event, the run, the steps, the secrets and a logger."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import UNSET, Assignment
from ironflow_lab.runtime.events import NOT_SET, Event, of_job
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.secrets import Secrets
from ironflow_lab.runtime.step import Step

S = TypeVar("S", Step, PlainStep)

# Handlers of the worker listen here; what a handler logs is kept with its run.
logger = logging.getLogger("ironflow_lab.run")


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The run being executed; `attempt` is 1 at first, `max_attempts` 0 when the server did not say.

    `started_at` is when this execution of the handler began: after a wait or a failure it is another.
    A time that has to stay belongs into a step, or is that of the event.
    """

    id: str
    function_id: str
    attempt: int
    max_attempts: int = 0
    started_at: Instant = NOT_SET


class Context(Generic[S]):
    """The one argument of a handler.

    `event` is what started the run, `run` its id and attempt, `step` the durable operations
    (awaited in an `async def` handler, called in a plain one), `secrets` the values of the secrets
    that the function names, `logger` a standard logger whose lines are kept with the run.
    """

    __slots__ = ("_keep", "_logger", "event", "run", "secrets", "step")
    event: Event
    run: RunInfo
    secrets: Secrets
    step: S

    def __init__(
        self,
        assignment: Assignment,
        step: S,
        *,
        keep: Callable[[logging.LogRecord], None] | None = None,
        event: Event | None = None,
        declared: tuple[str, ...] = (),
        started_at: int = 0,
    ) -> None:
        self.event = of_job(assignment.event) if event is None else event
        self.run = RunInfo(
            id=assignment.run_id,
            function_id=assignment.function_id,
            attempt=assignment.attempt,
            max_attempts=assignment.max_attempts or 0,
            started_at=Instant(started_at),
        )
        self.step = step
        held = {} if assignment.context is UNSET else assignment.context.secrets
        self.secrets = Secrets(held, function_id=assignment.function_id, declared=declared)
        self._keep = keep
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that puts function, run and attempt on each record."""
        if self._logger is None:
            facts = {
                "ironflow_function": self.run.function_id,
                "ironflow_run": self.run.id,
                "ironflow_attempt": self.run.attempt,
                "ironflow_keep": self._keep,
            }
            self._logger = logging.LoggerAdapter(logger, facts)
        return self._logger

    def __repr__(self) -> str:
        """Return the run and its event, without the payload."""
        return f"<context of {self.run.id}, attempt {self.run.attempt}, event {self.event.name!r}>"
