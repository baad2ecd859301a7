"""Running a function in a test: no server, no socket, and a clock that need not be waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ironflow_lab.client import arguments
from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.instant import Instant
from ironflow_lab.runtime import function as definition
from ironflow_lab.runtime.function import DurableFunction, Handler
from ironflow_lab.testing.fakes import FakeClock
from ironflow_lab.testing.result import Result
from ironflow_lab.testing.watch import Watch
from ironflow_lab.testing.world import Emit, Setup, Until, World, check_emit

Given = DurableFunction | Handler


def run_function(
    fn: Given,
    data: Any = None,
    *,
    event: str = "",
    functions: Iterable[Given] = (),
    emit: Emit = (),
    secrets: Mapping[str, str] | None = None,
    now: datetime | str | Instant | None = None,
    max_attempts: int | None = None,
    until: Until | None = None,
) -> Result:
    """Return how a run of `fn` for an event with this data ended, in an engine of its own in memory.

    Memoisation, retries, waits, invokes, publishes and compensations are those of the embedded server and of
    the worker. Time is virtual: a sleep, the delay before a retry and the timeout of a wait pass at once. It
    stands still while code is executed, so `timeout` of a function never strikes; that of a step and
    `asyncio.sleep` take real time. Works inside a running event loop.

    fn: what `function`, `lab.function` or `handler` made, or a plain handler.
    event: the name of the event; by default what starts the function, or an invocation where nothing does.
    functions: others it may invoke, or that its events start.
    emit: events to send, [("order.approved", {"by": "ann"})], each when a run waits for one of that name; or
        a function that is given a `Waiting` and returns the data to send, None to send nothing.
    secrets: values by name; a plain handler gets them all, a function those it declares.
    now: when the run begins: an aware datetime or RFC 3339 text.
    max_attempts: how often it is tried, instead of what the function says.
    until: "waiting" stops when nobody sends what the run waits for; otherwise its timeout passes at once.

    Raises `DefinitionError` for wrong arguments, and `ApiError` for a function the server would refuse.

    >>> async def approve(ctx):
    ...     order = await ctx.step.run("load", lambda: {"id": ctx.event.data["id"], "total": 99})
    ...     await ctx.step.sleep("cool-off", "7d")
    ...     answer = await ctx.step.wait_for_event("answer", "order.approved", timeout="1d")
    ...     return {"order": order["id"], "by": answer.data["by"]}
    >>> done = run_function(approve, {"id": 7}, emit=[("order.approved", {"by": "ann"})])
    >>> done.result
    {'order': 7, 'by': 'ann'}
    >>> done.slept, done.step("load").ran, done.executions
    (604800.0, 1, 3)
    >>> run_function(approve, {"id": 7}).status
    'failed'
    """
    setup = make_setup(
        fn,
        data,
        event=event,
        functions=functions,
        emit=emit,
        secrets=secrets,
        now=now,
        max_attempts=max_attempts,
        until=until,
    )
    return apart(World(setup, Watch()))


async def arun_function(fn: Given, data: Any = None, **given: Any) -> Result:
    """Return what `run_function` returns, while the event loop goes on."""
    return await asyncio.to_thread(run_function, fn, data, **given)


def make_setup(
    fn: Given,
    data: Any,
    *,
    event: str = "",
    functions: Iterable[Given] = (),
    emit: Emit = (),
    secrets: Mapping[str, str] | None = None,
    now: datetime | str | Instant | None = None,
    max_attempts: int | None = None,
    until: Until | None = None,
) -> Setup:
    """Return checked arguments; raises `DefinitionError`."""
    if until not in (None, "waiting"):
        raise DefinitionError(f"until={until!r:.40} must be 'waiting' or None")
    if max_attempts is not None and (type(max_attempts) is not int or max_attempts < 1):
        raise DefinitionError(f"max_attempts={max_attempts!r:.40} must be a whole number from 1 on")
    clock = FakeClock()
    function, others = durable(fn, secrets=secrets), tuple(durable(one) for one in functions)
    ids = [one.id for one in (function, *(one for one in others if one is not function))]
    doubled = [one for one in ids if ids.count(one) > 1]
    if doubled:
        raise DefinitionError(f"two functions have the id {doubled[0]!r:.80}; give each its own: function('some-id')")
    return Setup(
        function=function,
        data=data,
        event=event,
        functions=others,
        emit=check_emit(emit),
        secrets=_declared(fn, secrets),
        now=clock.now() if now is None else arguments.moment("now", now, clock.now()),
        max_attempts=max_attempts,
        until=until,
    )


def durable(fn: Given, *, secrets: Mapping[str, str] | None = None) -> DurableFunction:
    """Return a function as it is, or a handler made durable, which declares these secrets."""
    if isinstance(fn, DurableFunction):
        return fn
    name = getattr(fn, "__name__", "")
    return definition.function(
        None if name and name != "<lambda>" else "function", secrets=tuple(secrets or ()) or None
    )(fn)


def _declared(fn: Given, secrets: Mapping[str, str] | None) -> dict[str, str]:
    given: dict[Any, Any] = dict(secrets or {})
    for name, value in given.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise DefinitionError("secrets takes a dict of names and values, both of them text")
        if isinstance(fn, DurableFunction) and name not in fn.secrets:
            raise DefinitionError(
                f"{fn.id!r} does not declare the secret {name!r:.60}; write @function(..., secrets=[{name!r:.60}])"
            )
    return given


def apart(world: World) -> Result:
    """Return the result of a world that lives in a thread of its own.

    There no event loop is running, and the stop button reaches who waits and not the handler.
    """
    found: list[Result] = []
    failure: list[BaseException] = []

    def live() -> None:
        try:
            found.append(world.run())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            failure.append(error)

    thread = threading.Thread(target=live, name="ironflow-test", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        world.interrupt()
        raise
    if failure:
        raise failure[0]
    return found[0]
