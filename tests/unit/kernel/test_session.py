"""Whether this is a kernel, and whose."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.kernel.session import in_kernel, notebook_name, shell


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
