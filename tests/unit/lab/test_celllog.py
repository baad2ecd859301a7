"""Which cell's log a line goes to, and when that is drawn."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from typing import Any

import pytest

from ironflow_lab.kernel import output as kernel
from ironflow_lab.kernel.output import Cell
from ironflow_lab.lab import celllog
from ironflow_lab.lab.celllog import CellLogs, cell_logs
from ironflow_lab.lab.pane import MIME
from ironflow_lab.runtime.output import SHOWN_PER_SEGMENT
from tests.unit.lab.test_pane import line

PARENT: contextvars.ContextVar[Any] = contextvars.ContextVar("parent", default=None)


class Shell:
    def __init__(self, number: int, cell_id: str) -> None:
        self._parent = {"header": {"msg_id": f"msg {number}"}, "metadata": {"cellId": cell_id}}

    def get_parent(self) -> Any:
        return self._parent

    def set_thread_parent(self, parent: Any) -> None:
        PARENT.set(parent["header"]["msg_id"])


def cell(number: int, cell_id: str = "") -> Cell:
    return Cell(Shell(number, cell_id))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What was drawn: the cell, whether first or again, and the text."""
    found: list[tuple[str, str, str]] = []

    class Shown:
        def __init__(self) -> None:
            self.where = PARENT.get()

        def update(self, bundle: Mapping[str, Any]) -> None:
            assert PARENT.get() is None, "what executes notebooks drops messages of a cell that has ended"
            found.append((self.where, "again", bundle["text/plain"]))

    def show(bundle: Mapping[str, Any]) -> Shown:
        assert set(bundle) == {MIME, "text/html", "text/plain"}
        found.append((PARENT.get(), "first", bundle["text/plain"]))
        return Shown()

    monkeypatch.setattr(celllog, "show", show)
    monkeypatch.setattr(kernel, "_newest", {})
    return found


@pytest.fixture
def logs(drawn: Any) -> CellLogs:
    made = CellLogs()
    # Drawn by the test, not by a thread.
    made._ticker.touch = lambda: None  # type: ignore[method-assign]
    return made


def test_nothing_is_shown_before_there_is_a_line(logs: CellLogs, drawn: list[Any]) -> None:
    place = cell(1)
    logs.state(place, "bill", "run_01", "executing")
    logs._draw()
    assert drawn == []
    logs.line(place, line("hello"), "executing")
    logs._draw()
    logs._draw()
    assert drawn == [("msg 1", "first", "Log of bill\n  run_01 · executing · 1 line\n    hello")]


def test_what_changed_is_drawn_again_under_the_same_cell(logs: CellLogs, drawn: list[Any]) -> None:
    place = cell(1)
    logs.line(place, line("hello"), "executing")
    logs._draw()
    logs.state(place, "bill", "run_01", "completed")
    logs._draw()
    logs.state(place, "bill", "run_01", "completed")
    logs._draw()
    logs.note(place, line("about it", "", attempt=0, stream="warning", level="WARNING"), "note")
    logs._draw()
    assert [(where, when) for where, when, _ in drawn] == [("msg 1", "first"), ("msg 1", "again"), ("msg 1", "again")]
    assert "completed" in drawn[1][2]
    assert "⚠ WARNING about it" in drawn[2][2]


def test_executions_functions_and_cells_have_logs_of_their_own(logs: CellLogs, drawn: list[Any]) -> None:
    for place, function_id in ((cell(1), "bill"), (cell(2), "bill"), (cell(2), "other")):
        logs.line(place, line("x", function_id=function_id), "executing")
    logs._draw()
    assert [(where, when, text.split("\n")[0]) for where, when, text in drawn] == [
        ("msg 1", "first", "Log of bill"),
        ("msg 2", "first", "Log of bill"),
        ("msg 2", "first", "Log of other"),
    ]


def test_a_run_on_the_code_of_an_earlier_execution_writes_under_the_newest(logs: CellLogs, drawn: list[Any]) -> None:
    first = cell(1, "a")
    logs.line(first, line("early"), "executing")
    logs._draw()
    cell(2, "a")
    logs.line(first, line("late"), "executing")
    logs.state(first, "bill", "run_01", "completed")
    logs._draw()
    assert drawn[1:] == [("msg 2", "first", "Log of bill\n  run_01 · completed · 1 line\n    late")]


def test_output_of_cells_is_shown_in_their_log_only(logs: CellLogs) -> None:
    assert logs.room(cell(1)) == 0
    assert logs.room(None) == SHOWN_PER_SEGMENT


def test_a_function_without_a_cell_writes_as_without_a_lab(
    logs: CellLogs, drawn: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.line(None, line("x"), "executing")
    logs.state(None, "bill", "run_01", "completed")
    logs.note(None, line("no luck", stream="error", level="ERROR"), "failed")
    logs._draw()
    assert drawn == []
    assert capsys.readouterr().err == "ERROR bill: no luck\n"


def test_logs_nobody_wrote_to_for_long_are_let_go(logs: CellLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celllog, "MOST_PANES", 3)
    for number in range(10):
        logs.line(cell(number), line("x"), "executing")
    assert [execution for execution, _ in logs._panes] == ["msg 7", "msg 8", "msg 9"]


def test_outside_a_kernel_there_is_no_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "shell", lambda: None)
    assert cell_logs() is None
