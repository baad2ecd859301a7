"""Output by context: cells, their newest executions, and what is displayed."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.kernel import output, taps
from ironflow_lab.kernel.output import Cell, capture, here, tap_displays
from ironflow_lab.kernel.taps import capturing
from tests.unit.kernel.test_taps import Seen

PARENT: contextvars.ContextVar[str] = contextvars.ContextVar("parent", default="latest cell")


class Shell:
    """A kernel's shell; `cell` is the one being executed."""

    kernel = object()

    def __init__(self) -> None:
        self.cell: Any = "cell 1"
        self.published: list[tuple[Any, Any]] = []
        self.cleared = 0
        self.display_pub = SimpleNamespace(publish=self._publish, clear_output=self._clear)

    def get_parent(self) -> Any:
        return self.cell

    def set_thread_parent(self, parent: str) -> None:
        PARENT.set(parent)

    def execute(self, number: int, cell_id: str) -> Cell:
        self.cell = {"header": {"msg_id": f"msg {number}"}, "metadata": {"cellId": cell_id}}
        found = here()
        assert found is not None
        return found

    def _publish(self, data: Any, metadata: Any = None, *, transient: Any = None, update: bool = False) -> None:
        self.published.append((data, update))

    def _clear(self, wait: bool = False) -> None:
        self.cleared += 1


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    running = Shell()
    monkeypatch.setattr(output, "shell", lambda: running)
    monkeypatch.setattr(output, "_newest", {})
    monkeypatch.setattr(taps, "install", lambda: None)
    return running


def test_outside_a_kernel_there_are_no_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "shell", lambda: None)
    assert here() is None
    assert tap_displays() is False


def test_output_goes_to_the_cell_it_was_defined_in(shell: Shell) -> None:
    first = here()
    shell.cell = "cell 2"
    second = here()
    shell.cell = "cell 3"
    assert capture(first, Seen()).run(PARENT.get) == "cell 1"
    assert capture(second, Seen()).run(PARENT.get) == "cell 2"
    assert capture(None, Seen()).run(PARENT.get) == "latest cell"
    assert PARENT.get() == "latest cell", "the caller's context is not touched"


def test_before_ipykernel_7_4_the_cells_own_context_is_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Shell, "set_thread_parent")
    PARENT.set("cell 5")
    cell = here()
    PARENT.set("cell 6")
    assert capture(cell, Seen()).run(PARENT.get) == "cell 5"


def test_each_context_is_its_own(shell: Shell) -> None:
    cell, seen = here(), Seen()
    one, two = capture(cell, seen), capture(cell, Seen())
    one.run(PARENT.set, "changed")
    assert two.run(PARENT.get) == "cell 1"
    assert one.run(capturing.get) is seen


def test_an_earlier_execution_of_a_cell_has_its_output_under_the_newest(shell: Shell) -> None:
    first, other, second = shell.execute(1, "a"), shell.execute(2, "b"), shell.execute(3, "a")
    assert first.current() is second.current() is second
    assert other.current() is other
    assert (first.execution, first.cell_id) == ("msg 1", "a")
    assert capture(first, Seen()).run(PARENT.get)["header"]["msg_id"] == "msg 3"  # type: ignore[index]  # a message


def test_cells_without_an_id_stay_apart(shell: Shell) -> None:
    first, second = shell.execute(1, ""), shell.execute(2, "")
    assert (first.current(), second.current()) == (first, second)
    shell.cell = {"header": None, "metadata": {"cellId": 5}}
    odd = here()
    assert odd is not None
    assert odd.cell_id == ""
    assert odd.execution


def test_displays_of_a_context_pass_its_capture(shell: Shell) -> None:
    class Choosy(Seen):
        def display(self, data: Mapping[str, Any], *, update: bool) -> Mapping[str, Any] | None:
            return None if update else {"text/plain": "changed"}

    assert tap_displays()
    assert tap_displays(), "twice is once"
    context = capture(None, Choosy())
    publish = shell.display_pub.publish
    context.run(publish, {"text/plain": "x"}, {"meta": 1})
    context.run(lambda: publish(data={"text/plain": "x"}, update=True))
    publish({"text/plain": "outside"}, update=True)
    assert shell.published == [({"text/plain": "changed"}, False), ({"text/plain": "outside"}, True)]


def test_a_run_does_not_clear_the_cells_output(shell: Shell) -> None:
    tap_displays()
    capture(None, Seen()).run(lambda: shell.display_pub.clear_output(wait=True))
    assert shell.cleared == 0
    shell.display_pub.clear_output(wait=True)
    assert shell.cleared == 1
