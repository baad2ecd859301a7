"""Executing a recorded run again: what its steps give, where it ends, and what it never does."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ironflow_lab.debug.calls import Call, Fail, Give
from ironflow_lab.debug.replay import execute
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.errors import InvokeError, NonRetryableError, StepError, StepTimeoutError
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, RunStatus, StepStatus
from ironflow_lab.runtime.function import DurableFunction, function
from tests.unit.debug import replays
from tests.unit.debug.lives import recorded
from tests.unit.debug.replays import DEEP, Words, boom, later, made, step

# Seconds the handlers below wait between their steps: none in the run, an hour in its replay.
PAUSE = [0]


def replay(recording: Recording, fn: DurableFunction, **given: Any) -> Replayed:
    PAUSE[0] = 3600
    try:
        return replays.replay(recording, fn, **given)
    finally:
        PAUSE[0] = 0


@function
async def woven(ctx: Any) -> Any:
    step = ctx.step
    order = await step.run("load", lambda: {"n": ctx.event.data["n"], "tags": []})
    order["tags"].append("seen")
    await step.sleep("rest", "7d")
    parts = await step.map("pack", [1, 2, 3], lambda item, branch: branch.run("wrap", lambda: item * 10))
    both = await asyncio.gather(step.run("left", lambda: "l"), step.run("right", lambda: "r"))
    await asyncio.sleep(PAUSE[0])
    answer = await step.wait_for_event("answer", "order.approved", match="data.n", timeout="1d")
    return {"order": order, "parts": parts, "both": both, "by": answer.data["by"]}


@function
def plain(ctx: Any) -> Any:
    step = ctx.step
    order = step.run("load", lambda: {"n": ctx.event.data["n"], "tags": []})
    order["tags"].append("seen")
    step.sleep("rest", "7d")
    parts = step.map("pack", [1, 2, 3], lambda item, branch: branch.run("wrap", lambda: item * 10))
    time.sleep(PAUSE[0])
    answer = step.wait_for_event("answer", "order.approved", match="data.n", timeout="1d")
    return {"order": order, "parts": parts, "by": answer.data["by"]}


@pytest.mark.parametrize("fn", [woven, plain], ids=["async", "plain"])
def test_a_completed_run_ends_as_it_did_and_nothing_waits(fn: DurableFunction) -> None:
    recording = recorded(fn, {"n": 7}, emit=[("order.approved", {"n": 7, "by": "ann"})])
    before = msgspec.json.encode([one.output for one in recording.steps])
    found = replay(recording, fn)
    assert (found.status, found.same, found.divergence, found.unused, found.notes) == ("completed", True, None, (), ())
    assert found.output == recording.run.output
    assert {one.source for one in found.asked} == {"recorded"}
    assert [one.call.order for one in found.asked] == list(range(1, len(found.asked) + 1))
    # What the handler did to an output stayed its own.
    assert msgspec.json.encode([one.output for one in recording.steps]) == before


@pytest.mark.parametrize("fn", [woven, plain], ids=["async", "plain"])
def test_calls_say_what_the_code_asked_and_where(fn: DurableFunction) -> None:
    recording = recorded(fn, {"n": 7}, emit=[("order.approved", {"n": 7, "by": "ann"})])
    calls = {call.label: call for call in replay(recording, fn).calls}
    assert calls["rest"].kind == "sleep"
    assert calls["rest"].wanted["seconds"] == 604800
    assert calls["answer"].wanted == {"event": "order.approved", "match": "data.n", "timeout": "1d"}
    assert (calls["pack:1:wrap"].kind, calls["pack:1:wrap"].name) == ("run", "wrap")
    first = fn.handler.__code__.co_firstlineno
    assert [calls[name].line - first for name in ("load", "rest")] == [3, 5]
    assert calls["load"].file == __file__


def failing(kind: str) -> DurableFunction:
    @function(retry={"max_attempts": 2, "on_exhausted": "fail"})
    async def flows(ctx: Any) -> Any:
        await ctx.step.run("charge", lambda: 1)
        ctx.step.compensate("charge", lambda: None)
        await ctx.step.run("ship", later)

    @function(retry={"max_attempts": 2, "on_exhausted": "fail"})
    def flows_plain(ctx: Any) -> Any:
        ctx.step.run("charge", lambda: 1)
        ctx.step.compensate("charge", lambda: None)
        ctx.step.run("ship", later)

    return flows if kind == "async" else flows_plain


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_run_that_failed_for_good_fails_again_and_its_compensations_are_not_executed(kind: str) -> None:
    fn = failing(kind)
    recording = recorded(fn)
    assert recording.run.status == "failed"
    found = replay(recording, fn)
    assert (found.status, found.same) == ("failed", True)
    assert [one.call.label for one in found.asked] == ["charge", "ship", "compensate:charge"]
    assert found.asked[-1].call.kind == "compensate"
    assert found.error is not None
    assert "TimeoutError: later" in found.error.message
    assert f'File "{__file__}"' in found.error.stack


def test_an_error_a_handler_catches_goes_on_as_it_did() -> None:
    @function
    async def careful(ctx: Any) -> Any:
        told = []
        for name in ("late", "bad"):
            try:
                await ctx.step.run(name, later if name == "late" else boom)
            except StepError as error:
                told.append([str(error), error.step_name, error.retryable, error.code])
        return told

    recording = recorded(careful)
    found = replay(recording, careful)
    assert (found.status, found.same) == ("completed", True)


def test_a_body_that_took_too_long_raises_the_same_kind_of_error() -> None:
    message = "step 'slow' took longer than its timeout of 0.5 s"

    @function
    async def impatient(ctx: Any) -> Any:
        try:
            await ctx.step.run("slow", boom, timeout=0.5)
        except StepTimeoutError as error:
            return [error.timeout, error.step_name]

    slow = step(0, "slow:0", status=StepStatus("failed"), error=Error(message=message, retryable=True))
    assert replay(made(slow, output=[0.5, "slow"]), impatient).same is True


def test_branches_end_in_the_order_in_which_they_did() -> None:
    @function
    async def racing(ctx: Any) -> Any:
        ended = []

        async def one(index: int, branch: Any) -> None:
            await branch.run("work", boom)
            ended.append(index)

        await ctx.step.map("race", [0, 1, 2], one)
        return ended

    times = {0: 30, 1: 10, 2: 20}
    steps = [
        step(number, f"race:{number}:work:0", started_at=Instant(5), ended_at=Instant(at * 10**9))
        for number, at in times.items()
    ]
    found = replay(made(*steps, output=[1, 2, 0]), racing)
    assert (found.output, found.same) == ([1, 2, 0], True)
    assert [(one.call.order, one.call.label[5], one.place) for one in found.asked] == [
        (1, "0", 2),
        (2, "1", 0),
        (3, "2", 1),
    ]
    assert [one.step_id[11] for one in found.as_recording().steps] == ["1", "2", "0"]


def test_branches_that_a_failure_kept_from_beginning_are_no_divergence() -> None:
    @function(retry={"max_attempts": 1, "on_exhausted": "fail"})
    def limited(ctx: Any) -> Any:
        def one(index: int, branch: Any) -> Any:
            return branch.run("work", later if index == 0 else int)

        return ctx.step.map("race", [0, 1, 2, 3], one, concurrency=2)

    recording = recorded(limited)
    found = replay(recording, limited)
    assert (found.status, found.same, found.unused) == ("failed", True, ())


def test_a_body_is_executed_for_real_where_the_answers_say_so(tmp_path: Path) -> None:
    @function
    async def mixed(ctx: Any) -> Any:
        a = await ctx.step.run("a", boom)
        real = await ctx.step.run("write", (tmp_path / "real").write_text, "x")
        await ctx.step.sleep("nap", "1h")
        slept = await ctx.step.run("wait", asyncio.sleep, 0.001, "slept")
        return [a, real, slept]

    found = execute(made(output=None), mixed, Words(a=Give(output=5, source="given")))
    assert (found.status, found.output) == ("completed", [5, 1, "slept"])
    assert (tmp_path / "real").read_text() == "x"
    assert [one.source for one in found.asked] == ["given", "ran", "ran", "ran"]


@pytest.mark.parametrize("name", ["wait_for_event", "invoke", "invoke_async", "publish"])
def test_what_needs_a_server_is_never_executed(name: str) -> None:
    @function
    async def wanting(ctx: Any) -> Any:
        await (ctx.step.wait_for_event("w", "a.b") if name == "wait_for_event" else getattr(ctx.step, name)("x", {}))

    found = execute(made(), wanting, Words())
    assert found.status == "stopped"
    assert "give its output instead" in found.reason


def test_a_failed_body_that_was_executed_is_the_steps_error() -> None:
    @function(retry={"max_attempts": 1, "on_exhausted": "fail"})
    def failing_now(ctx: Any) -> Any:
        ctx.step.compensate("a", later)
        ctx.step.run("a", later)

    found = execute(made(status=RunStatus("failed")), failing_now, Words())
    assert [(one.call.label, one.source) for one in found.asked] == [("a", "ran"), ("compensate:a", "ran")]
    assert all(one.error is not None and "later" in one.error.message for one in found.asked)
    assert found.status == "failed"


def test_answers_can_fail_a_wait_and_a_child() -> None:
    @function
    async def waiting(ctx: Any) -> Any:
        try:
            await ctx.step.invoke("child", {})
        except InvokeError as error:
            await ctx.step.run("told", str, f"{error} {error.child_run_id}")
        await ctx.step.wait_for_event("w", "a.b")

    lost = Fail(error=Error(message="gone", details={"child_run_id": "run_9"}))
    timed = Fail(error=Error(message="no event came", code="WAIT_TIMEOUT"))
    found = execute(made(), waiting, Words(child=lost, w=timed))
    assert [one.output for one in found.asked][1] == "child: gone run_9"
    assert (found.status, found.error) == ("failed", timed.error)


def test_code_that_ends_without_a_recorded_step_diverges() -> None:
    @function
    async def shorter(ctx: Any) -> Any:
        return await ctx.step.run("a", boom)

    found = replay(made(step(0, "a:0", 1), step(1, "b:0", 2), output=1), shorter)
    assert (found.status, found.same, found.unused) == ("completed", False, ("b",))
    assert found.divergence is not None
    assert (found.divergence.kind, found.divergence.label) == ("missing", "b")


def test_another_output_is_not_the_same() -> None:
    @function
    async def other(ctx: Any) -> Any:
        return await ctx.step.run("a", boom) + 1

    found = replay(made(step(0, "a:0", 1), output=1), other)
    assert (found.status, found.same, found.divergence, found.output) == ("completed", False, None, 2)


def test_another_error_is_not_the_same() -> None:
    @function
    def other(ctx: Any) -> Any:
        raise NonRetryableError("red", code="COLOUR")

    def same(code: str, message: str) -> bool | None:
        return replay(made(status=RunStatus("failed"), error=Error(message=message, code=code)), other).same

    assert [same("COLOUR", "red"), same("COLOUR", "blue"), same("OTHER", "red")] == [True, False, False]


def test_until_stops_at_the_next_call() -> None:
    seen = []

    @function
    async def steps(ctx: Any) -> Any:
        for name in "abc":
            seen.append(await ctx.step.run(name, boom))  # noqa: PERF401 - what was seen before the end counts

    recording = made(*(step(at, f"{name}:0", name) for at, name in enumerate("abc")))
    found = replay(recording, steps, until="b")
    assert (found.status, seen, [call.label for call in found.calls]) == ("stopped", ["a", "b"], ["a", "b"])
    assert found.reason == "stopped after step 'b', as asked"


def test_each_call_is_shown_with_the_users_frame_before_its_answer() -> None:
    seen = []

    @function
    async def shown(ctx: Any) -> Any:
        mine = 41
        await ctx.step.run("a", boom)
        return mine

    @function
    def shown_plain(ctx: Any) -> Any:
        mine = 42
        ctx.step.run("a", boom)
        return mine

    def at_step(call: Call, frame: Any) -> None:
        seen.append((call.label, frame.f_locals["mine"], frame.f_lineno == call.line))

    for fn in (shown, shown_plain):
        assert replay(made(step(0, "a:0")), fn, at_step=at_step).status == "completed"
    assert seen == [("a", 41, True), ("a", 42, True)]


def test_a_replay_is_a_recording_of_its_own() -> None:
    recording = recorded(woven, {"n": 7}, emit=[("order.approved", {"n": 7, "by": "ann"})])
    again = replay(recording, woven).as_recording()
    assert (again.source, again.recorded, again.run.output) == ("local", False, recording.run.output)
    known = {one.step_id: one for one in recording.steps}
    assert {one.step_id: one.output for one in again.steps} == {key: one.output for key, one in known.items()}
    assert again.run.id == recording.run.id


@pytest.mark.parametrize("value", [DEEP, {"n": 2**70}, {"text": "\ud800"}], ids=["deep", "huge", "surrogate"])
def test_strange_outputs_are_handed_over_as_copies(value: Any) -> None:
    seen = []

    @function
    async def takes(ctx: Any) -> Any:
        got = await ctx.step.run("a", boom)
        seen.append(got)
        got.clear()
        return 1

    kept = msgspec.structs.asdict(step(0, "a:0", value))["output"]
    found = replay(made(step(0, "a:0", value), output=1), takes)
    assert found.same is True
    assert kept
    assert seen[0] is not value


def test_ten_thousand_steps() -> None:
    @function
    async def long(ctx: Any) -> Any:
        return sum([await ctx.step.run("s", boom) for _ in range(10_000)])

    found = replay(made(*(step(at, f"s:{at}", 1) for at in range(10_000)), output=10_000), long)
    assert (found.same, len(found.asked)) == (True, 10_000)


def test_a_namespace_is_on_the_names_of_the_server() -> None:
    @function
    async def inner(ctx: Any) -> Any:
        await ctx.step.wait_for_event("w", "a.b")
        await ctx.step.invoke("child", {})
        await ctx.step.publish("topic", 1)

    inner.namespace = "me"
    event = {"id": "e", "name": "me.a.b", "data": {}}
    given = Words(
        w=Give(output=event), child=Give(output=1), **{"publish:topic": Give(output={"eventId": "e", "sequence": 1})}
    )
    calls = execute(made(), inner, given).calls
    assert [call.wanted.get(key) for call, key in zip(calls, ("event", "function_id", "topic"), strict=True)] == [
        "me.a.b",
        "me.child",
        "me.topic",
    ]


def test_what_the_runtime_teaches_is_not_told_again() -> None:
    @function
    async def repeats(ctx: Any) -> Any:
        await ctx.step.run("a", boom)
        await ctx.step.run("a", boom)

    # Warnings are errors in these tests.
    assert replay(made(step(0, "a:0"), step(1, "a:1")), repeats).same is True


def test_branches_of_branches_in_a_plain_handler() -> None:
    @function
    def nested(ctx: Any) -> Any:
        def outer(number: int, branch: Any) -> Any:
            return branch.map("inner", [0, 1], lambda item, inner: inner.run("leaf", boom) + number)

        return ctx.step.map("outer", list(range(200)), outer)

    steps = [
        step(2 * number + item, f"outer:{number}:inner:{item}:leaf:0", item) for number in range(200) for item in (0, 1)
    ]
    found = replay(made(*steps, output=[[number, number + 1] for number in range(200)]), nested)
    assert found.same is True
    assert [one.call.step_id for one in found.asked] == [one.step_id for one in steps]


def test_branches_beside_one_that_failed_may_be_left_out() -> None:
    @function(retry={"max_attempts": 1, "on_exhausted": "fail"})
    async def limited(ctx: Any) -> Any:
        await ctx.step.map("race", [0, 1, 2], lambda item, branch: branch.run("work", boom), concurrency=1)

    failed = step(0, "race:0:work:0", status=StepStatus("failed"), error=Error(message="no"))
    recording = made(
        failed,
        step(1, "race:1:work:0"),
        status=RunStatus("failed"),
        error=Error(message="no", code="STEP_FAILED", retryable=True),
    )
    assert replay(recording, limited).unused == ()
    assert replay(made(failed, step(1, "other:1:work:0"), status=RunStatus("failed")), limited).unused == (
        "other:1:work",
    )


def test_the_order_of_a_set_is_said_to_be_unknown() -> None:
    @function
    async def unordered(ctx: Any) -> Any:
        for name in {"a", ctx.run.id[:1]}:
            await ctx.step.run("each", len, name)

    @function
    async def ordered(ctx: Any) -> Any:
        for name in sorted({"a", ctx.run.id[:1]}):
            await ctx.step.run("each", len, name)

    recording = made(step(0, "each:0"), step(1, "each:1"))
    assert [note[:22] for note in replay(recording, unordered).notes] == ["the code makes a set a"]
    assert replay(recording, ordered).notes == ()
