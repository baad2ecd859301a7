"""What a handler is given: the event, the run, the steps and a logger."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from ironflow_lab.models.workers import Assignment
from ironflow_lab.runtime.events import of_job
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.step import Step

S = TypeVar("S", Step, PlainStep)

# Handlers of the worker listen here; what a handler logs is kept with its run.
logger = logging.getLogger("ironflow_lab.run")


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The run being executed; `attempt` is 1 at first, `max_attempts` 0 when the server did not say."""

    id: str
    function_id: str
    attempt: int
    max_attempts: int = 0


class Context(Generic[S]):
    """The one argument of a handler.

    `event` is what started the run, `run` its id and attempt, `step` the durable operations
    (awaited in an `async def` handler, called in a plain one), `logger` a standard logger whose
    lines are kept with the run.
    """

    __slots__ = ("_keep", "_logger", "event", "run", "step")
    step: S

    def __init__(self, assignment: Assignment, step: S, *, keep: Callable[[str], None] | None = None) -> None:
        self.event = of_job(assignment.event)
        self.run = RunInfo(
            id=assignment.run_id,
            function_id=assignment.function_id,
            attempt=assignment.attempt,
            max_attempts=assignment.max_attempts or 0,
        )
        self.step = step
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
