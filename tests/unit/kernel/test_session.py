"""Whether this is a kernel, and whose."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.kernel.session import earlier_cells, in_kernel, next_cell, notebook_name, running_cell, shell


def ipython(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: found))


def test_without_ipython_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_kernel()
    assert notebook_name() is None
    assert "IPython" not in sys.modules, "asking does not import it"


@pytest.mark.parametrize("found", [None, SimpleNamespace()])
def test_ipython_alone_is_no_kernel(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    ipython(monkeypatch, found)
    assert not in_kernel()


def test_a_half_imported_ipython_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    assert not in_kernel()


@pytest.mark.parametrize(
    ("variable", "names", "expected"),
    [
        ("/home/me/tour.ipynb", {}, "/home/me/tour.ipynb"),
        ("", {"__vsc_ipynb_file__": "/home/me/code.ipynb"}, "/home/me/code.ipynb"),
        ("", {"__vsc_ipynb_file__": 7}, ""),
        ("", {}, ""),
    ],
)
def test_the_notebooks_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, names: dict[str, Any], expected: str
) -> None:
    running = SimpleNamespace(kernel=object(), user_ns=names)
    ipython(monkeypatch, running)
    monkeypatch.setenv("JPY_SESSION_NAME", variable)
    assert shell() is running
    assert notebook_name() == expected


# ---- the cell being executed


class Shell(SimpleNamespace):
    """As much of a kernel's shell as this needs."""

    def get_parent(self) -> Any:
        return self.parent

    def set_next_input(self, text: str, *, replace: bool) -> None:
        self.put = text, replace


def kernel(monkeypatch: pytest.MonkeyPatch, parent: Any, **names: Any) -> Shell:
    found = Shell(kernel=object(), user_ns={}, execution_count=4, parent=parent, **names)
    ipython(monkeypatch, found)
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/tour.ipynb")
    return found


def test_the_running_cell_is_what_the_front_end_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, {"content": {"code": "%%time\nx = 1"}, "metadata": {"cellId": "abc"}})
    assert running_cell() == ("%%time\nx = 1", 4, "abc", "/home/me/tour.ipynb")


@pytest.mark.parametrize("metadata", [None, {}, {"cellId": 7}])
def test_a_front_end_that_names_no_cell(monkeypatch: pytest.MonkeyPatch, metadata: Any) -> None:
    kernel(monkeypatch, {"content": {"code": "x"}, "metadata": metadata})
    found = running_cell()
    assert found is not None
    assert found.cell_id == ""


@pytest.mark.parametrize("parent", [None, {}, {"content": {"data": {}}}, {"content": {"code": None}}])
def test_while_no_cell_is_executed_there_is_none(monkeypatch: pytest.MonkeyPatch, parent: Any) -> None:
    kernel(monkeypatch, parent)
    assert running_cell() is None


def test_outside_a_kernel_there_is_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert running_cell() is None
    assert list(earlier_cells()) == []
    assert not next_cell("x = 1")
    ipython(monkeypatch, SimpleNamespace(kernel=object()))
    assert running_cell() is None, "a shell of another make"


def test_earlier_cells_come_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, None, history_manager=SimpleNamespace(input_hist_raw=["", "a = 1", "b = 2"]))
    assert list(earlier_cells()) == [(2, "b = 2"), (1, "a = 1")]


def test_a_new_cell_is_put_below(monkeypatch: pytest.MonkeyPatch) -> None:
    found = kernel(monkeypatch, None)
    assert next_cell("x = 1")
    assert found.put == ("x = 1", False)
