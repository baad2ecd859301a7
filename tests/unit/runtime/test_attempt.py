"""What a step that failed or took too long says of itself, in both kinds of handlers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from msgspec import json

from ironflow_lab.errors import StepError, StepTimeoutError
from ironflow_lab.runtime import execution
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.outcome import Completed
from tests.unit.runtime.assignments import segment_of
from tests.unit.runtime.fakes import tools


async def output(defined: DurableFunction) -> Any:
    """Execute a handler once and return its output."""
    segment = segment_of(defined)
    if defined.is_async:
        await execution.run_async(segment, tools())
    else:
        await asyncio.to_thread(execution.run_plain, segment, tools())
    assert isinstance(segment.outcome, Completed), segment.outcome
    return json.decode(segment.outcome.output)


def told(error: StepError) -> list[Any]:
    """Return what the error says of its step."""
    timeout = error.timeout if isinstance(error, StepTimeoutError) else None
    return [type(error).__name__, error.step_id, error.step_name, timeout]


def fail() -> None:
    raise ValueError("declined")


@function("looped")
async def looped(ctx: Any) -> Any:
    found = []
    for name, body, timeout in (("charge:card", fail, None), ("nap", asyncio.Event().wait, 0.01)):
        try:
            await ctx.step.run(name, body, timeout=timeout)
        except StepError as error:
            found.append(told(error))
    return found


@function("threaded")
def threaded(ctx: Any) -> Any:
    found, never = [], threading.Event()
    for name, body, timeout in (("charge:card", fail, None), ("nap", never.wait, 0.01)):
        try:
            ctx.step.run(name, body, timeout=timeout)
        except StepError as error:
            found.append(told(error))
    never.set()
    return found


@pytest.mark.parametrize("defined", [looped, threaded], ids=["async", "plain"])
async def test_an_error_of_a_step_names_it(defined: DurableFunction) -> None:
    assert await output(defined) == [
        ["StepError", "run_01:charge\\:card:0", "charge:card", None],
        ["StepTimeoutError", "run_01:nap:0", "nap", 0.01],
    ]


@function("looped", step_timeout="10ms")
async def looped_default(ctx: Any) -> Any:
    own = await ctx.step.run("own", asyncio.sleep, 0.02, timeout=60)
    try:
        await ctx.step.run("nap", asyncio.Event().wait)
    except StepTimeoutError as error:
        return [own, *told(error)]


@function("threaded", step_timeout="10ms")
def threaded_default(ctx: Any) -> Any:
    never = threading.Event()
    own = ctx.step.run("own", lambda: never.wait(0.02), timeout=60)
    try:
        ctx.step.run("nap", never.wait)
    except StepTimeoutError as error:
        never.set()
        return [own or None, *told(error)]


@pytest.mark.parametrize("defined", [looped_default, threaded_default], ids=["async", "plain"])
async def test_a_step_without_a_timeout_has_that_of_its_function(defined: DurableFunction) -> None:
    assert await output(defined) == [None, "StepTimeoutError", "run_01:nap:0", "nap", 0.01]


def test_what_is_not_said_is_empty() -> None:
    assert told(StepError("x")) == ["StepError", "", "", None]
    assert told(StepTimeoutError("x")) == ["StepTimeoutError", "", "", 0.0]
    assert StepTimeoutError("x").retryable
