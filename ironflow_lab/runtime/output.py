"""Where the output of handlers goes: the port a notebook fills, and what is kept of every run."""

from __future__ import annotations

import contextvars
import logging
import os
import sys
import threading
from collections import OrderedDict, deque
from typing import Protocol

from ironflow_lab.runtime.context import logger

SHOWN_PER_SEGMENT = 64 * 1024
KEPT_PER_RUN = 256 * 1024
KEPT_IN_ALL = 8 * 1024 * 1024
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "silent": logging.CRITICAL + 1,
}


class Filter(Protocol):
    """Sees what a segment prints before it is shown."""

    def __call__(self, stream: str, text: str) -> str:
        """Return the part of `text` to show; `stream` is "stdout" or "stderr"."""
        ...


class OutputSink(Protocol):
    """Where output belongs; `place` is the cell a function was defined in."""

    def context(self, place: object, filter: Filter) -> contextvars.Context:
        """Return a fresh context in which output goes to `place` through `filter`."""
        ...


class PlainOutput:
    """Outside a notebook: output goes wherever the process's own goes, and is not captured."""

    def context(self, place: object, filter: Filter) -> contextvars.Context:
        """Return an empty context."""
        return contextvars.Context()


class RunLogs:
    """What the runs of this worker printed and logged: the last 256 kB of each, 8 MB in all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, deque[str]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._total = 0

    def add(self, run_id: str, text: str) -> None:
        """Keep text of a run; the oldest of it, and the runs silent for longest, make room."""
        text = text[-KEPT_PER_RUN:]
        with self._lock:
            pieces = self._runs.setdefault(run_id, deque())
            self._runs.move_to_end(run_id)
            pieces.append(text)
            self._grow(run_id, len(text))
            while self._sizes[run_id] > KEPT_PER_RUN:
                self._grow(run_id, -len(pieces.popleft()))
            while self._total > KEPT_IN_ALL:
                oldest, _ = self._runs.popitem(last=False)
                self._total -= self._sizes.pop(oldest)

    def read(self, run_id: str) -> str:
        """Return what is kept of a run, "" when nothing is."""
        with self._lock:
            return "".join(self._runs.get(run_id, ()))

    def _grow(self, run_id: str, by: int) -> None:
        self._sizes[run_id] = self._sizes.get(run_id, 0) + by
        self._total += by


class SegmentOutput:
    """The filter of one segment: all is kept with the run, 64 kB are shown."""

    __slots__ = ("_logs", "_room", "_run_id")

    def __init__(self, run_id: str, logs: RunLogs) -> None:
        self._run_id = run_id
        self._logs = logs
        self._room = SHOWN_PER_SEGMENT

    def __call__(self, stream: str, text: str) -> str:
        """Keep `text` and return the part of it that still fits."""
        self._logs.add(self._run_id, text)
        if len(text) <= self._room:
            self._room -= len(text)
            return text
        if self._room < 0:
            return ""
        shown, self._room = text[: self._room], -1
        return (
            f"{shown}\n… output cut after {SHOWN_PER_SEGMENT // 1024} kB; the last"
            f" {KEPT_PER_RUN // 1024} kB are in lab.worker.logs({self._run_id!r})\n"
        )


class _LogKeeper(logging.Handler):
    """Keeps what handlers log with their runs, and shows it where nobody has set up logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, and show it; what is shown under a cell is kept by being shown."""
        line = self.format(record) + "\n"
        keep = getattr(record, "ironflow_keep", None)
        capturing = getattr(sys.stderr, "capturing", None)
        if keep is not None and not (capturing is not None and capturing()):
            keep(line)
        if not logging.root.handlers:
            sys.stderr.write(line)


def keep_logs() -> None:
    """Have `ctx.logger` keep and show its lines, from the level in IRONFLOW_LOG_LEVEL (info) on."""
    if any(isinstance(handler, _LogKeeper) for handler in logger.handlers):
        return
    keeper = _LogKeeper()
    keeper.setFormatter(logging.Formatter("%(levelname)s %(ironflow_function)s: %(message)s"))
    logger.addHandler(keeper)
    if logger.level == logging.NOTSET:
        logger.setLevel(_LEVELS.get(os.environ.get("IRONFLOW_LOG_LEVEL", "").lower(), logging.INFO))
