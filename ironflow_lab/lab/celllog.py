"""What runs write appears under the cell that defined their function, as one log that is kept up to date."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextvars import Context

from ironflow_lab.kernel import output as kernel
from ironflow_lab.kernel.display import Live, show
from ironflow_lab.kernel.output import Cell
from ironflow_lab.lab.pane import Log
from ironflow_lab.runtime.logs import LogLine
from ironflow_lab.runtime.output import OutputSink, StreamOutput
from ironflow_lab.runtime.ticker import Ticker

# The first line is shown soon; after that at most four times a second.
SOON = 0.05
BETWEEN = 0.25
# Executions of cells whose logs are kept up to date.
MOST_PANES = 100


class Pane:
    """The log under one execution of a cell; it is displayed once it has a line."""

    def __init__(self, cell: Cell, function_id: str) -> None:
        self.dirty = False
        self._cell = cell
        self._lock = threading.Lock()
        self._log = Log(function_id)
        self._live: Live | None = None

    def add(self, line: LogLine, state: str) -> None:
        """Add a line; it is not shown yet."""
        with self._lock:
            self._log.add(line, state)
            self.dirty = True

    def mark(self, run_id: str, state: str) -> bool:
        """Say how a run stands; return whether that is to be shown."""
        with self._lock:
            changed = self._log.mark(run_id, state)
            self.dirty = self.dirty or changed
        return changed

    def draw(self) -> None:
        """Show the log as it is now, under the cell."""
        with self._lock:
            self.dirty = False
            log = self._log.copy()
        bundle = log.bundle()
        if self._live is None:
            # In the cell's context, from which the kernel reads where a display belongs.
            self._live = self._cell.context().run(show, bundle)
        else:
            # In none: programs that execute notebooks drop what comes for a cell that has ended.
            Context().run(self._live.update, bundle)


class CellLogs(StreamOutput):
    """The kernel's output sink: a pane for each function and execution of its cell.

    Functions without a cell write as they do without a lab. A run that finishes on the code of an
    earlier execution of the same cell writes where the front end has room for it: under the newest.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._panes: OrderedDict[tuple[str, str], Pane] = OrderedDict()
        self._ticker = Ticker("ironflow-cell-logs", self._draw, delay=SOON, gap=BETWEEN)

    def room(self, place: object) -> float:
        """Return 0 for a cell: what is written there is shown in its log."""
        return 0 if isinstance(place, Cell) else super().room(place)

    def line(self, place: object, line: LogLine, state: str) -> None:
        """Show the line in the log of its cell."""
        if isinstance(place, Cell):
            self._pane(place.current(), line.function_id).add(line, state)
            self._ticker.touch()

    def note(self, place: object, line: LogLine, state: str) -> None:
        """Show the line in the log of its cell."""
        if isinstance(place, Cell):
            self.line(place, line, state)
        else:
            super().note(place, line, state)

    def state(self, place: object, function_id: str, run_id: str, state: str) -> None:
        """Show how a run stands, if it has a line in the log."""
        if isinstance(place, Cell):
            pane = self._panes.get((place.current().execution, function_id))
            if pane is not None and pane.mark(run_id, state):
                self._ticker.touch()

    def _pane(self, cell: Cell, function_id: str) -> Pane:
        key = cell.execution, function_id
        pane = self._panes.get(key)
        if pane is None:
            with self._lock:
                pane = self._panes.setdefault(key, Pane(cell, function_id))
                if len(self._panes) > MOST_PANES:
                    self._panes.popitem(last=False)
        return pane

    def _draw(self) -> None:
        with self._lock:
            panes = list(self._panes.values())
        for pane in panes:
            if pane.dirty:
                pane.draw()


_sinks: list[CellLogs] = []


def cell_logs() -> OutputSink | None:
    """Return the sink of this kernel, None outside one."""
    if not kernel.tap_displays():
        return None
    if not _sinks:
        _sinks.append(CellLogs())
    return _sinks[0]
