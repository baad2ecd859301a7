"""One execution of a handler, from its context to its outcome; touches no network."""

from __future__ import annotations

import inspect
from typing import Any

from ironflow_lab.errors import NonRetryableError, PayloadError
from ironflow_lab.runtime import compensation, entry, faults, payloads
from ironflow_lab.runtime.looped import LoopedCore
from ironflow_lab.runtime.outcome import Completed, Failed, Outcome, Yielded
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.step import Step
from ironflow_lab.runtime.threaded import ThreadedCore
from ironflow_lab.runtime.tools import Tools


async def run_async(segment: Segment, tools: Tools) -> None:
    """Execute an `async def` handler in this event loop and conclude the segment.

    Returns however the handler ends: the journal knows whether the run waits, so a handler that
    swallows the signals changes nothing. Only when its task is cancelled at the very end does the
    cancellation go through.
    """
    core = LoopedCore(segment, tools)
    value: Any = None
    failure: BaseException | None = None
    try:
        value = await segment.function.call(entry.context(segment, Step(core), tools.clock.now()))
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything; it becomes the outcome
        failure = error
    failure = core.review(value, failure)
    try:
        await core.finish()
        outcome, fault = conclude(segment, value, failure)
        if undoes(segment, outcome):
            await core.unwind()
        segment.conclude(outcome, fault)
    finally:
        core.close()


def run_plain(segment: Segment, tools: Tools) -> None:
    """Execute a plain `def` handler in this thread and conclude the segment, as `run_async` does."""
    core = ThreadedCore(segment, tools)
    value: Any = None
    failure: BaseException | None = None
    try:
        value = segment.function.call(entry.context(segment, PlainStep(core), tools.clock.now()))
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything; it becomes the outcome
        failure = error
    core.finish()
    outcome, fault = conclude(segment, value, failure)
    if undoes(segment, outcome):
        core.unwind()
    segment.conclude(outcome, fault)


def undoes(segment: Segment, outcome: Outcome) -> bool:
    """Return whether compensations run now: the run has failed for good, and is still ours."""
    return not segment.journal.closed and compensation.terminal(outcome, segment.assignment)


def conclude(segment: Segment, value: Any, failure: BaseException | None) -> tuple[Outcome, BaseException | None]:
    """Return how the segment ended and the error it failed with.

    A yield in the journal beats whatever the handler did after it.
    """
    if segment.journal.yielded is not None:
        return Yielded(wanted=segment.journal.yielded), None
    if failure is not None:
        return Failed(fault=faults.job_fault(failure)), failure
    what = f"function {segment.function.id!r}"
    try:
        if inspect.iscoroutine(value) and not segment.function.is_async:
            value.close()
            raise NonRetryableError(f"{what} returned a coroutine; make its handler `async def`")
        text, _ = payloads.settle(value, what)
    except (PayloadError, NonRetryableError) as error:
        return Failed(fault=faults.job_fault(error)), error
    return Completed(output=text), None
