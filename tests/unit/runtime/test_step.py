"""Steps of `async def` handlers: memoisation, failures, timeouts, misuse, durability."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from msgspec import UNSET, Raw, json

from ironflow_lab.errors import NonRetryableError, PayloadError, RetryAfterError, StepError, StepTimeoutError
from ironflow_lab.models.workers import CompletedStep
from ironflow_lab.runtime import execution
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.outcome import Completed, Failed, Outcome, Yielded
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import done, segment_of
from tests.unit.runtime.fakes import tools
from tests.unit.runtime.faketime import settle


async def run(defined: DurableFunction, *completed: CompletedStep, data: Any = None) -> Segment:
    """Execute a handler once."""
    segment = segment_of(defined, *completed, data=data)
    await execution.run_async(segment, tools())
    return segment


def output(outcome: Outcome | None) -> Any:
    assert isinstance(outcome, Completed), outcome
    return json.decode(outcome.output)


def fault(outcome: Outcome | None) -> tuple[str, bool, str]:
    assert isinstance(outcome, Failed), outcome
    return outcome.fault.code, outcome.fault.retryable, outcome.fault.message


def waits_for(outcome: Outcome | None) -> str:
    assert isinstance(outcome, Yielded), outcome
    return outcome.wanted.step_id


async def double(x: int) -> int:
    return 2 * x


# ---- execution and memory


async def test_steps_run_once_in_order_and_are_recorded() -> None:
    @function
    async def f(ctx: Any) -> Any:
        return [await ctx.step.run("a", double, n) for n in range(2)] + [await ctx.step.run("b", double, 5)]

    segment = await run(f)
    assert output(segment.outcome) == [0, 2, 10]
    results = segment.collect()
    assert [(one.id, one.name, one.type, one.status) for one in results] == [
        ("run_01:a:0", "a", "invoke", "completed"),
        ("run_01:a:1", "a", "invoke", "completed"),
        ("run_01:b:0", "b", "invoke", "completed"),
    ]
    assert results[0].output == Raw(b"0")
    assert results[0].started_at == "2026-01-02T03:04:05.002Z"
    assert results[0].ended_at == "2026-01-02T03:04:05.003Z"
    assert results[0].duration_ms == 1
    assert results[0].error is UNSET


async def test_a_recorded_step_is_read_back_without_running() -> None:
    @function
    async def f(ctx: Any) -> Any:
        def never() -> None:
            raise AssertionError("ran again")

        return [await ctx.step.run("a", never), await ctx.step.run("b", double, 4)]

    segment = await run(f, done("a", {"ok": True}))
    assert output(segment.outcome) == [{"ok": True}, 8]
    assert [one.id for one in segment.collect()] == ["run_01:b:0"]


async def test_the_first_execution_sees_what_a_replay_will_see() -> None:
    seen: list[Any] = []

    @function
    async def f(ctx: Any) -> None:
        async def body() -> Any:
            return {"pair": (1, 2)}

        seen.append(await ctx.step.run("a", body))

    segment = await run(f)
    recorded = json.decode(segment.collect()[0].output)
    await run(f, done("a", recorded))
    assert seen[0] == seen[1] == {"pair": [1, 2]}


async def test_an_async_body_stays_in_the_loop_and_a_plain_one_leaves_it() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @function
    async def f(ctx: Any) -> Any:
        variable.set("set")

        async def here() -> bool:
            return threading.current_thread() is caller

        def elsewhere(word: str, *, end: str) -> list[Any]:
            return [threading.current_thread() is caller, variable.get(), word + end]

        caller = threading.current_thread()
        return [await ctx.step.run("a", here), await ctx.step.run("b", elsewhere, "x", end="!")]

    assert output((await run(f)).outcome) == [True, [False, "set", "x!"]]


async def test_a_lambda_that_makes_a_coroutine_is_awaited() -> None:
    @function
    async def f(ctx: Any) -> Any:
        return await ctx.step.run("a", lambda: double(21))

    assert output((await run(f)).outcome) == 42


async def test_two_calls_before_their_await_keep_their_order() -> None:
    @function
    async def f(ctx: Any) -> Any:
        first, second = ctx.step.run("a", double, 1), ctx.step.run("a", double, 2)
        return [await second, await first]

    assert output((await run(f, done("a", "first", 0))).outcome) == [4, "first"]


# ---- failures


async def test_a_failing_body_is_recorded_and_raises_step_error() -> None:
    caught: list[StepError] = []

    @function
    async def f(ctx: Any) -> str:
        def charge() -> None:
            raise ValueError("declined")

        try:
            await ctx.step.run("charge", charge)
        except StepError as error:
            caught.append(error)
        return "handled"

    segment = await run(f)
    assert output(segment.outcome) == "handled"
    assert isinstance(caught[0].__cause__, ValueError)
    [result] = segment.collect()
    assert (result.status, result.output) == ("failed", UNSET)
    assert (result.error.message, result.error.retryable) == ("ValueError: declined", True)
    assert "in charge" in result.error.stack
    assert "runtime/step.py" not in result.error.stack


@pytest.mark.parametrize(
    ("error", "expected", "delay"),
    [
        (ValueError("no"), ("STEP_FAILED", True, "ValueError: no"), UNSET),
        (NonRetryableError("never"), ("STEP_FAILED", False, "never"), UNSET),
        (RetryAfterError("busy", delay=2), ("STEP_FAILED", True, "busy"), 2000),
        (SystemExit(3), ("STEP_FAILED", True, "SystemExit: 3"), UNSET),
    ],
)
async def test_an_uncaught_step_failure_fails_the_run(
    error: BaseException, expected: tuple[str, bool, str], delay: Any
) -> None:
    @function
    async def f(ctx: Any) -> None:
        async def body() -> None:
            raise error

        await ctx.step.run("a", body)

    segment = await run(f)
    assert fault(segment.outcome) == expected
    assert isinstance(segment.outcome, Failed)
    assert segment.outcome.fault.retry_after_ms == delay


async def test_output_that_is_not_json_is_recorded_as_a_failure() -> None:
    @function
    async def f(ctx: Any) -> None:
        with pytest.raises(PayloadError):
            await ctx.step.run("a", lambda: {"x": {1}})
        await ctx.step.run("b", lambda: float("nan"))

    segment = await run(f)
    code, retryable, message = fault(segment.outcome)
    assert (code, retryable) == ("SERIALIZATION_ERROR", False)
    assert message.startswith("step 'b' returned something that is not JSON: $ is nan")
    assert [(one.status, one.error.retryable) for one in segment.collect()] == [("failed", False)] * 2


async def test_wrong_arguments_for_the_body_are_its_failure() -> None:
    @function
    async def f(ctx: Any) -> None:
        await ctx.step.run("a", double)

    code, _, message = fault((await run(f)).outcome)
    assert code == "STEP_FAILED"
    assert "missing 1 required positional argument" in message


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ValueError("boom"), ("ERROR", True, "ValueError: boom")),
        (NonRetryableError("no", code="DECLINED"), ("DECLINED", False, "no")),
        (RetryAfterError("later", delay=1), ("RETRY_AFTER", True, "later")),
        (SystemExit(1), ("ERROR", True, "SystemExit: 1")),
        (KeyboardInterrupt(), ("ERROR", True, "KeyboardInterrupt")),
        (asyncio.CancelledError(), ("ERROR", True, "CancelledError")),
        (GeneratorExit(), ("ERROR", True, "GeneratorExit")),
    ],
)
async def test_whatever_a_handler_raises_is_an_outcome(failure: BaseException, expected: tuple[str, bool, str]) -> None:
    @function
    async def f(ctx: Any) -> None:
        raise failure

    assert fault((await run(f)).outcome) == expected


async def test_a_result_that_is_not_json_fails_for_good() -> None:
    @function("report")
    async def f(ctx: Any) -> Any:
        return {"when": object()}

    code, retryable, message = fault((await run(f)).outcome)
    assert (code, retryable) == ("SERIALIZATION_ERROR", False)
    assert message.startswith("function 'report' returned something that is not JSON: $.when is a object")


# ---- timeouts


async def test_a_slow_async_body_times_out_and_is_cancelled() -> None:
    ended: list[str] = []

    @function
    async def f(ctx: Any) -> None:
        async def slow() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        await ctx.step.run("slow", slow, timeout="1ms")

    segment = await run(f)
    assert fault(segment.outcome) == ("STEP_TIMEOUT", True, "step 'slow' took longer than its timeout of 0.001 s")
    assert ended == ["cancelled"]
    assert segment.collect()[0].status == "failed"


async def test_a_slow_plain_body_times_out_and_its_result_is_dropped() -> None:
    release = threading.Event()

    @function
    async def f(ctx: Any) -> str:
        with pytest.raises(StepTimeoutError, match="its thread cannot be stopped"):
            await ctx.step.run("slow", release.wait, timeout=0.001)
        return "went on"

    segment = await run(f)
    release.set()
    assert output(segment.outcome) == "went on"


async def test_a_timeout_of_the_bodys_own_is_not_the_steps() -> None:
    @function
    async def f(ctx: Any) -> None:
        async def body() -> None:
            raise TimeoutError("database")

        await ctx.step.run("a", body, timeout="1h")

    assert fault((await run(f)).outcome) == ("STEP_FAILED", True, "TimeoutError: database")


# ---- misuse


async def test_a_step_inside_a_step_is_refused_for_good() -> None:
    @function
    async def f(ctx: Any) -> None:
        async def outer() -> None:
            await ctx.step.run("inner", double, 1)

        await ctx.step.run("outer", outer)

    code, retryable, message = fault((await run(f)).outcome)
    assert (code, retryable) == ("STEP_FAILED", False)
    assert "step 'inner' was called inside the body of step 'outer'" in message


async def test_a_sleep_inside_a_plain_body_is_refused() -> None:
    @function
    async def f(ctx: Any) -> None:
        await ctx.step.run("outer", lambda: ctx.step.sleep("nap", 5))

    code, retryable, message = fault((await run(f)).outcome)
    assert (code, retryable) == ("STEP_FAILED", False)
    assert "step 'nap'" in message


async def test_steps_called_from_another_thread_are_refused() -> None:
    @function
    async def f(ctx: Any) -> None:
        await asyncio.to_thread(ctx.step.run, "a", double, 1)

    code, retryable, message = fault((await run(f)).outcome)
    assert (code, retryable) == ("WRONG_THREAD", False)
    assert "make the handler a plain `def`" in message


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda step: step.run("", double, 1), "is not a step name"),
        (lambda step: step.run("a", 5), "got int instead of a function"),
        (lambda step: step.run("a", double, 1, timeout=0), "must be longer than zero"),
        (lambda step: step.sleep("a", -1), "is not a duration"),
    ],
)
async def test_a_badly_written_step_fails_without_retry(call: Any, why: str) -> None:
    @function
    async def f(ctx: Any) -> None:
        await call(ctx.step)

    code, retryable, message = fault((await run(f)).outcome)
    assert (code, retryable) == ("NON_RETRYABLE", False)
    assert why in message


async def test_a_coroutine_instead_of_a_function_names_the_remedy() -> None:
    @function
    async def f(ctx: Any) -> None:
        made = double(1)
        try:
            await ctx.step.run("a", made)
        finally:
            made.close()

    assert "pass the function and its arguments apart" in fault((await run(f)).outcome)[2]


# ---- cancellation and durability


async def test_a_cancelled_body_is_not_recorded() -> None:
    started = asyncio.Event()

    @function
    async def f(ctx: Any) -> None:
        async def body() -> None:
            started.set()
            await asyncio.Event().wait()

        await ctx.step.run("a", body)

    segment = segment_of(f)
    work = asyncio.ensure_future(execution.run_async(segment, tools()))
    await started.wait()
    segment.abandoned = segment.journal.closed = True
    work.cancel()
    await settle()
    assert segment.collect() == []
    assert work.done()


async def test_an_abandoned_handler_can_start_no_step() -> None:
    ran: list[str] = []
    gate = asyncio.Event()

    @function
    async def f(ctx: Any) -> None:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await ctx.step.run("a", ran.append, "a")

    segment = segment_of(f)
    work = asyncio.ensure_future(execution.run_async(segment, tools()))
    await settle()
    segment.abandoned = segment.journal.closed = True
    work.cancel()
    await settle()
    assert (ran, segment.collect(), work.done()) == ([], [], True)


async def test_with_durability_step_the_next_step_waits_for_the_save() -> None:
    ran: list[str] = []

    @function(durability="step")
    async def f(ctx: Any) -> None:
        async def body(name: str) -> None:
            ran.append(name)

        for name in ("a", "b"):
            await ctx.step.run(name, body, name)

    segment = segment_of(f)
    work = asyncio.ensure_future(execution.run_async(segment, tools()))
    await settle()
    assert ran == ["a"]
    segment.saved(1)
    await settle()
    assert ran == ["a", "b"]
    assert segment.outcome is None
    segment.saved(2)
    await work
    assert isinstance(segment.outcome, Completed)
