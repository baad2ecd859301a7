"""One line under the running cell that can change while the cell runs; at a terminal, one line of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from ironflow_lab.kernel.display import Live, show


class Line:
    """Shows a text where the user looks; elsewhere (a script whose output goes to a file) nothing.

    In a notebook it is shown as `bundle` makes it.
    """

    def __init__(self, *, visible: bool = True, bundle: Callable[[str], Mapping[str, Any]] | None = None) -> None:
        self._visible = visible
        self._bundle = bundle or _bundle
        self._live: Live | None = None
        self._at_terminal = False

    def show(self, text: str) -> None:
        """Show the text in place of the one before; from any thread."""
        if not self._visible:
            return
        if self._live is not None:
            self._live.update(self._bundle(text))
            return
        self._live = show(self._bundle(text))
        if self._live is None and sys.stderr.isatty():
            self._at_terminal = True
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()

    def reveal(self) -> None:
        """Show from now on what was not to be seen."""
        self._visible = True

    @property
    def in_notebook(self) -> bool:
        """Whether the text stands under a cell."""
        return self._live is not None

    def end(self) -> None:
        """Leave the line as it stands: what is written next begins below it."""
        if self._at_terminal:
            sys.stderr.write("\n")


def _bundle(text: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": f"<div>{escape(text)}</div>"}
