"""Whatever a handler is made of, a run of it replays as it went, and executes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.debug.answers import Recorded
from ironflow_lab.debug.replay import execute
from ironflow_lab.errors import NonRetryableError, StepError
from ironflow_lab.runtime.function import DurableFunction, function
from tests.unit.debug.lives import recorded

NAMES = st.sampled_from(["a", "b", "a:b", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
LEAF = st.one_of(
    st.tuples(st.just("run"), NAMES, VALUES),
    st.tuples(st.just("flaky"), NAMES, VALUES),
    st.tuples(st.just("caught"), NAMES, st.text(max_size=5)),
    st.tuples(st.just("compensate"), NAMES, VALUES),
)
# What suspends a run stands in the handler itself here.
OPERATION = st.one_of(
    LEAF,
    st.tuples(st.just("sleep"), NAMES, st.integers(1, 10**6)),
    st.tuples(st.just("map"), st.just("m"), st.lists(LEAF, max_size=3)),
    st.tuples(st.just("publish"), st.just("topic"), VALUES),
)
PROGRAMS = st.tuples(st.lists(OPERATION, max_size=5), st.sampled_from(["return", "raise", "refuse"]))


class Program:
    """A handler that is data; `bodies` counts what was executed."""

    def __init__(self, program: Any) -> None:
        self.operations, self.end = program
        self.bodies = 0

    def body(self, value: Any, attempt: int, kind: str) -> Callable[[], Any]:
        def work() -> Any:
            self.bodies += 1
            if kind == "caught" or (kind == "flaky" and attempt == 1):
                raise ValueError(str(value))
            return value

        return work

    def finish(self, told: list[Any]) -> Any:
        if self.end == "raise":
            raise ValueError(f"after {len(told)}")
        if self.end == "refuse":
            raise NonRetryableError(f"after {len(told)}", code="NO")
        return told


def plain(program: Program) -> DurableFunction:
    @function("made", retry={"max_attempts": 2, "on_exhausted": "fail"})
    def made(ctx: Any) -> Any:
        def do(step: Any, operation: Any, at: int) -> Any:
            kind, name, value = operation
            if kind == "map":
                return step.map(f"m{at}", value, lambda inner, branch: do(branch, inner, 0))
            if kind == "sleep":
                return step.sleep(name, value)
            if kind == "publish":
                return bool(step.publish(name, value).event_id)
            body = program.body(value, ctx.run.attempt, kind)
            if kind == "compensate":
                return step.compensate(name, body)
            try:
                return step.run(f"{name}{at}", body)
            except StepError as error:
                if kind == "flaky":
                    raise
                return str(error)

        return program.finish([do(ctx.step, one, at) for at, one in enumerate(program.operations)])

    return made


def awaited(program: Program) -> DurableFunction:
    @function("made", retry={"max_attempts": 2, "on_exhausted": "fail"})
    async def made(ctx: Any) -> Any:
        async def do(step: Any, operation: Any, at: int) -> Any:
            kind, name, value = operation
            if kind == "map":
                return await step.map(f"m{at}", value, lambda inner, branch: do(branch, inner, 0))
            if kind == "sleep":
                return await step.sleep(name, value)
            if kind == "publish":
                return bool((await step.publish(name, value)).event_id)
            body = program.body(value, ctx.run.attempt, kind)
            if kind == "compensate":
                return step.compensate(name, body)
            try:
                return await step.run(f"{name}{at}", body)
            except StepError as error:
                if kind == "flaky":
                    raise
                return str(error)

        return program.finish([await do(ctx.step, one, at) for at, one in enumerate(program.operations)])

    return made


@given(PROGRAMS, st.sampled_from([plain, awaited]))
def test_a_run_replays_as_it_went_and_executes_nothing(given: Any, kind: Callable[[Program], DurableFunction]) -> None:
    program = Program(given)
    fn = kind(program)
    recording = recorded(fn, {})
    executed = program.bodies
    found = execute(recording, fn, Recorded(recording))
    assert program.bodies == executed
    assert (found.status, found.same, found.divergence, found.reason) == (recording.run.status, True, None, "")
    again = found.as_recording()
    known = {one.step_id: one for one in recording.steps if one.status != "pending"}
    assert {one.step_id: (one.output, one.status) for one in again.steps} == {
        key: (one.output, one.status) for key, one in known.items()
    }
