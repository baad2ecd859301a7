"""Output under the right cell: what a function prints in any thread appears where it was defined."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from ironflow_lab.kernel import taps
from ironflow_lab.kernel.session import shell
from ironflow_lab.kernel.taps import Capture, capturing


class Cell:
    """One execution of a cell, as the place that output belongs to.

    `execution` identifies it, `cell_id` is the front end's id of the cell, "" where it does not say.
    """

    __slots__ = ("_template", "cell_id", "execution")

    def __init__(self, running: Any) -> None:
        # Since ipykernel 7.4 a context can be told its cell; before, the cell's own context is kept.
        if hasattr(running, "set_thread_parent"):
            self._template = contextvars.Context()
            self._template.run(running.set_thread_parent, running.get_parent())
        else:
            self._template = contextvars.copy_context()
        parent = running.get_parent()
        self.cell_id = _text(parent, "metadata", "cellId")
        self.execution = _text(parent, "header", "msg_id") or f"cell-{id(self)}"
        if self.cell_id:
            _newest[self.cell_id] = self

    def context(self) -> contextvars.Context:
        """Return a fresh context whose output appears under this cell."""
        return self._template.copy()

    def current(self) -> Cell:
        """Return the newest execution of the same cell: a front end has no room for output of older ones."""
        return _newest.get(self.cell_id, self)


_newest: dict[str, Cell] = {}


def capture(place: object, capture: Capture) -> contextvars.Context:
    """Return a fresh context whose output belongs to the cell `place` and is seen by `capture`."""
    taps.install()
    fresh = place.current().context() if isinstance(place, Cell) else contextvars.Context()
    fresh.run(capturing.set, capture)
    return fresh


def here() -> Cell | None:
    """Return the cell being executed, or None outside a kernel."""
    running = shell()
    return None if running is None else Cell(running)


def tap_displays() -> bool:
    """Have captures see what their contexts display, from now on; return whether this is a kernel."""
    running = shell()
    if running is None:
        return False
    publisher = running.display_pub
    if not isinstance(publisher.publish, _Publish):
        publisher.publish = _Publish(publisher.publish)
        publisher.clear_output = _outside_captures(publisher.clear_output)
    return True


class _Publish:
    """The `publish` of a kernel's displays, seen by the context's capture."""

    def __init__(self, publish: Callable[..., None]) -> None:
        self._publish = publish

    def __call__(self, data: Any, *args: Any, **options: Any) -> None:
        current = capturing.get()
        if current is not None:
            data = current.display(data, update=bool(options.get("update")))
        if data is not None:
            self._publish(data, *args, **options)


def _outside_captures(call: Callable[..., None]) -> Callable[..., None]:
    # A run has no output of its own to clear: it would be the cell's.
    def clear(*args: Any, **options: Any) -> None:
        if capturing.get() is None:
            call(*args, **options)

    return clear


def _text(parent: Any, part: str, name: str) -> str:
    found = parent.get(part) if isinstance(parent, dict) else None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""
