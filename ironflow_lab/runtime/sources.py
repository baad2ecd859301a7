"""The source of a version of a function, so that a run can finish on the code it began with."""

from __future__ import annotations

import ast
import inspect
import textwrap
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any

import msgspec

from ironflow_lab.kernel import session
from ironflow_lab.kernel.session import RunningCell

# Longer text of a handler or of a cell is not kept.
LONGEST = 256 * 1024


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a function's source.

    `text` is the handler's with its decorators, `cell` that of the whole cell ("" where unknown; where the
    handler and its registration are in two cells, both), `notebook` the notebook's path or the file's,
    `cell_number` the execution count (0 outside a notebook), `line` the first line in the cell or file,
    counted from 1 (0 unknown). `alone` says that the text alone makes the handler: a `def` without free
    variables, wrappers and computed defaults.
    """

    code_hash: str
    text: str = ""
    cell: str = ""
    notebook: str = ""
    cell_number: int = 0
    cell_id: str = ""
    line: int = 0
    defined_at: int = 0
    alone: bool = False

    def place(self) -> str:
        """Return where it was defined, in words: "orders.ipynb, cell [4], line 3"."""
        parts = [self.notebook.replace("\\", "/").rpartition("/")[2]] if self.notebook else []
        parts += [f"cell [{self.cell_number}]"] if self.cell_number else []
        parts += [f"line {self.line}"] if self.line else []
        return ", ".join(parts) or "an unknown place"


def of(handler: Callable[..., Any], code_hash: str) -> Source | None:
    """Return the source of a handler that is being defined; None when neither it nor its cell can be found."""
    text, first = _text(handler)
    running = session.running_cell()
    if running is None:
        if not text:
            return None
        file = getattr(getattr(inspect.unwrap(handler), "__code__", None), "co_filename", "")
        return Source(
            code_hash=code_hash,
            text=text,
            notebook=_kept(file),
            line=first,
            defined_at=time.time_ns(),
            alone=_alone(handler, text),
        )
    cell, number, line = _cell(running, text, getattr(handler, "__name__", ""))
    return Source(
        code_hash=code_hash,
        text=text,
        cell=_kept(cell),
        notebook=_kept(running.notebook),
        cell_number=number,
        cell_id=_kept(running.cell_id),
        line=line,
        defined_at=time.time_ns(),
        alone=_alone(handler, text),
    )


def _text(handler: Callable[..., Any]) -> tuple[str, int]:
    try:
        lines, first = inspect.getsourcelines(handler)
    except (OSError, TypeError, SyntaxError, IndexError):
        # Code that was exec'd, or a cell that begins with a magic: nobody has its text.
        return "", 0
    return _kept("".join(lines)), first


def _kept(text: str) -> str:
    """Return the text, "" when it is too long to keep or no text that can be written."""
    try:
        return text if len(text.encode()) <= LONGEST else ""
    except UnicodeEncodeError:
        return ""


def _cell(running: RunningCell, text: str, name: str) -> tuple[str, int, int]:
    """Return the text of the cell that defines the handler, its number, and the line where it does."""
    if line := _line(running.text, text):
        return running.text, running.number, line
    for number, earlier in session.earlier_cells():
        # Registered here, written in another cell: both are needed to define it again.
        if line := _line(earlier, text):
            return f"{earlier.rstrip()}\n\n\n{running.text}", number, line
    if running.text.lstrip().startswith("%%durable"):
        # The cell is the body of the handler, which begins where the magic stands.
        return running.text, running.number, _line(running.text, "%%durable")
    return running.text, running.number, _line(running.text, f"def {name}(") if name else 0


def _line(cell: str, text: str) -> int:
    """Return the line of the cell at which the text begins, counted from 1; 0 when it does not contain it."""
    at = cell.find(text.strip("\n")) if text.strip() else -1
    return cell.count("\n", 0, at) + 1 if at >= 0 else 0


def _alone(handler: Callable[..., Any], text: str) -> bool:
    """Return whether compiling the text anew makes the same function."""
    if not isinstance(handler, FunctionType) or hasattr(handler, "__wrapped__") or handler.__code__.co_freevars:
        return False
    node = definition(text)
    if node is None or node.name != handler.__code__.co_name:
        return False
    given = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
    return all(map(_is_literal, given))


def definition(text: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the one `def` that the text consists of, or None."""
    try:
        body = ast.parse(textwrap.dedent(text)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(body) == 1 and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef):
        return body[0]
    return None


def same(text: str, other: str) -> bool:
    """Return whether two texts make the same handler, whatever their comments, places and registration say."""
    a, b = definition(text), definition(other)
    if a is None or b is None or max(len(a.decorator_list), len(b.decorator_list)) > 1:
        return False
    a.decorator_list, b.decorator_list = [], []
    return ast.dump(a) == ast.dump(b)


def _is_literal(default: ast.expr) -> bool:
    try:
        ast.literal_eval(default)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True
