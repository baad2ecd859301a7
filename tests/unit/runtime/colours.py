"""One handler's body in both colours, for what is the same in `async def` and plain handlers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from msgspec import json

from ironflow_lab.models.workers import CompletedStep
from ironflow_lab.runtime import execution
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.outcome import Completed, Failed, Outcome, Yielded
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import segment_of
from tests.unit.runtime.fakes import FakeTopics, tools

COLOURS = ["async", "plain"]


def made(colour: str, body: Callable[[Any], Any]) -> DurableFunction:
    """Return a handler that does `body(ctx)`, awaiting it in an `async def` one."""
    if colour == "plain":

        @function("f")
        def plain(ctx: Any) -> Any:
            return body(ctx)

        return plain

    @function("f")
    async def looped(ctx: Any) -> Any:
        value = body(ctx)
        return await value if inspect.isawaitable(value) else value

    return looped


async def execute(
    defined: DurableFunction, *completed: CompletedStep, topics: FakeTopics | None = None, **changes: Any
) -> Segment:
    """Execute a handler once."""
    segment = segment_of(defined, *completed, **changes)
    if defined.is_async:
        await execution.run_async(segment, tools(topics))
    else:
        execution.run_plain(segment, tools(topics))
    return segment


def output(segment: Segment) -> Any:
    """Return what the handler returned."""
    assert isinstance(segment.outcome, Completed), segment.outcome
    return json.decode(segment.outcome.output)


def fault(outcome: Outcome | None) -> tuple[str, bool, str]:
    """Return the code, whether it is retryable, and the message of a failure."""
    assert isinstance(outcome, Failed), outcome
    return outcome.fault.code, outcome.fault.retryable, outcome.fault.message


def waits_for(segment: Segment) -> str:
    """Return the id of the step whose end the run waits for."""
    assert isinstance(segment.outcome, Yielded), segment.outcome
    return segment.outcome.wanted.step_id


def recorded(segment: Segment) -> list[tuple[str, str]]:
    """Return id and status of the steps that were recorded, in order."""
    return [(one.id, one.status) for one in segment.collect()]
