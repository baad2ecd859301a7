"""Display helpers outside a kernel; tests/contract/test_kernel.py has them inside one."""

from __future__ import annotations

import pytest

from ironflow_lab.kernel import display
from ironflow_lab.kernel.display import Live, show


def test_outside_a_kernel_nothing_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(display, "shell", lambda: None)
    assert show({"text/plain": "hello"}) is None
    Live("id").update({"text/plain": "hello"})
    assert capsys.readouterr().out == ""
