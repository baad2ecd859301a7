"""Nested loops are the user's choice: applied when asked for, named when missing, never needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ironflow_lab.errors import IronflowError
from ironflow_lab.lab.nesting import enable_nested_loop


def test_without_a_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nest_asyncio2", "nest_asyncio"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(IronflowError, match=r"ironflow-lab\[nested\]"):
        enable_nested_loop()


def test_a_library_that_is_broken_inside_is_not_taken_for_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ModuleNotFoundError("no module named 'something_else'", name="something_else")

    monkeypatch.setattr("ironflow_lab.lab.nesting.import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="something_else"):
        enable_nested_loop()


def test_asyncio_run_works_in_a_running_loop_afterwards() -> None:
    pytest.importorskip("nest_asyncio2")
    script = (
        "import asyncio, ironflow_lab as il\n"
        "async def inner(): return 41\n"
        "async def outer():\n"
        "    il.enable_nested_loop()\n"
        "    return asyncio.run(inner()) + 1\n"
        "print(asyncio.run(outer()))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "42"
