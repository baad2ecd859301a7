"""Every edit of a dozen handlers against a recorded run of each: what a check finds, and what it says of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ironflow_lab.debug.check import check
from ironflow_lab.debug.verdict import CANNOT, DIVERGES, SAME, SO_FAR
from ironflow_lab.history.recording import Recording
from ironflow_lab.runtime.function import DurableFunction, function
from tests.unit.debug.lives import recorded
from tests.unit.debug.programs import (
    Mutation,
    Program,
    compiled,
    invoke,
    loop,
    mutations,
    parallel,
    publish,
    sleep,
    step,
    undo,
    wait,
)

PROGRAMS = (
    Program(name="linear", ops=[step("reserve"), step("charge"), step("ship"), step("notify")]),
    Program(name="plain", ops=[step("reserve"), step("charge"), step("ship")], plain=True),
    Program(
        name="patient",
        ops=[step("quote"), sleep("rest"), wait("approval", "order.approved", "data.n"), step("ship")],
        emit=[("order.approved", {"n": 4, "by": "ann"})],
    ),
    Program(name="calling", ops=[step("quote"), invoke("child"), publish("orders.done"), step("close")]),
    Program(name="calling plain", ops=[invoke("child"), step("quote"), publish("orders.done")], plain=True),
    Program(name="loop first", ops=[step("open"), loop(3, step("pack"), step("weigh")), step("close")]),
    Program(name="loop last", ops=[step("open"), step("list"), loop(4, step("pack"))]),
    Program(
        name="branches",
        ops=[
            step("open"),
            parallel("both", [step("pack"), step("weigh")], [step("bill"), step("send")]),
            step("close"),
        ],
    ),
    Program(
        name="branches plain",
        ops=[parallel("both", [step("pack"), step("weigh")], [step("bill")]), step("close")],
        plain=True,
    ),
    Program(
        name="nested",
        ops=[parallel("both", [step("pack"), parallel("inner", [step("a"), step("b")], [step("c")])], [step("bill")])],
    ),
    Program(
        name="declined",
        ops=[undo("reserve"), step("reserve"), step("charge", "refuse('no funds')"), step("ship")],
        last=2,
    ),
    Program(name="raising", ops=[step("reserve"), sleep("rest"), step("charge")], fails="ValueError('bad total')"),
    Program(name="flaky", ops=[step("reserve"), step("charge", "flaky(ctx, 7)"), step("ship")], retry=3),
    Program(
        name="waiting", ops=[step("open"), step("quote"), wait("approval", "order.approved")], until="waiting", last=2
    ),
)


@function("child")
def child(ctx: Any) -> Any:
    return {"twice": ctx.event.data["n"] * 2}


def life(program: Program, run: DurableFunction) -> Recording:
    return recorded(run, {"n": 4}, functions=(child,), emit=program.emit, until=program.until)


class Outcome:
    """What a check said of one edit, and what was to be said."""

    def __init__(self, program: Program, edit: Mutation, found: Any) -> None:
        self.edit, self.found = edit, found
        self.name = f"{program.name}/{edit.kind}"
        self.diverges = found.verdict == DIVERGES
        self.to_diverge = bool(edit.reasons)
        self.reason_right = self.diverges and found.reason in edit.reasons
        self.step_right = self.reason_right and found.step in edit.steps

    def __repr__(self) -> str:
        wanted = f"{self.edit.reasons} at {self.edit.steps}" if self.to_diverge else "same"
        return f"{self.name}: wanted {wanted}; said {self.found!r}: {self.found.detail}"


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    found: list[Outcome] = []
    for program in PROGRAMS:
        recording = life(program, compiled(program))
        found += [Outcome(program, edit, check(recording, compiled(edit.program))) for edit in mutations(program)]
    return found


def ratio(good: int, of: int) -> float:
    return good / of if of else 1.0


def wrong(outcomes: list[Outcome], right: str) -> str:
    return "\n".join(repr(one) for one in outcomes if one.to_diverge and not getattr(one, right))


def test_there_are_many_edits_of_every_kind(outcomes: list[Outcome]) -> None:
    kinds = Counter(one.edit.kind for one in outcomes)
    assert len(outcomes) > 300
    assert {"rename", "reorder", "move", "drop", "duplicate", "new", "input", "output", "error"} <= kinds.keys()
    assert {"branch added", "branch removed", "loops more", "loops less", "retry", "remark", "body"} <= kinds.keys()


def test_no_edit_without_effect_is_said_to_diverge(outcomes: list[Outcome]) -> None:
    false = [one for one in outcomes if not one.to_diverge and one.found.verdict not in (SAME, SO_FAR)]
    assert not false, "\n".join(map(repr, false))


def test_every_edit_with_an_effect_is_found(outcomes: list[Outcome]) -> None:
    missed = [one for one in outcomes if one.to_diverge and not one.diverges]
    assert not missed, "\n".join(map(repr, missed))
    assert not [one for one in outcomes if one.found.verdict == CANNOT]


def test_the_reason_and_the_step_are_right(outcomes: list[Outcome]) -> None:
    edits = [one for one in outcomes if one.to_diverge]
    reasons = ratio(sum(one.reason_right for one in edits), len(edits))
    steps = ratio(sum(one.step_right for one in edits), len(edits))
    print(f"{len(outcomes)} edits, {len(edits)} with an effect; reason right {reasons:.3f}, step right {steps:.3f}")
    assert reasons >= 0.99, wrong(outcomes, "reason_right")
    assert steps >= 0.99, wrong(outcomes, "step_right")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.name)
def test_the_same_code_is_the_same(program: Program) -> None:
    run = compiled(program)
    found = check(life(program, run), run)
    assert found.verdict == (SO_FAR if program.until else SAME), found.detail
