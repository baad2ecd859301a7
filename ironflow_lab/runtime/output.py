"""Where the output of handlers goes: the port a notebook fills, and how notes of our own get there."""

from __future__ import annotations

import contextvars
import logging
import math
import os
import sys
from typing import Protocol

from ironflow_lab.clock import SystemClock
from ironflow_lab.kernel import output as kernel
from ironflow_lab.kernel.taps import Capture
from ironflow_lab.runtime.context import logger
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.logs import LogLine, LogStore
from ironflow_lab.runtime.segment import Segment

SHOWN_PER_SEGMENT = 64 * 1024
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "silent": logging.CRITICAL + 1,
}


class OutputSink(Protocol):
    """Where output belongs; `place` is the cell a function was defined in. Nothing here waits."""

    def context(self, place: object, capture: Capture) -> contextvars.Context:
        """Return a fresh context in which output goes to `place` and is seen by `capture`."""
        ...

    def room(self, place: object) -> float:
        """Return how many characters of a segment go on to the process's own streams."""
        ...

    def line(self, place: object, line: LogLine, state: str) -> None:
        """Take a line of a run that is in `state`; it may have gone on to the process's streams."""
        ...

    def note(self, place: object, line: LogLine, state: str) -> None:
        """Take a line of ours, which stands nowhere yet; `state` is "" where that of the run is not known."""
        ...

    def state(self, place: object, function_id: str, run_id: str, state: str) -> None:
        """Take how a run stands now."""
        ...


class PlainOutput:
    """Outside a notebook: what is written goes where it goes, and is kept too."""

    def context(self, place: object, capture: Capture) -> contextvars.Context:
        """Return an empty context, seen by `capture`."""
        return kernel.capture(None, capture)

    def room(self, place: object) -> float:
        """Return infinity."""
        return math.inf

    def line(self, place: object, line: LogLine, state: str) -> None:
        """Do nothing: the line stands where it was written."""

    def note(self, place: object, line: LogLine, state: str) -> None:
        """Log the line."""
        level = logging.getLevelNamesMapping().get(line.level, logging.WARNING)
        # In a context without a capture, so that it is not kept a second time.
        facts = {"ironflow_function": line.function_id, "ironflow_run": line.run_id}
        contextvars.Context().run(logger.log, level, "%s", line.text, extra=facts)

    def state(self, place: object, function_id: str, run_id: str, state: str) -> None:
        """Do nothing."""


class StreamOutput(PlainOutput):
    """In a notebook without a lab: text under the defining cell, 64 kB of each segment."""

    def context(self, place: object, capture: Capture) -> contextvars.Context:
        """Return a fresh context of the cell, seen by `capture`."""
        return kernel.capture(place, capture)

    def room(self, place: object) -> float:
        """Return 64 kB."""
        return SHOWN_PER_SEGMENT

    def note(self, place: object, line: LogLine, state: str) -> None:
        """Write the line under the cell."""
        context = place.context() if isinstance(place, kernel.Cell) else contextvars.Context()
        context.run(sys.stderr.write, f"{line.level} {line.function_id}: {line.text}\n")


def default_sink() -> OutputSink:
    """Return the output of this process as it is without a lab."""
    return StreamOutput() if kernel.tap_displays() else PlainOutput()


_in_use: list[tuple[OutputSink, LogStore]] = []


def use(sink: OutputSink, store: LogStore) -> None:
    """Have the notes about functions, which belong to no segment, go there."""
    _in_use[:] = [(sink, store)]


def note(
    where: Segment | DurableFunction,
    text: str,
    *,
    stream: str = "warning",
    level: str = "WARNING",
    run_id: str = "",
    attempt: int = 0,
    step: str = "",
    step_id: str = "",
) -> None:
    """Put a line of ours under the cell of a function; from any thread, without waiting.

    With a segment the line is its run's, and its step's when the caller is inside a body. With a
    function it is about `run_id`, or about the function itself; lines of a run are kept with it.
    Outside a notebook the line is logged.
    """
    if isinstance(where, Segment):
        if where.output is not None:
            where.output.note(text, stream=stream, level=level, step=step, step_id=step_id)
            return
        run_id, attempt = where.assignment.run_id, where.assignment.attempt
        where = where.function
    line = LogLine(
        at=SystemClock().now(),
        run_id=run_id,
        function_id=where.id,
        attempt=attempt,
        step=step,
        step_id=step_id,
        stream=stream,
        level=level,
        text=text,
    )
    sink, store = _in_use[0] if _in_use else (default_sink(), None)
    if run_id and store is not None:
        store.add(line)
    sink.note(where.place, line, "" if run_id else "note")


class _Shower(logging.Handler):
    """Shows what handlers log where nobody has set up logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to stderr."""
        if not logging.root.handlers:
            sys.stderr.write(self.format(record) + "\n")


def show_logs() -> None:
    """Have `ctx.logger` show its lines, from the level in IRONFLOW_LOG_LEVEL (info) on."""
    if any(isinstance(handler, _Shower) for handler in logger.handlers):
        return
    shower = _Shower()
    shower.setFormatter(logging.Formatter("%(levelname)s %(ironflow_function)s: %(message)s"))
    logger.addHandler(shower)
    if logger.level == logging.NOTSET:
        logger.setLevel(_LEVELS.get(os.environ.get("IRONFLOW_LOG_LEVEL", "").lower(), logging.INFO))
