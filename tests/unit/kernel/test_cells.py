"""What is to happen after a cell happens once, after it, and at once outside a kernel."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from ironflow_lab.kernel import cells
from ironflow_lab.kernel.cells import after_cell


class Events:
    """The events of a shell."""

    def __init__(self) -> None:
        self.registered: list[Callable[..., None]] = []

    def register(self, event: str, call: Callable[..., None]) -> None:
        assert event == "post_run_cell"
        self.registered.append(call)

    def unregister(self, event: str, call: Callable[..., None]) -> None:
        self.registered.remove(call)

    def ends(self) -> None:
        for call in list(self.registered):
            call(None)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    found = Events()
    monkeypatch.setattr(cells, "shell", lambda: SimpleNamespace(events=found))
    return found


def test_outside_a_kernel_it_happens_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "shell", lambda: None)
    called: list[int] = []
    after_cell(lambda: called.append(1))
    assert called == [1]


def test_in_a_kernel_it_happens_once_when_the_cell_has_ended(events: Events) -> None:
    called: list[int] = []

    def call() -> None:
        called.append(1)

    after_cell(call)
    after_cell(call)
    assert called == []
    events.ends()
    events.ends()
    assert called == [1]
    assert events.registered == []


def test_an_error_of_one_leaves_the_others(events: Events, caplog: pytest.LogCaptureFixture) -> None:
    called: list[int] = []

    def fail() -> None:
        raise ValueError

    after_cell(fail)
    after_cell(lambda: called.append(1))
    events.ends()
    assert called == [1]
    assert "after the cell failed" in caplog.text
