"""What-ifs: what is handed out, what is executed, where they stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.debug.choices import choices
from ironflow_lab.debug.fork import Deciding, Plan, labels
from ironflow_lab.debug.replay import execute
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.errors import InvalidArgumentError, NotFoundError, StepError
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.runs import StepStatus, StepType
from ironflow_lab.runtime.function import DurableFunction, function
from tests.unit.debug.forked import OUTPUT, RUN, WHOLE, failed, order, plain_order, recorded, row

Made = Callable[[list[str]], DurableFunction]


class Told:
    """A fork that was executed, and what it needed."""

    def __init__(self, replayed: Replayed, answers: Deciding, ran: list[str]) -> None:
        self.replayed, self.answers, self.ran = replayed, answers, ran
        self.status, self.output, self.reason = replayed.status, replayed.output, replayed.reason
        self.sources = {one.call.label: one.source for one in replayed.asked}
        self.needs = labels(answers.needs)


def fork(
    recording: Recording,
    from_step: str | None = None,
    with_outputs: Any = None,
    steps: Any = None,
    *,
    made: Made | DurableFunction = order,
) -> Told:
    ran: list[str] = []
    plan = Plan(recording, choices(from_step, with_outputs, steps))
    answers = Deciding(plan)
    code = made if isinstance(made, DurableFunction) else made(ran)
    return Told(execute(recording, code, answers), answers, ran)


def decisions(recording: Recording, *args: Any) -> dict[str, str]:
    return {one.label: one.decision for one in Plan(recording, choices(*args)).rows()}


both = pytest.mark.parametrize("made", [order, plain_order])


class TestStubs:
    @both
    def test_another_output_and_the_recorded_ones_after_it(self, made: Made) -> None:
        told = fork(recorded(*WHOLE), with_outputs={"charge": {"id": "ch_x", "paid": 7}}, made=made)
        assert (told.status, told.output) == ("completed", {**OUTPUT, "paid": 7})
        assert told.ran == []
        assert told.sources == {
            "price": "recorded",
            "charge": "given",
            "approval": "stub",
            "rest": "stub",
            "publish:orders": "stub",
            "ship": "stub",
        }

    def test_an_error_makes_a_step_fail(self) -> None:
        told = fork(recorded(*WHOLE), with_outputs={"charge": il.NonRetryableError("card declined")})
        assert told.status == "failed"
        assert told.replayed.error is not None
        assert "card declined" in told.replayed.error.message
        assert not told.replayed.error.retryable
        assert list(told.sources) == ["price", "charge"]

    @both
    def test_of_a_wait_the_data_of_its_event_is_given(self, made: Made) -> None:
        told = fork(recorded(*WHOLE), with_outputs={"approval": {"by": "bob"}}, made=made)
        assert told.output == {**OUTPUT, "by": "bob"}
        whole = {"id": "evt_9", "name": "order.approved", "data": {"by": "cy"}}
        assert fork(recorded(*WHOLE), with_outputs={"approval": whole}, made=made).output["by"] == "cy"

    def test_a_step_that_ended_the_run_needs_a_decision(self) -> None:
        broken = recorded(*WHOLE[:1], failed(1, "charge:0"), status="failed")
        told = fork(broken)
        assert (told.status, told.needs) == ("stopped", ("charge",))
        assert "it failed, and the fork begins here" in told.reason
        assert "fork.decide({'charge': 'run'})" in told.reason
        later = fork(broken, from_step="price")
        assert (later.needs, later.ran) == (("charge",), [])
        assert "it failed, and so did the run" in later.reason

    def test_a_failure_that_the_code_had_caught_is_handed_out_again(self) -> None:
        @function("order", on="order.placed")
        async def caught(ctx: Any) -> Any:
            first = await ctx.step.run("price", list)
            try:
                await ctx.step.run("charge", list)
            except StepError:
                return [first, await ctx.step.run("refund", list)]
            return None

        kept = recorded(row(0, "price:0", 10), failed(1, "charge:0"), row(2, "refund:0", "back"))
        told = fork(kept, with_outputs={"price": 11}, made=caught)
        assert (told.status, told.output) == ("completed", [11, "back"])
        assert fork(kept, from_step="charge", made=caught).needs == ("charge",)

    def test_a_new_step_needs_a_decision(self) -> None:
        @function("order", on="order.placed")
        async def longer(ctx: Any) -> Any:
            price = await ctx.step.run("price", list)
            return [price, await ctx.step.run("audit", list)]

        one = recorded(WHOLE[0])
        told = fork(one, from_step="price", made=longer)
        assert (told.status, told.needs) == ("stopped", ("audit",))
        assert "it was not recorded" in told.reason
        assert fork(one, with_outputs={"price": 1, "audit": 2}, made=longer).output == [1, 2]
        assert fork(one, with_outputs={"price": 1}, steps={"audit": "run"}, made=longer).output == [1, []]
        assert fork(one, from_step="price", steps={"audit": "stop"}, made=longer).reason.startswith(
            "step 'audit' stops"
        )

    def test_what_is_asked_otherwise_needs_a_decision(self) -> None:
        @function("order", on="order.placed")
        async def other(ctx: Any) -> Any:
            await ctx.step.run("price", list)
            return (await ctx.step.wait_for_event("approval", "order.denied")).data

        known = recorded(WHOLE[0], WHOLE[2])
        told = fork(known, from_step="price", made=other)
        assert told.needs == ("approval",)
        assert "waits for 'order.denied'" in told.reason
        assert fork(known, with_outputs={"approval": 3}, made=other).output == 3

    def test_code_that_leaves_the_recording_before_the_fork_diverges(self) -> None:
        @function("order", on="order.placed")
        async def other(ctx: Any) -> Any:
            await ctx.step.run("rate", list)
            return await ctx.step.run("charge", list)

        known = recorded(*WHOLE[:2])
        for steps in ("stub", "run"):
            told = fork(known, from_step="charge", steps=steps, made=other)
            assert (told.status, told.ran) == ("diverged", [])
            assert "'rate'" in told.reason
        assert fork(known, from_step="charge", steps={"rate": "run"}, made=other).status == "completed"

    def test_a_run_that_stands_needs_what_is_awaited(self) -> None:
        waits = recorded(
            *WHOLE[:2], row(2, "approval:0", status=StepStatus("waiting"), step_type=StepType("wait_for_event")),
            status="waiting",
        )  # fmt: skip
        told = fork(waits, from_step="charge")
        assert (told.status, told.needs) == ("stopped", ("approval",))
        assert "had not ended (waiting)" in told.reason

    def test_a_redacted_output_is_not_handed_out(self) -> None:
        hidden = {"$redacted": True, "sha256": "0" * 64, "redactedAt": "2026-01-02T03:04:05Z"}
        secret = recorded(WHOLE[0], row(1, "charge:0", hidden), *WHOLE[2:])
        told = fork(secret, from_step="charge")
        assert told.needs == ("charge",)
        assert "redacted at $" in told.reason
        before = fork(secret, from_step="ship")
        assert (before.status, before.ran) == ("stopped", [])

    def test_a_compensation_is_not_executed_unless_it_is_named(self) -> None:
        undone: list[str] = []

        @function("order", on="order.placed", retry={"max_attempts": 1, "on_exhausted": "fail"})
        async def saga(ctx: Any) -> Any:
            price = await ctx.step.run("price", list)
            ctx.step.compensate("price", undone.append, "price")
            if price:
                raise il.NonRetryableError("too dear")

        whole = recorded(row(0, "price:0", []))
        told = fork(whole, with_outputs={"price": [1]}, made=saga)
        assert (told.status, undone) == ("failed", [])
        assert "was not executed" in " ".join(told.replayed.notes)
        fork(whole, with_outputs={"price": [1]}, steps={"compensate:price": "run"}, made=saga)
        assert undone == ["price"]


class TestBodies:
    @both
    def test_only_a_named_body_is_executed(self, made: Made) -> None:
        told = fork(recorded(*WHOLE), from_step="charge", steps={"ship": "run"}, made=made)
        assert (told.status, told.ran, told.output) == ("completed", ["ship"], OUTPUT)
        assert told.sources["ship"] == "ran"

    @both
    def test_all_bodies_from_the_fork_on_and_none_before(self, made: Made) -> None:
        told = fork(recorded(*WHOLE), "charge", None, "run", made=made)
        assert told.ran == ["charge", "ship"]
        assert told.sources["price"] == "recorded"
        # What needs a server is never done.
        assert told.sources["publish:orders"] == told.sources["approval"] == "stub"

    def test_a_changed_output_goes_into_the_bodies_after_it(self) -> None:
        told = fork(recorded(*WHOLE), None, {"price": 99}, "run")
        assert told.output == {"paid": 99, "by": "ann", "parcel": "p_99"}

    def test_what_needs_a_server_is_refused_when_it_is_named(self) -> None:
        told = fork(recorded(*WHOLE), "charge", None, {"publish:orders": "run"})
        assert told.needs == ("publish:orders",)
        assert "never sent by a fork: give its output" in told.reason
        given = fork(recorded(*WHOLE), None, {"publish:orders": None})
        assert given.output == OUTPUT

    def test_a_stop_stops_before_the_step(self) -> None:
        told = fork(recorded(*WHOLE), "charge", None, {"ship": "stop"})
        assert (told.status, told.ran) == ("stopped", [])
        assert told.reason.startswith("step 'ship' stops: you said to stop here")

    def test_the_code_between_the_steps_stays_gated(self, tmp_path: Any) -> None:
        @function("order", on="order.placed")
        async def writes(ctx: Any) -> Any:
            await ctx.step.run("price", (tmp_path / "body").write_text, "real")
            (tmp_path / "handler").write_text("no")

        told = fork(recorded(WHOLE[0]), "price", None, "run", made=writes)
        assert (tmp_path / "body").read_text() == "real"
        assert not (tmp_path / "handler").exists()
        assert told.status == "stopped"
        assert told.replayed.violations

    def test_a_body_that_fails_fails_as_it_would(self) -> None:
        @function("order", on="order.placed")
        async def broken(ctx: Any) -> Any:
            return await ctx.step.run("price", int, "x")

        told = fork(recorded(WHOLE[0]), "price", None, "run", made=broken)
        assert told.status == "failed"
        assert told.replayed.error is not None
        assert "invalid literal" in told.replayed.error.message


class TestPlan:
    def test_every_step_before_anything_is_executed(self) -> None:
        assert decisions(recorded(*WHOLE), None, {"charge": 1}, {"ship": "run"}) == {
            "price": "recorded",
            "charge": "given",
            "approval": "stub",
            "rest": "stub",
            "publish:orders": "stub",
            "ship": "run",
        }

    def test_kinds_that_act_on_the_world(self) -> None:
        effects = {one.label: one.effects for one in Plan(recorded(*WHOLE), choices()).rows()}
        assert effects["publish:orders"] is True
        assert effects["rest"] is effects["approval"] is False
        assert effects["ship"] is None

    @pytest.mark.parametrize(
        ("from_step", "outputs", "start"),
        [
            (None, None, "charge"),
            (None, {"ship": 1, "price": 2}, "price"),
            ("ship", {"price": 2}, "ship"),
            (None, {"new": 1}, "charge"),
        ],
    )
    def test_where_it_begins(self, from_step: str | None, outputs: Any, start: str) -> None:
        broken = recorded(WHOLE[0], failed(1, "charge:0"), *WHOLE[2:])
        plan = Plan(broken, choices(from_step, outputs))
        assert plan.start is not None
        assert plan.start.step_id == f"{RUN}:{start}:0"

    def test_of_a_run_without_a_failure_it_begins_at_the_beginning(self) -> None:
        plan = Plan(recorded(*WHOLE), choices(None, None, "run"))
        assert plan.start is None
        assert plan.executed() == ("price", "charge", "ship", "any step that was not recorded")
        assert Plan(recorded(*WHOLE), choices()).executed() == ()

    def test_what_needs_a_decision_is_told_in_it(self) -> None:
        broken = recorded(WHOLE[0], failed(1, "charge:0"), status="failed")
        rows = {one.label: one for one in Plan(broken, choices(None, {"audit": 1}, {"bill": "run"})).rows()}
        assert rows["charge"].decision == "stop"
        assert rows["charge"].why == "needs a decision: it failed, and the fork begins here"
        assert (rows["audit"].decision, rows["bill"].decision) == ("given", "run")
        assert "not recorded" in rows["audit"].why

    def test_a_plan_promises_what_the_fork_does(self) -> None:
        for args in ((None, {"price": 3}, None), ("charge", None, "run"), ("ship", None, {"ship": "stop"})):
            told = fork(recorded(*WHOLE), *args)
            became = {"recorded": "recorded", "given": "given", "stub": "stub", "run": "ran", "stop": "stopped"}
            planned = decisions(recorded(*WHOLE), *args)
            assert {label: became[planned[label]] for label in told.sources} == told.sources

    def test_unknown_and_ambiguous_steps(self) -> None:
        twice = recorded(row(0, "item:0", 1), row(1, "item:1", 2))
        with pytest.raises(NotFoundError, match="its steps are item, item:1"):
            Plan(twice, choices("nowhere"))
        with pytest.raises(InvalidArgumentError, match="name one of 'item:0', 'item:1'"):
            Plan(twice, choices(None, {"item": 3}))
        # A decision by name is for all of them.
        assert decisions(twice, "item:0", None, {"item": "run"}) == {"item": "run", "item:1": "run"}

    def test_what_the_code_does_not_ask_for_is_told(self) -> None:
        told = fork(recorded(*WHOLE), None, {"charge": {"paid": 1}, "chrage": 2}, {"shop": "run"})
        assert told.answers.unused == ("chrage", "shop")
        assert fork(recorded(*WHOLE), None, {"charge": il.NonRetryableError("no"), "ship": 1}).answers.unused == (
            "ship",
        )


def test_a_fork_of_a_fork() -> None:
    first = fork(recorded(*WHOLE), with_outputs={"price": 11})
    made = first.replayed.as_recording()
    second = fork(made, with_outputs={"approval": {"by": "bob"}})
    assert (second.status, second.output) == ("completed", {**OUTPUT, "by": "bob"})
    assert second.sources["price"] == "recorded"
    assert made.steps[0].output == 11


def test_a_name_decides_for_new_steps_too_and_an_output_is_for_one() -> None:
    ran: list[int] = []

    @function("order", on="order.placed")
    async def loops(ctx: Any) -> Any:
        return [await ctx.step.run("item", ran.append, number) for number in range(3)]

    one = recorded(row(0, "item:0", "a"))
    assert fork(one, "item:0", None, {"item": "run"}, made=loops).output == [None] * 3
    assert ran == [0, 1, 2]
    told = fork(one, "item:0", {"item:1": "b"}, made=loops)
    assert (told.needs, told.sources) == (("item:2",), {"item": "stub", "item:1": "given", "item:2": "stopped"})
    fresh = fork(recorded(), None, {"item": "a"}, made=loops)
    assert (fresh.sources, fresh.needs) == ({"item": "given", "item:1": "stopped"}, ("item:1",))


def test_in_branches_steps_are_named_by_their_place() -> None:
    @function("order", on="order.placed")
    async def fans(ctx: Any) -> Any:
        async def one(item: int, branch: Any) -> Any:
            return await branch.run("wrap", list)

        return await ctx.step.map("pack", [1, 2], one)

    packed = recorded(row(0, "pack:0:wrap:0", "a"), row(1, "pack:1:wrap:0", "b"))
    assert fork(packed, with_outputs={"pack:1:wrap": "z"}, made=fans).output == ["a", "z"]
    with pytest.raises(InvalidArgumentError, match="'pack:0:wrap:0', 'pack:1:wrap:0'"):
        Plan(packed, choices(None, {"wrap": "z"}))


def test_a_long_run() -> None:
    count = 1_000

    @function("order", on="order.placed")
    async def long(ctx: Any) -> Any:
        return sum([await ctx.step.run(f"s{number}", int) for number in range(count)])

    whole = recorded(*(row(number, f"s{number}:0", 1) for number in range(count)))
    told = fork(whole, with_outputs={f"s{count - 1}": 5}, made=long)
    assert told.output == count + 4
