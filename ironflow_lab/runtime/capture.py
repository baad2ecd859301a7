"""What one segment writes, as lines with their step; secrets delivered to its job are masked."""

from __future__ import annotations

import html
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from ironflow_lab.clock import Clock
from ironflow_lab.models.workers import Assignment
from ironflow_lab.runtime import faults
from ironflow_lab.runtime.attempt import current_step
from ironflow_lab.runtime.context import logger
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.logs import KEPT_PER_RUN, LogLine, LogStore
from ironflow_lab.runtime.outcome import Completed, Failed, Outcome

if TYPE_CHECKING:
    from ironflow_lab.runtime.output import OutputSink

MASK = "•••"
# Shorter values would be found everywhere.
SHORTEST_SECRET = 6
LONGEST_LINE = 16 * 1024
# Of one write; more would not be kept anyway.
MOST_LINES = 4096
MOST_DISPLAYS = 20
MOST_UPDATES = 200
LARGEST_DISPLAY = 2 * 1024 * 1024
KEPT_DISPLAY = 64 * 1024
_LONGEST_CAPTION = 2_000
# A kernel compiles a cell as such a file.
_CELL_FILE = re.compile(r"ipykernel_\d+|^<ipython-input|^<")


class SegmentOutput:
    """The capture of one segment; `kernel.taps.Capture`.

    `state` is executing, completed, failed, waiting, paused or given up. Text becomes lines when
    their end is written, when their step ends or the segment does.
    """

    __slots__ = ("_clock", "_displays", "_hidden", "_longest", "_open", "_room", "_sink", "_store", "_updates",
                 "attempt", "function", "quiet", "run_id", "state")  # fmt: skip

    def __init__(
        self,
        assignment: Assignment,
        function: DurableFunction,
        *,
        sink: OutputSink,
        store: LogStore | None,
        clock: Clock,
    ) -> None:
        self.run_id = assignment.run_id
        self.attempt = assignment.attempt
        self.function = function
        self.state = "executing"
        self.quiet = _Quiet(self)
        self._sink = sink
        self._store = store
        self._clock = clock
        self._hidden = _variants(assignment)
        self._longest = max(map(len, self._hidden), default=1)
        self._room = sink.room(function.place)
        self._open: dict[tuple[str, str, int], tuple[str, str]] = {}
        self._displays = self._updates = 0

    def __call__(self, record: logging.LogRecord) -> None:
        """Keep a record of `ctx.logger`."""
        self.log(record)

    def write(self, stream: str, text: str) -> str:
        """Keep the lines that end in `text`, and return the part that goes on to the stream."""
        step_id, step = current_step()
        key = stream, step_id, threading.get_ident()
        before = self._open.pop(key, None)
        rest = before[0] + text if before else text
        if "\n" in text:
            *lines, rest = rest.split("\n")
            if len(lines) > MOST_LINES:
                gone = len(lines) - MOST_LINES
                lines[:gone] = [f"… ({gone:,} lines left out)"]
            for line in lines:
                self._add(line, stream, step_id, step)
        if rest:
            self._open[key] = self._bounded(rest, stream, step_id, step), step
        return self.passed(text)

    def passed(self, text: str) -> str:
        """Return the part of `text` that the process's stream still has room for."""
        room = self._room
        if room <= 0:
            return ""
        text = self._masked(text)
        if len(text) <= room:
            self._room -= len(text)
            return text
        self._room = 0
        kept = KEPT_PER_RUN // 1024
        return (
            f"{text[: int(room)]}\n… output cut after {int(self._sink.room(self.function.place)) // 1024} kB;"
            f" the last {kept} kB are in lab.worker.logs({self.run_id!r})\n"
        )

    def log(self, record: logging.LogRecord) -> None:
        """Keep a log record, with its traceback; other loggers than `ctx.logger` are named."""
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - its arguments are the user's objects
            text = str(record.msg)
        if record.name != logger.name:
            text = f"{record.name}: {text}"
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}\n{faults.stack(record.exc_info[1])}"
        self._add(text, "log", *current_step(), level=record.levelname)

    def warn(self, category: str, message: str, filename: str, line: int) -> None:
        """Keep a warning, with its line in the cell or file."""
        where = f"line {line}" if _CELL_FILE.search(filename) else f"{Path(filename).name}:{line}"
        # Ours name their lines themselves.
        told = message if category == "IronflowWarning" else f"{message} ({where})"
        self._add(told, "warning", *current_step(), level=category)

    def display(self, data: Mapping[str, Any], *, update: bool) -> Mapping[str, Any] | None:
        """Keep a display, its bundle up to 64 kB; return what is shown: 20 of up to 2 MB, and 200 updates."""
        if update:
            self._updates += 1
            return self._mask_all(data) if self._updates <= MOST_UPDATES else None
        self._displays += 1
        shown: Mapping[str, Any] | None = self._mask_all(data)
        kinds = ", ".join(map(str, data))
        caption = str(data.get("text/plain") or f"({kinds})")[:_LONGEST_CAPTION]
        size = sum(len(part) for part in data.values() if isinstance(part, str | bytes))
        if size > LARGEST_DISPLAY:
            caption, shown = f"{caption} (not shown: {size:,} characters)", None
        elif self._displays > MOST_DISPLAYS:
            caption, shown = f"{caption} (not shown: the segment's display number {self._displays})", None
        small = shown is not None and size <= KEPT_DISPLAY
        kept = {str(kind): part for kind, part in shown.items() if isinstance(part, str)} if shown and small else None
        self._add(caption, "display", *current_step(), data=kept)
        return shown

    def note(self, text: str, *, stream: str, level: str, step: str = "", step_id: str = "") -> None:
        """Keep a line of ours and have it shown."""
        if not step_id:
            step_id, step = current_step()
        for line in self._lines(text, stream, step_id, step, level, None):
            self._keep(line)
            self._sink.note(self.function.place, line, self.state)

    def begin(self) -> None:
        """Say that the segment executes; what its module has warned of before is new to it."""
        getattr(self.function.handler, "__globals__", {}).pop("__warningregistry__", None)
        self._sink.state(self.function.place, self.function.id, self.run_id, self.state)

    def end(self, state: str) -> None:
        """Say how the segment ended, and end the lines that it left open."""
        self._end_lines()
        self.state = state
        self._sink.state(self.function.place, self.function.id, self.run_id, state)
        if self._store is not None:
            self._store.hurry()

    def conclude(self, outcome: Outcome, error: BaseException | None) -> None:
        """Say how the segment ended; a failure puts a line that names what happened and the remedy."""
        if isinstance(outcome, Failed):
            self._end_lines()
            text = outcome.fault.message if error is None else self._told(error)
            self.note(text, stream="error", level="ERROR")
            self.end("failed")
        else:
            self.end("completed" if isinstance(outcome, Completed) else "waiting")

    def _told(self, error: BaseException) -> str:
        try:
            return faults.told(self.function, error)
        except Exception:  # noqa: BLE001 - it looks at the user's objects
            return faults.describe(error)

    def _end_lines(self) -> None:
        for stream, step_id, thread in list(self._open):
            left = self._open.pop((stream, step_id, thread), None)
            if left:
                self._add(left[0], stream, step_id, left[1])

    def _bounded(self, rest: str, stream: str, step_id: str, step: str) -> str:
        """Return the open part of a line; of a long one the beginning is kept as a line of its own."""
        if "\r" in rest:
            # A progress bar writes over itself.
            rest = rest[rest.rstrip("\r").rfind("\r") + 1 :]
        if len(rest) <= LONGEST_LINE:
            return rest
        rest = self._masked(rest)
        # What may be the beginning of a secret waits for its end.
        cut = len(rest) - self._longest + 1
        self._add(rest[:cut], stream, step_id, step)
        return rest[cut:]

    def _add(
        self,
        text: str,
        stream: str,
        step_id: str,
        step: str,
        *,
        level: str = "",
        data: dict[str, str] | None = None,
    ) -> None:
        for line in self._lines(text, stream, step_id, step, level, data):
            self._keep(line)
            self._sink.line(self.function.place, line, self.state)

    def _keep(self, line: LogLine) -> None:
        if self._store is not None:
            self._store.add(line)

    def _lines(
        self, text: str, stream: str, step_id: str, step: str, level: str, data: dict[str, str] | None
    ) -> Iterator[LogLine]:
        if "\r" in text:
            text = text.rstrip("\r").rpartition("\r")[2]
        text = self._masked(text)
        for start in range(0, len(text) or 1, LONGEST_LINE):
            yield LogLine(
                at=self._clock.now(),
                run_id=self.run_id,
                function_id=self.function.id,
                attempt=self.attempt,
                step_id=step_id,
                step=step,
                stream=stream,
                level=level,
                text=text[start : start + LONGEST_LINE],
                data=data,
            )

    def _masked(self, text: str) -> str:
        for secret in self._hidden:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def _mask_all(self, value: Any) -> Any:
        if not self._hidden:
            return value
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, Mapping):
            return {key: self._mask_all(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self._mask_all(part) for part in value]
        return value


class _Quiet:
    """Shows what a segment shows, and keeps nothing: what passes is kept already."""

    __slots__ = ("_output",)

    def __init__(self, output: SegmentOutput) -> None:
        self._output = output

    @property
    def quiet(self) -> _Quiet:
        return self

    def write(self, stream: str, text: str) -> str:
        return self._output.passed(text)

    def log(self, record: logging.LogRecord) -> None: ...

    def warn(self, category: str, message: str, filename: str, line: int) -> None: ...

    def display(self, data: Mapping[str, Any], *, update: bool) -> Mapping[str, Any] | None:
        return self._output.display(data, update=update)


def _variants(assignment: Assignment) -> tuple[str, ...]:
    """Return the texts to mask, the longest first: secrets as they are, line by line, and as they are quoted."""
    if assignment.context is UNSET or not assignment.context.secrets:
        return ()
    found = set()
    for secret in assignment.context.secrets.values():
        for part in (secret, *secret.splitlines()):
            found |= {part, html.escape(part), json.dumps(part)[1:-1], repr(part)[1:-1]}
    return tuple(sorted((one for one in found if len(one) >= SHORTEST_SECRET), key=len, reverse=True))
