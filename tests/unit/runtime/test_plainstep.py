"""Steps of plain `def` handlers: in the handler's thread, from its threads, and misuse."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec import Raw, json

from ironflow_lab.errors import NonRetryableError, StepError, StepTimeoutError
from ironflow_lab.models.workers import CompletedStep
from ironflow_lab.runtime import execution, signals
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.outcome import Completed, Failed, Yielded
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import done, segment_of
from tests.unit.runtime.fakes import tools


def run(defined: DurableFunction, *completed: CompletedStep) -> Segment:
    """Execute a handler once, in this thread."""
    segment = segment_of(defined, *completed)
    execution.run_plain(segment, tools())
    return segment


def output(segment: Segment) -> Any:
    assert isinstance(segment.outcome, Completed), segment.outcome
    return json.decode(segment.outcome.output)


def fault(segment: Segment) -> tuple[str, bool, str]:
    assert isinstance(segment.outcome, Failed), segment.outcome
    return segment.outcome.fault.code, segment.outcome.fault.retryable, segment.outcome.fault.message


def waits_for(segment: Segment) -> str:
    assert isinstance(segment.outcome, Yielded), segment.outcome
    return segment.outcome.wanted.step_id


def double(x: int) -> int:
    return 2 * x


def test_bodies_run_in_the_handlers_own_thread() -> None:
    @function
    def f(ctx: Any) -> Any:
        here = threading.current_thread()
        return [ctx.step.run("a", lambda: threading.current_thread() is here), ctx.step.run("b", double, 4)]

    segment = run(f)
    assert output(segment) == [True, 8]
    assert [(one.id, one.output) for one in segment.collect()] == [
        ("run_01:a:0", Raw(b"true")),
        ("run_01:b:0", Raw(b"8")),
    ]


def test_recorded_steps_and_sleeps_are_read_back() -> None:
    @function
    def f(ctx: Any) -> Any:
        value = ctx.step.run("a", double, 1)
        ctx.step.sleep("nap", "5s")
        ctx.step.sleep_until("day", "2030-01-01T00:00:00Z")
        return value

    assert waits_for(run(f)) == "run_01:nap:0"
    assert waits_for(run(f, done("a", 2), done("nap"))) == "run_01:day:0"
    segment = run(f, done("a", 2), done("nap"), done("day"))
    assert output(segment) == 2
    assert segment.collect() == []


def test_a_failing_body_raises_step_error() -> None:
    @function
    def f(ctx: Any) -> str:
        def body() -> None:
            raise NonRetryableError("declined")

        with pytest.raises(StepError, match="declined") as caught:
            ctx.step.run("a", body)
        assert isinstance(caught.value.__cause__, NonRetryableError)
        ctx.step.run("b", body)
        return "unreachable"

    segment = run(f)
    assert fault(segment) == ("STEP_FAILED", False, "declined")
    assert [(one.id, one.status) for one in segment.collect()] == [
        ("run_01:a:0", "failed"),
        ("run_01:b:0", "failed"),
    ]


def test_output_that_is_not_json_fails_for_good() -> None:
    @function
    def f(ctx: Any) -> None:
        ctx.step.run("a", set)

    assert fault(run(f))[:2] == ("SERIALIZATION_ERROR", False)


def test_sys_exit_in_a_body_fails_the_step_only() -> None:
    @function
    def f(ctx: Any) -> None:
        ctx.step.run("a", exit, 3)

    assert fault(run(f)) == ("STEP_FAILED", True, "SystemExit: 3")


def test_a_slow_body_times_out() -> None:
    release = threading.Event()

    @function
    def f(ctx: Any) -> str:
        with pytest.raises(StepTimeoutError, match="its thread cannot be stopped"):
            ctx.step.run("slow", release.wait, timeout=0.001)
        return "went on"

    assert output(run(f)) == "went on"
    release.set()


def test_a_body_with_a_timeout_keeps_the_context_and_its_error() -> None:
    @function
    def f(ctx: Any) -> Any:
        def nested() -> None:
            ctx.step.run("inner", double, 1)

        assert ctx.step.run("quick", double, 1, timeout="1h") == 2
        ctx.step.run("outer", nested, timeout="1h")

    code, retryable, message = fault(run(f))
    assert (code, retryable) == ("STEP_FAILED", False)
    assert "step 'inner' was called inside the body of step 'outer'" in message


def test_an_async_body_names_the_remedy() -> None:
    async def body() -> None: ...

    def later() -> Any:
        return body()

    @function
    def direct(ctx: Any) -> None:
        ctx.step.run("a", body)

    @function
    def hidden(ctx: Any) -> None:
        ctx.step.run("a", later)

    assert fault(run(direct))[0] == "ASYNC_STEP"
    code, retryable, message = fault(run(hidden))
    assert (code, retryable) == ("STEP_FAILED", False)
    assert "make the handler `async def`" in message


def test_a_handler_that_returns_a_coroutine_names_the_remedy() -> None:
    async def later() -> None: ...

    @function
    def f(ctx: Any) -> Any:
        return later()

    code, retryable, message = fault(run(f))
    assert (code, retryable) == ("NON_RETRYABLE", False)
    assert "make its handler `async def`" in message


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda step: step.run("", double, 1), "is not a step name"),
        (lambda step: step.run("a", 5), "got int instead of a function"),
        (lambda step: step.run("a", double, 1, timeout=-1), "is not a duration"),
        (lambda step: step.sleep("a", 0), "must be longer than zero"),
        (lambda step: step.sleep_until("a", "soon"), "is not an RFC 3339 time"),
    ],
)
def test_a_badly_written_step_fails_without_retry(call: Any, why: str) -> None:
    @function
    def f(ctx: Any) -> None:
        call(ctx.step)

    code, retryable, message = fault(run(f))
    assert (code, retryable) == ("NON_RETRYABLE", False)
    assert why in message


def test_threads_of_the_handler_get_distinct_steps_and_settle_before_a_yield() -> None:
    started, release = threading.Barrier(5), threading.Event()

    @function
    def f(ctx: Any) -> None:
        def body(n: int) -> int:
            started.wait()
            release.wait()
            return n

        with ThreadPoolExecutor(4) as pool:
            for n in range(4):
                pool.submit(ctx.step.run, "work", body, n)
            started.wait()
            # The bodies are in flight: this waits for them, and they are let go meanwhile.
            threading.Timer(0.001, release.set).start()
            ctx.step.sleep("nap", 5)

    segment = run(f)
    assert waits_for(segment) == "run_01:nap:0"
    results = segment.collect()
    assert {one.id for one in results} == {f"run_01:work:{n}" for n in range(4)}
    assert sorted(bytes(one.output) for one in results) == [b"0", b"1", b"2", b"3"]


def test_a_handler_that_swallows_everything_still_yields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PENALTY", 0.0)
    ran: list[str] = []

    @function
    def f(ctx: Any) -> str:
        for name in ("a", "b", "c"):
            try:
                ctx.step.sleep(name, 5)
            except BaseException:  # noqa: BLE001 - the sin under test
                ctx.step.run(name, ran.append, name)
        return "finished"

    segment = run(f)
    assert waits_for(segment) == "run_01:a:0"
    assert (ran, segment.collect()) == ([], [])


def test_an_abandoned_handler_ends_at_its_next_step() -> None:
    ran: list[str] = []

    @function
    def f(ctx: Any) -> None:
        ctx.step.run("a", ran.append, "a")
        segment.abandoned = segment.journal.closed = True
        ctx.step.run("b", ran.append, "b")

    segment = segment_of(f)
    execution.run_plain(segment, tools())
    assert ran == ["a"]


def test_with_durability_step_the_next_step_waits_for_the_save() -> None:
    ran: list[str] = []
    recorded = threading.Semaphore(0)

    @function(durability="step")
    def f(ctx: Any) -> str:
        for name in ("a", "b"):
            ctx.step.run(name, ran.append, name)
        return "end"

    segment = segment_of(f)
    segment._announce = lambda _: recorded.release()
    thread = threading.Thread(target=execution.run_plain, args=(segment, tools()))
    thread.start()
    for count in (1, 2):
        recorded.acquire()
        segment.collect()
        assert ran == ["a", "b"][:count]
        assert segment.outcome is None
        segment.saved(count)
    thread.join()
    assert output(segment) == "end"
