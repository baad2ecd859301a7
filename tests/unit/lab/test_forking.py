"""A fork in the hand: when it is executed, what it says, how it goes on."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.debug.choices import choices
from ironflow_lab.errors import FailedPreconditionError, RunFailedError
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab.forking import Fork
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.testing.fakes import FakeClock
from tests.unit.debug.forked import OUTPUT, WHOLE, failed, order, recorded, row

SESSION: Any = SimpleNamespace(joined=SimpleNamespace(server_url="http://test"), clock=FakeClock())


def forked(
    recording: Recording,
    *args: Any,
    code: Callable[[list[str]], DurableFunction] | DurableFunction = order,
    note: str = "",
) -> tuple[Fork, list[str]]:
    ran: list[str] = []
    made = code if isinstance(code, DurableFunction) else code(ran)
    resolved: Any = SimpleNamespace(function=made, note=note)
    return Fork(SESSION, recording, resolved, choices(*args)), ran


def test_nothing_is_executed_before_it_is_asked_for() -> None:
    fork, ran = forked(recorded(*WHOLE), "charge", None, "run")
    plan = fork.plan
    for shown in (repr(fork), str(fork), fork._repr_html_()):
        assert shown
    assert (fork.executed, ran) == (False, [])
    assert list(plan["decision"]) == ["recorded", "run", "stub", "stub", "stub", "run"]
    assert "would execute for real charge, ship, any step that was not recorded" in str(fork)
    assert fork.go() is fork
    assert (fork.executed, ran) == (True, ["charge", "ship"])
    assert fork.status == "completed"
    assert ran == ["charge", "ship"], "it is executed once"


def test_a_fork_without_bodies_is_executed_to_be_shown() -> None:
    fork, ran = forked(recorded(*WHOLE), None, {"charge": {"paid": 7}})
    text = str(fork)
    assert fork.executed
    assert ran == []
    for said in ("completed", "1 recorded step before it", "from step 'charge'", "1 given, 4 stub", "not durable"):
        assert said in text
    assert "3 steps after the fork got what was recorded" in text
    assert repr(fork) == "<Fork of run_1: completed, local>"
    assert fork.result == fork.output == {**OUTPUT, "paid": 7}
    assert (fork.error, fork.needs, fork.reason) == (None, (), "")


def test_its_frames() -> None:
    fork, _ = forked(recorded(*WHOLE), None, {"charge": {"paid": 7}}, {"ship": "run"})
    calls = fork.calls
    assert list(calls["got"]) == ["recorded", "given", "stub", "stub", "stub", "ran"]
    assert calls["output"].iloc[1] == {"paid": 7}
    assert calls["line"].notna().all()
    steps = fork.steps
    assert list(steps["name"])[:2] == ["price", "charge"]
    assert set(steps["status"]) == {"completed"}
    assert fork.recording().source == "local"
    assert fork.recording().run.output == {**OUTPUT, "paid": 7}


def test_what_it_needs_and_how_it_goes_on() -> None:
    fork, ran = forked(recorded(WHOLE[0], failed(1, "charge:0"), status="failed"))
    assert fork.status == "stopped"
    assert [(need.label, need.kind) for need in fork.needs] == [("charge", "run")]
    with pytest.raises(FailedPreconditionError, match="stopped: step 'charge' needs a decision"):
        _ = fork.result
    further = fork.decide(charge="run").decide(with_outputs={"approval": {"by": "ann"}})
    assert fork.status == "stopped", "the first one stays as it is"
    assert [need.label for need in further.needs] == ["publish:orders"]
    done = further.decide({"ship": "run"}, with_outputs={"publish:orders": None})
    assert done.result == {"paid": 10, "by": "ann", "parcel": "p_10"}
    assert ran == ["charge", "charge", "ship"]


def test_a_fork_that_fails() -> None:
    fork, _ = forked(recorded(*WHOLE), None, {"charge": TimeoutError("no answer")})
    with pytest.raises(RunFailedError, match=r"the fork of run_1 failed: .*no answer"):
        _ = fork.result
    assert fork.output is None
    assert fork.error is not None
    assert "a fork is one attempt" in " ".join(fork.notes)
    assert "not asked for here: approval, rest, publish:orders, ship" in str(fork)
    told, _ = forked(recorded(*WHOLE), None, {"charge": il.NonRetryableError("declined")})
    assert "one attempt" not in " ".join(told.notes)


def test_it_says_what_had_no_effect_and_which_code_it_is() -> None:
    fork, _ = forked(recorded(*WHOLE), None, {"chrage": 1}, note="the newest code: the run's own is gone")
    assert fork.notes[:2] == (
        "what you said of step 'chrage' had no effect: the code did not ask for it",
        "the newest code: the run's own is gone",
    )


def test_beside_the_run_and_forked_again() -> None:
    fork, _ = forked(recorded(*WHOLE), None, {"price": 11})
    again = fork.fork(with_outputs={"approval": {"by": "bob"}})
    assert again.result == {**OUTPUT, "by": "bob"}
    assert list(again.calls["got"])[:2] == ["recorded", "recorded"]
    # Beside what it was forked from: the first fork, where the price was given.
    beside = again.compare()
    assert (beside.same, beside.a.source, beside.b.source) == (False, "local", "local")
    assert beside.first is not None
    assert "approval" in beside.first.message
    first = fork.compare()
    assert first.a.run.output is None
    assert first.first is not None
    assert "price" in first.first.message


def test_hostile_payloads_are_escaped_and_redacted() -> None:
    evil = "<script>alert(1)</script>"
    hostile = recorded(row(0, "price:0", {"api_key": "k-secret", "x": evil}), failed(1, "charge:0", message=evil))

    @function("order", on="order.placed")
    async def leaks(ctx: Any) -> Any:
        price = await ctx.step.run("price", list)
        await ctx.step.run(evil, list)
        return price

    for fork in (
        forked(hostile, "price", None, {"price": "stub"}, code=leaks)[0],
        forked(hostile, "price", None, {evil: "run"}, code=leaks)[0],
        forked(hostile, None, {"price": {"password": "p-secret"}, evil: 1}, code=leaks)[0].go(),
        forked(hostile, "charge")[0],
    ):
        for shown in (fork._repr_html_(), str(fork), repr(fork)):
            assert "k-secret" not in shown
            assert "p-secret" not in shown
        assert "<script" not in fork._repr_html_()
        assert "\n" not in repr(fork)


def test_a_card_is_bounded() -> None:
    @function("order", on="order.placed")
    async def long(ctx: Any) -> Any:
        return [await ctx.step.run(f"s{number}", list) for number in range(200)]

    whole = recorded(*(row(number, f"s{number}:0", "x" * 10_000) for number in range(200)))
    fork, _ = forked(whole, "s0", code=long)
    assert len(fork._repr_html_()) < 40_000
    assert "and 150 more steps" in str(fork)
    planned, _ = forked(whole, "s0", None, "run", code=long)
    assert "s9 and 191 more" in str(planned)
    assert len(planned._repr_html_()) < 40_000
