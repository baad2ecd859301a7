"""One execution of a handler, from its context to its outcome; touches no network."""

from __future__ import annotations

import inspect
from typing import Any

from ironflow_lab.clock import Clock
from ironflow_lab.errors import NonRetryableError, PayloadError
from ironflow_lab.runtime import faults, payloads
from ironflow_lab.runtime.context import Context
from ironflow_lab.runtime.outcome import Completed, Failed, Outcome, Yielded
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.pool import DaemonPool
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.step import Step


async def run_async(segment: Segment, *, pool: DaemonPool, clock: Clock) -> None:
    """Execute an `async def` handler in this event loop and conclude the segment.

    Returns however the handler ends, cancellation included: the journal knows whether the run
    waits, so a handler that swallows the signals changes nothing.
    """
    step = Step(segment, pool=pool, clock=clock)
    value: Any = None
    failure: BaseException | None = None
    try:
        value = await segment.function.handler(Context(segment.assignment, step, keep=segment.keep))
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything; it becomes the outcome
        failure = error
    if segment.journal.running:
        await step.settled()
    segment.conclude(conclude(segment, value, failure))


def run_plain(segment: Segment, *, pool: DaemonPool, clock: Clock) -> None:
    """Execute a plain `def` handler in this thread and conclude the segment, as `run_async` does."""
    step = PlainStep(segment, pool=pool, clock=clock)
    value: Any = None
    failure: BaseException | None = None
    try:
        value = segment.function.handler(Context(segment.assignment, step, keep=segment.keep))
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything; it becomes the outcome
        failure = error
    step.settled()
    segment.conclude(conclude(segment, value, failure))


def conclude(segment: Segment, value: Any, failure: BaseException | None) -> Outcome:
    """Return how the segment ended; a yield in the journal beats whatever the handler did after it."""
    if segment.journal.yielded is not None:
        return Yielded(wanted=segment.journal.yielded)
    if failure is not None:
        return Failed(fault=faults.job_fault(failure))
    what = f"function {segment.function.id!r}"
    try:
        if inspect.iscoroutine(value) and not segment.function.is_async:
            value.close()
            raise NonRetryableError(f"{what} returned a coroutine; make its handler `async def`")
        text, _ = payloads.settle(value, what)
    except (PayloadError, NonRetryableError) as error:
        return Failed(fault=faults.job_fault(error))
    return Completed(output=text)
