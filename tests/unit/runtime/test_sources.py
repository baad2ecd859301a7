"""What is known of a handler's source when it is defined."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.kernel import session
from ironflow_lab.kernel.session import RunningCell
from ironflow_lab.runtime import sources
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.sources import Source


def plain(ctx: Any) -> int:
    return 1


def constant(ctx: Any, times: int = 3, *, word: str = "x") -> int:
    return times


def computed(ctx: Any, made: list[int] = list()) -> int:  # noqa: B006, C408
    return len(made)


def wrapping(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def outer(ctx: Any) -> Any:
        return inner(ctx)

    return outer


@wrapping
def wrapped(ctx: Any) -> int:
    return 1


def renamed(ctx: Any) -> int:
    return 1


renamed.__wrapped__ = plain  # type: ignore[attr-defined]


def closing() -> Callable[..., Any]:
    word = "free"

    def handler(ctx: Any) -> str:
        return word

    return handler


def inner() -> Callable[..., Any]:
    def handler(ctx: Any) -> str:
        return "no free variable"

    return handler


class Called:
    def __call__(self, ctx: Any) -> int:
        return 1


def cell(monkeypatch: pytest.MonkeyPatch, text: str, *earlier: str) -> None:
    """Let a cell be executing that came after these."""
    here = RunningCell(text, len(earlier) + 1, "abc", "/home/me/orders.ipynb")
    monkeypatch.setattr(session, "running_cell", lambda: here)
    monkeypatch.setattr(session, "earlier_cells", lambda: reversed([*enumerate(earlier, 1)]))


def known(handler: Callable[..., Any]) -> Source:
    found = sources.of(handler, "h")
    assert found is not None
    return found


def test_outside_a_notebook_it_is_the_file_and_the_line() -> None:
    found = known(plain)
    assert found.text == "def plain(ctx: Any) -> int:\n    return 1\n"
    assert (found.notebook, found.line, found.cell, found.cell_number) == (
        __file__,
        plain.__code__.co_firstlineno,
        "",
        0,
    )
    assert found.place() == f"test_sources.py, line {plain.__code__.co_firstlineno}"
    assert found.defined_at > 0


def test_in_a_cell_it_is_the_cell_and_the_line_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import os\n\ndef plain(ctx: Any) -> int:\n    return 1\n\nprint(1)"
    cell(monkeypatch, text)
    found = known(plain)
    assert (found.cell, found.cell_number, found.cell_id, found.line) == (text, 1, "abc", 3)
    assert found.place() == "orders.ipynb, cell [1], line 3"


def test_a_handler_of_an_earlier_cell_comes_with_both_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    written = "# mine\ndef plain(ctx: Any) -> int:\n    return 1\n"
    cell(monkeypatch, "lab.function('p')(plain)", "x = 1", written, "y = 2")
    found = known(plain)
    assert (found.cell_number, found.line) == (2, 2)
    assert found.cell == f"{written.rstrip()}\n\n\nlab.function('p')(plain)"


def test_a_handler_of_a_module_comes_with_the_cell_that_registers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cell(monkeypatch, "from orders import plain\nlab.serve(plain)")
    found = known(plain)
    assert (found.cell_number, found.line) == (1, 0)
    assert found.cell == "from orders import plain\nlab.serve(plain)"
    assert found.text.startswith("def plain")


def without_source(name: str = "timed") -> Callable[..., Any]:
    made: dict[str, Any] = {}
    exec(f"def {name}(ctx):\n    return 1", made)  # noqa: S102 - a handler without source
    return made[name]  # type: ignore[no-any-return]


def test_without_source_the_cell_is_known_still(monkeypatch: pytest.MonkeyPatch) -> None:
    cell(monkeypatch, "%%time\n\ndef timed(ctx):\n    return 1")
    found = known(without_source())
    assert (found.text, found.line, found.alone) == ("", 3, False)
    assert found.cell.startswith("%%time")


def test_without_source_and_cell_nothing_is_known() -> None:
    assert sources.of(without_source(), "h") is None


@pytest.mark.parametrize(
    ("handler", "alone"),
    [
        (plain, True),
        (constant, True),
        (inner(), True),
        (computed, False),
        (wrapped, False),
        (renamed, False),
        (closing(), False),
        (lambda ctx: 1, False),
        (Called(), False),
    ],
)
def test_which_handlers_their_text_alone_makes(handler: Callable[..., Any], alone: bool) -> None:
    found = sources.of(handler, "h")
    assert (found is not None and found.alone) is alone


@pytest.mark.parametrize("text", ["x = 1\n" * sources.LONGEST, "x = '\ud800'"])
def test_a_cell_that_is_too_long_or_no_text_is_not_kept(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    cell(monkeypatch, text)
    found = known(plain)
    assert (found.cell, found.cell_number) == ("", 1)
    assert found.text


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("def f(ctx):\n    return 1  # one\n", "    def f(ctx):\n\n        return 1\n", True),
        ("def f(ctx):\n    return 1\n", "def f(ctx):\n    return 2\n", False),
        ("@lab.function('a')\ndef f(ctx): return 1", "@lab.function('a', retry=3)\ndef f(ctx): return 1", True),
        ("@a\n@b\ndef f(ctx): return 1", "@a\n@c\ndef f(ctx): return 1", False),
        ("", "", False),
        ("f = 1\n", "f = 1\n", False),
        ("def f(:", "def f(:", False),
        ("def f(ctx):\n    return '\0'\n", "def f(ctx):\n    return '\0'\n", False),
    ],
)
def test_the_same_code(text: str, other: str, same: bool) -> None:
    assert sources.same(text, other) is same


def test_a_durable_function_knows_its_source() -> None:
    @function("f")
    def handler(ctx: Any) -> int:
        return 1

    assert handler.source is not None
    assert handler.source.code_hash == handler.code_hash
    assert '@function("f")' in handler.source.text
