"""Showing things in a notebook, and changing what is shown; nothing happens outside one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ironflow_lab.kernel.session import shell


class Live:
    """An output that can be replaced in place, from any thread."""

    def __init__(self, display_id: str) -> None:
        self._display_id = display_id

    def update(self, bundle: Mapping[str, Any]) -> None:
        """Show this mime bundle instead."""
        if shell() is not None:
            _display().update_display(dict(bundle), display_id=self._display_id, raw=True)


def show(bundle: Mapping[str, Any]) -> Live | None:
    """Show a mime bundle under the running cell; return its handle, or None outside a kernel.

    The caller has escaped the HTML in it.
    """
    if shell() is None:
        return None
    handle = _display().display(dict(bundle), raw=True, display_id=True)
    return None if handle is None else Live(handle.display_id)


def _display() -> Any:
    import IPython.display

    return IPython.display
