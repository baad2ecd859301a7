"""`lab.check` over runs of a real server, and the check after a cell that redefines a function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError, GuardError, IronflowWarning, NotFoundError
from ironflow_lab.frames.checks import CHECKS
from ironflow_lab.lab import aftercells
from ironflow_lab.runtime import output
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire.message import Request

PATIENCE = 30.0
# What a check may ask of a server.
READS = ("GetRun", "ListRuns", "GetAuditTrail", "GetRunSteps", "/lab/v1/runs", "GetRunTimeline")


def nap(charge_name: str) -> Any:
    """Return a handler with every kind of step, things at once, and a body that fails the first time."""

    async def handler(ctx: Any) -> Any:
        number = ctx.event.data["n"]
        quoted = await ctx.step.run("quote", lambda: {"total": number * 10})

        async def half(branch: Any) -> Any:
            first = await branch.run("pack", lambda: branch.index)
            return [first, await branch.run("weigh", lambda: branch.index * 2)]

        halves = await ctx.step.parallel("halves", [half, half])
        await ctx.step.sleep("rest", "30ms")
        charged = await ctx.step.run(charge_name, charge, number, ctx.run.attempt)
        twice = await ctx.step.invoke("double", {"n": number})
        sent = await ctx.step.publish("orders.done", {"n": number})
        told = sent.event_id != ""
        return {"total": quoted["total"], "halves": halves, "charged": charged, "twice": twice, "sent": told}

    return handler


def charge(number: int, attempt: int) -> int:
    if number == 3:
        raise il.NonRetryableError("declined", code="DECLINED")
    if number == 2 and attempt == 1:
        raise TimeoutError("no answer")
    return number


OPTIONS: dict[str, Any] = {"on": "nap.wanted", "retry": {"max_attempts": 2, "initial_delay": "10ms"}}


@pytest.fixture(scope="module")
def runs(lab: il.Lab) -> list[str]:
    lab.function("double", retry=1)(lambda ctx: ctx.event.data["n"] * 2)
    lab.function("nap", **OPTIONS)(nap("charge"))
    found = lab.wait([run for number in range(4) for run in lab.emit("nap.wanted", {"n": number}).run_ids])
    assert [str(run.status) for run in found] == ["completed", "completed", "completed", "failed"]
    assert found[2].attempts == 2
    return [run.id for run in found]


def test_the_code_of_real_runs_does_the_same(lab: il.Lab, runs: list[str], traffic: list[Request]) -> None:
    found = lab.check("nap", runs)
    assert found.same, str(found)
    assert found.summary == "4 same"
    assert list(found.frame.columns) == [column.name for column in CHECKS]
    assert found.frame["run_id"].tolist() == runs
    assert found.frame.attrs["source"] == "check"
    asked = {request.path for request in traffic}
    assert asked
    assert not [path for path in asked if not any(word in path for word in READS)]


def test_changed_code_diverges_where_it_changed(lab: il.Lab, runs: list[str]) -> None:
    found = lab.check(nap("bill"), runs)
    assert not found.same
    # Of the one that failed there it cannot be told whether it is the same step.
    assert found.summary == "3 diverge at step 'charge' (renamed to 'bill'), 1 diverges at step 'bill' (new)"
    assert [one.run_id for one in found.diverging] == runs
    assert found.frame["became"].dropna().tolist() == ["bill"] * 3
    assert "is called 'bill' now" in str(found)
    assert "<table" in found._repr_html_()


def test_runs_may_be_given_in_many_ways(lab: il.Lab, runs: list[str]) -> None:
    frame = lab.runs(function="nap")
    assert lab.check("nap", frame).summary == "4 same"
    assert lab.check("nap").summary == "4 same"
    assert lab.check("nap", lab.run(runs[0])).summary == "1 same"
    assert lab.check("nap", lab.run(runs[0]).recording()).summary == "1 same"
    some = lab.check("nap", runs, limit=2)
    assert some.summary == "2 same"
    assert "the first 2 of 4 runs" in some.notes[0]


def test_what_is_wrong_is_said(lab: il.Lab, runs: list[str]) -> None:
    with pytest.warns(IronflowWarning, match="these are runs of 'nap', checked against the code of 'double'"):
        assert lab.check("double", runs[:1]).notes[0].startswith("these are runs of")
    with pytest.raises(NotFoundError, match="not defined in this process"):
        lab.check("nothing", runs)
    with pytest.raises(NotFoundError):
        lab.check("nap", "run_that_never_was")
    for wrong in (0, True, "all"):
        with pytest.raises(DefinitionError):
            lab.check("nap", runs, limit=wrong)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError):
        lab.check(7, runs)  # type: ignore[arg-type]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, lab: il.Lab) -> Iterator[list[str]]:
    """The lines under cells."""
    lines: list[str] = []

    def note(where: DurableFunction, text: str, **_: Any) -> None:
        lines.append(f"{where.id}: {text}")

    monkeypatch.setattr(output, "note", note)
    yield lines
    lab.check_after_cells(False)


def after_definition(lab: il.Lab) -> None:
    armed = aftercells.of(lab._session)
    assert armed is None or armed.wait(PATIENCE)


def test_after_a_cell_the_newest_runs_are_checked(lab: il.Lab, runs: list[str], told: list[str]) -> None:
    lab.function("nap", **OPTIONS)(nap("bill"))
    after_definition(lab)
    assert told == []
    lab.check_after_cells(3)
    lab.function("nap", **OPTIONS)(nap("charge"))
    after_definition(lab)
    # The same code as that of the runs, and it does the same: nothing to say.
    assert told == []
    lab.function("nap", **OPTIONS)(lambda ctx: ctx.step.run("quote", lambda: 1))
    after_definition(lab)
    line = "nap: the 3 newest runs against this code: 3 diverge at step 'halves:0:pack' (missing)"
    assert told == [line]
    lab.function("nap", **OPTIONS)(lambda ctx: ctx.step.run("quote", lambda: 2))
    lab.check_after_cells(False)
    lab.function("nap", **OPTIONS)(lambda ctx: ctx.step.run("quote", lambda: 3))
    after_definition(lab)
    assert [one for one in told if one != line] == []


def test_a_newer_definition_ends_the_check(
    lab: il.Lab, runs: list[str], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ironflow_lab.lab import checking

    looked: list[str] = []
    read = checking.recording_of

    def redefine_meanwhile(session: Any, run_id: str) -> Any:
        looked.append(run_id)
        if len(looked) == 1:
            lab.function("nap", **OPTIONS)(lambda ctx: ctx.step.run("newer", lambda: 1))
        return read(session, run_id)

    monkeypatch.setattr(checking, "recording_of", redefine_meanwhile)
    lab.check_after_cells(2)
    lab.function("nap", **OPTIONS)(lambda ctx: ctx.step.run("older", lambda: 1))
    after_definition(lab)
    assert len(looked) == 3
    assert len(told) == 1
    assert "'newer'" in told[0] or "missing" in told[0]


def test_a_guarded_server_is_not_read_unasked(server: LocalServer, runs: list[str], told: list[str]) -> None:
    guarded = il.connect(server.url, guard=True)
    with pytest.raises(GuardError, match="read the payloads of the 20 newest runs"):
        guarded.check_after_cells()
    assert aftercells.of(guarded._session) is None
    with guarded.allow():
        guarded.check_after_cells(1)
        guarded.function("nap", **OPTIONS)(lambda ctx: ctx.step.run("other", lambda: 9))
    after_definition(guarded)
    assert told
    assert told[0].endswith(f"(read from {server.url})")
    guarded.check_after_cells(False)
    guarded.close()


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "all", 10_000])
def test_how_many_runs_is_a_number(lab: il.Lab, wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="a whole number from 1 to"):
        lab.check_after_cells(wrong)
