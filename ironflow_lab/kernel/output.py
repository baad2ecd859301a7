"""Output under the right cell: what a function prints in any thread appears where it was defined."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from typing import Any, TextIO

from ironflow_lab.kernel.session import shell

# Sees (stream, text) before it is shown and returns the part to show.
Filter = Callable[[str, str], str]

_filter: contextvars.ContextVar[Filter | None] = contextvars.ContextVar("ironflow_lab_output", default=None)


class Cell:
    """One execution of a cell, as the place that output belongs to."""

    __slots__ = ("_template",)

    def __init__(self, running: Any) -> None:
        # Since ipykernel 7.4 a context can be told its cell; before, the cell's own context is kept.
        if hasattr(running, "set_thread_parent"):
            self._template = contextvars.Context()
            self._template.run(running.set_thread_parent, running.get_parent())
        else:
            self._template = contextvars.copy_context()

    def context(self) -> contextvars.Context:
        """Return a fresh context whose output appears under this cell."""
        return self._template.copy()


class KernelOutput:
    """The kernel's output, cell by cell; `ironflow_lab.runtime.output.OutputSink` for a notebook."""

    def context(self, place: object, filter: Filter) -> contextvars.Context:
        """Return a fresh context in which output goes to the cell `place` through `filter`."""
        fresh = place.context() if isinstance(place, Cell) else contextvars.Context()
        fresh.run(_filter.set, filter)
        return fresh


class FilteredStream:
    """A standard stream of the kernel that shows each context's text through its filter."""

    def __init__(self, name: str, base: TextIO) -> None:
        self._name = name
        self._base = base

    def write(self, text: str) -> int:
        """Write the text, or what the context's filter leaves of it; return its full length."""
        through = _filter.get()
        if through is None:
            return self._base.write(text)
        shown = through(self._name, text)
        if shown:
            self._base.write(shown)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def capturing(self) -> bool:
        """Return whether what is written in this context is seen by a filter."""
        return _filter.get() is not None

    def __getattr__(self, name: str) -> Any:
        """Return the stream's own attribute."""
        return getattr(self._base, name)


def here() -> Cell | None:
    """Return the cell being executed, or None outside a kernel."""
    running = shell()
    return None if running is None else Cell(running)


def kernel_output() -> KernelOutput | None:
    """Return the kernel's output, its streams filtered from now on, or None outside a kernel."""
    if shell() is None:
        return None
    for name in ("stdout", "stderr"):
        base = getattr(sys, name)
        if not isinstance(base, FilteredStream):
            setattr(sys, name, FilteredStream(name, base))
    return KernelOutput()
