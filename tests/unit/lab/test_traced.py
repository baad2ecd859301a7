"""The trace of an invoked run: where it is shown, what it says, and that it reads no payload out."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.errors import UnavailableError
from ironflow_lab.kernel import taps
from ironflow_lab.lab import card, traced
from ironflow_lab.lab.summary import Shown
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus

Work = Callable[[Any], Coroutine[Any, Any, Any]]
HOSTILE = "<img src=x onerror=alert(1)>"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let errors go to a terminal from here on; pytest puts its own stream there before each test."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def step(name: str, status: str, **facts: Any) -> Step:
    return Step(id=f"stp_{name}", run_id="run_1", step_id=name, status=StepStatus(status), **facts)


class Server:
    """Answers the looks with these runs, one after the other; the last one stays."""

    def __init__(self, *runs: tuple[str, tuple[Step, ...]]) -> None:
        self._told = list(runs)
        self.runs = SimpleNamespace(get=self.get, steps=self.steps)
        self.away = False

    async def get(self, run_id: str) -> Run:
        if self.away:
            raise UnavailableError("gone")
        return Run(id=run_id, function_id="pay", status=RunStatus(self._told[0][0]), attempt=1, max_attempts=25)

    async def steps(self, _run_id: str) -> tuple[Step, ...]:
        return (self._told.pop(0) if len(self._told) > 1 else self._told[0])[1]


def begun(server: Server) -> tuple[traced.Trace | None, list[Work]]:
    """Begin a trace in a session that keeps what it is to do in the background."""
    works: list[Work] = []

    def begin(work: Work) -> Callable[[], None]:
        works.append(work)
        return works.clear

    def call(work: Work, *, patient: bool) -> Any:
        return asyncio.run(work(server))

    session: Any = SimpleNamespace(begin=begin, call=call, clock=SimpleNamespace(now=lambda: 0))
    return traced.trace(session, "run_1"), works


def test_where_nobody_looks_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    at_terminal(monkeypatch)
    capture: Any = object()
    token = taps.capturing.set(capture)
    assert begun(Server()) == (None, [])
    taps.capturing.reset(token)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert begun(Server()) == (None, [])


def test_at_a_terminal_it_is_a_line_that_ends_as_the_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    monkeypatch.setattr(traced, "SHORTEST", 0.0)
    server = Server(("running", (step("charge", "running"),)), ("running", ()), ("completed", ()))
    trace, works = begun(server)
    assert trace is not None
    asyncio.run(works[0](server))
    trace.finish()
    assert terminal.getvalue().split("\r\x1b[2K")[1:] == [
        "pay running, attempt 1 of 25; step charge",
        "pay running, attempt 1 of 25",
        "pay completed, attempt 1 of 25",
        "pay completed, attempt 1 of 25\n",
    ]


def test_a_server_that_is_gone_at_the_end_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    server = Server(("completed", ()))
    trace, works = begun(server)
    assert trace is not None
    server.away = True
    asyncio.run(works[0](server))
    trace.finish()
    assert terminal.getvalue() == ""


def test_the_trace_of_a_failed_run_is_escaped_and_bounded() -> None:
    facts = {"step_type": "invoke", "attempt": 2, "duration_ms": 12}
    steps = (
        step("look-up", "completed", output={"password": "hunter2", "text": HOSTILE}, **facts),
        *(step(f"s{number}", "completed") for number in range(99)),
    )
    error = Error(message=HOSTILE + "\nsecret line", code="DECLINED")
    run = Run(id="run_1", function_id="pay", status=RunStatus("failed"), error=error, input={"card": "4242"})
    html = card.trace(Shown(run=run, at=Instant(0), steps=steps))
    assert "DECLINED: &lt;img" in html
    assert html.count("<tr>") == 51
    assert "and 50 more steps" in html
    for part in ("look-up", "completed", ">2<", "12 ms"):
        assert part in html
    for hidden in ("<img", "hunter2", "secret line", "4242"):
        assert hidden not in html
