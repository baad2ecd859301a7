"""Whether this process is a notebook's kernel, and which notebook's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple


class RunningCell(NamedTuple):
    """The cell being executed: its text, execution count, id ("" where the front end sends none), notebook's path."""

    text: str
    number: int
    cell_id: str
    notebook: str


def shell() -> Any | None:
    """Return the running kernel's shell, or None outside one (plain IPython included)."""
    module = sys.modules.get("IPython")
    found = module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
    return found if found is not None and hasattr(found, "kernel") else None


def in_kernel() -> bool:
    """Return whether this process is a notebook's kernel."""
    return shell() is not None


def notebook_name() -> str | None:
    """Return the notebook's path, "" in a kernel that does not know it, None outside a kernel.

    Jupyter Server tells its kernels by JPY_SESSION_NAME, VS Code by a variable of the notebook.
    """
    running = shell()
    if running is None:
        return None
    named = os.environ.get("JPY_SESSION_NAME") or running.user_ns.get("__vsc_ipynb_file__")
    return named if isinstance(named, str) else ""


def running_cell() -> RunningCell | None:
    """Return the cell being executed; None outside a kernel and while it executes none."""
    running = shell()
    if running is None or not hasattr(running, "get_parent"):
        return None
    request = running.get_parent() or {}
    content, metadata = request.get("content") or {}, request.get("metadata") or {}
    text, cell_id = content.get("code"), metadata.get("cellId")
    if not isinstance(text, str):
        return None
    return RunningCell(
        text=text,
        number=running.execution_count,
        cell_id=cell_id if isinstance(cell_id, str) else "",
        notebook=notebook_name() or "",
    )


def earlier_cells() -> Iterator[tuple[int, str]]:
    """Yield the number and the text of the cells executed in this kernel, newest first."""
    history = getattr(shell(), "history_manager", None)
    cells = list(getattr(history, "input_hist_raw", ()))
    for number in range(len(cells) - 1, 0, -1):
        yield number, cells[number]


def next_cell(text: str) -> bool:
    """Put the text into a new cell below, executing nothing; False outside a kernel."""
    running = shell()
    if running is None:
        return False
    running.set_next_input(text, replace=False)
    return True
