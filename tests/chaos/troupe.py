"""The worker of the 300 runs: `python -m tests.chaos.troupe URL`, in the session's folder, until it is killed.

The bodies tell the witness file what they do. `held`, `saga` and `herald` are plain `def` handlers.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import InvokeError, NonRetryableError, UnavailableError
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.service import Worker
from ironflow_lab.runtime.threads import io_thread
from tests.chaos import repertoire

# While this file is there no body begins; a body waits at its gate for a file of that name.
HALT = "halt"
WITNESS = "witness"
READY = "worker-ready"
SLOTS = 48
NAP = 0.03
FAR = "1h"
TRIES = {"max_attempts": 3, "initial_delay": "20ms", "backoff_factor": 1.0, "on_exhausted": "fail"}
PATIENT = {"max_attempts": 2, "initial_delay": "20ms", "on_exhausted": "pause"}
Body = Callable[[], Awaitable[Any]]


def gate(number: int) -> str:
    """Return the name of the file that a body of this run waits for."""
    return f"gate-{number}"


def there(name: str) -> bool:
    """Return whether there is such a file."""
    return Path(name).exists()


async def until(done: Callable[[], bool]) -> None:
    """Wait for what another process does to files."""
    while not done():  # noqa: ASYNC110 -- no event comes from there
        await asyncio.sleep(0.003)


class Player:
    """One execution of one handler: makes its bodies."""

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx
        self.number = int(ctx.event.data["number"])
        self.turn = repertoire.turn(self.number)

    def body(self, step: str, result: Any = None, *, fails: BaseException | None = None, waits: bool = False) -> Body:
        """Return a body that tells of itself, may wait at the run's gate, and ends as it is told to."""

        async def act() -> Any:
            await until(lambda: not there(HALT))
            self._tell("begin", step)
            try:
                await asyncio.sleep(0.003)
                await until(lambda: not waits or there(gate(self.number)))
                if fails is not None:
                    raise fails
            except BaseException:
                self._tell("end", step, good=False)
                raise
            self._tell("end", step, good=True)
            return result

        return act

    def plain(self, step: str, result: Any = None, *, fails: BaseException | None = None) -> Callable[[], Any]:
        """Return such a body as a plain function."""

        def act() -> Any:
            while there(HALT):
                time.sleep(0.002)
            self._tell("begin", step)
            time.sleep(0.003)
            self._tell("end", step, good=fails is None)
            if fails is not None:
                raise fails
            return result

        return act

    def flaky(self) -> BaseException | None:
        """Return the error of the step that may fail, in this attempt."""
        attempt = self.ctx.run.attempt
        return ConnectionError(f"attempt {attempt}") if attempt <= repertoire.flaky(self.number) else None

    def _tell(self, phase: str, step: str, **more: Any) -> None:
        line = {"phase": phase, "run": self.ctx.run.id, "step": f"{self.ctx.run.id}:{step}", **more}
        line |= {"attempt": self.ctx.run.attempt, "process": os.getpid()}
        sink = os.open(WITNESS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(sink, (json.dumps(line) + "\n").encode())
        finally:
            os.close(sink)


# ---- the kinds, in the order of the repertoire


async def loop(ctx: Any) -> Any:
    """Steps in a loop, a sleep amid them, one of them flaky."""
    me = Player(ctx)
    for place in range(4):
        if place == 2:
            await ctx.step.sleep("rest", NAP)
        await ctx.step.run("turn", me.body(f"turn:{place}", place, fails=me.flaky() if place == 3 else None))
    return me.number


async def wait(ctx: Any) -> Any:
    """Wait for an event that has this run's number."""
    me = Player(ctx)
    await ctx.step.run("ask", me.body("ask:0"))
    answer = await ctx.step.wait_for_event("answer", repertoire.awaited("wait"), match="data.number", timeout=FAR)
    await ctx.step.run("act", me.body("act:0", answer.id, fails=me.flaky()))
    return answer.id


async def late(ctx: Any) -> Any:
    """Wait for an event that nobody emits."""
    me = Player(ctx)
    await ctx.step.run("ask", me.body("ask:0"))
    ctx.step.compensate("ask", me.body("compensate:ask:0"))
    await ctx.step.wait_for_event("never", "chaos.never", timeout="60ms")


async def parent(ctx: Any) -> Any:
    """Call a child that may fail, and go on."""
    me = Player(ctx)
    await ctx.step.run("before", me.body("before:0"))
    try:
        told = await ctx.step.invoke(repertoire.CHILD, {"number": repertoire.CHILDREN + me.number}, timeout=FAR)
    except InvokeError:
        told = "failed"
    await ctx.step.run("after", me.body("after:0", told, fails=me.flaky()))
    return told


async def starter(ctx: Any) -> Any:
    """Start two children and wait for neither."""
    me = Player(ctx)
    await ctx.step.run("before", me.body("before:0"))
    for many in (1, 2):
        await ctx.step.invoke_async(repertoire.CHILD, {"number": many * repertoire.CHILDREN + me.number})
    await ctx.step.run("after", me.body("after:0", fails=me.flaky()))


async def fan(ctx: Any) -> Any:
    """Branches that sleep, all at once."""
    me = Player(ctx)

    def branch(index: int) -> Callable[[Any], Awaitable[Any]]:
        async def follow(inner: Any) -> Any:
            await inner.run("a", me.body(f"fan:{index}:a:0", index))
            await inner.sleep("nap", NAP)
            return await inner.run("b", me.body(f"fan:{index}:b:0", index))

        return follow

    found = await ctx.step.parallel("fan", [branch(index) for index in range(repertoire.BRANCHES)])
    return await ctx.step.run("join", me.body("join:0", found, fails=me.flaky()))


async def spread(ctx: Any) -> Any:
    """Items of a map that sleep, two at a time."""
    me = Player(ctx)

    async def each(item: int, inner: Any) -> Any:
        value = await inner.run("work", me.body(f"each:{item}:work:0", item))
        await inner.sleep("nap", NAP)
        return value

    found = await ctx.step.map("each", range(repertoire.ITEMS), each, concurrency=2, on_error="collect")
    return await ctx.step.run("join", me.body("join:0", found, fails=me.flaky()))


def herald(ctx: Any) -> Any:
    """Publish before and after a sleep."""
    me = Player(ctx)
    ctx.step.run("write", me.plain("write:0"))
    first = ctx.step.publish(repertoire.TOPIC, {"number": me.number})
    ctx.step.sleep("rest", NAP)
    second = ctx.step.publish(repertoire.TOPIC, {"number": me.number, "again": True})
    ctx.step.run("after", me.plain("after:0", fails=me.flaky()))
    return [first.sequence, second.sequence]


def saga(ctx: Any) -> Any:
    """Undo three things: the handler fails for good, or a step of it does."""
    me = Player(ctx)
    ctx.step.run("reserve", me.plain("reserve:0"))
    ctx.step.compensate("reserve", me.plain("compensate:reserve:0"))
    ctx.step.run("charge", me.plain("charge:0"))
    # The newest runs first, so it is the one that gets the first id.
    ctx.step.compensate("charge", me.plain("compensate:charge:1"))
    ctx.step.compensate("charge", me.plain("compensate:charge:0"))
    ctx.step.sleep("rest", NAP)
    lost = NonRetryableError("the parcel is lost", code="LOST")
    if me.turn % 2:
        ctx.step.run("ship", me.plain("ship:0", fails=lost))
    raise lost


async def exhausted(ctx: Any) -> Any:
    """Fail until somebody has opened the gate: the budget ends before."""
    me = Player(ctx)
    await ctx.step.run("reserve", me.body("reserve:0"))
    ctx.step.compensate("reserve", me.body("compensate:reserve:0"))
    shut = None if there(gate(me.number)) else ConnectionError("the gate is shut")
    await ctx.step.run("charge", me.body("charge:0", fails=shut))
    await ctx.step.run("after", me.body("after:0"))


def held(ctx: Any) -> Any:
    """Be paused while waiting for an event, and use what an operator has put in."""
    me = Player(ctx)
    quote = ctx.step.run("quote", me.plain("quote:0", {"price": -1}))
    ctx.step.wait_for_event("answer", repertoire.awaited("held"), match="data.number", timeout=FAR)
    return ctx.step.run("use", me.plain("use:0", quote))


async def stopped(ctx: Any) -> Any:
    """Be asked to pause while a body runs, and be held before anything else does."""
    me = Player(ctx)
    quote = await ctx.step.run("quote", me.body("quote:0", {"price": -1}))
    await ctx.step.run("slow", me.body("slow:0", waits=True))
    await ctx.step.sleep("rest", NAP)
    return await ctx.step.run("use", me.body("use:0", quote))


async def patched(ctx: Any) -> Any:
    """Refuse a bad quote for good."""
    me = Player(ctx)
    quote = await ctx.step.run("quote", me.body("quote:0", {"price": -1}))
    bad = NonRetryableError("a price below zero", code="BAD_QUOTE") if quote["price"] < 0 else None
    fit = await ctx.step.run("check", me.body("check:0", repertoire.CHECK, fails=bad))
    return await ctx.step.run("after", me.body("after:0", fit))


async def cancelled(ctx: Any) -> Any:
    """Wait for what never comes, or work on and on."""
    me = Player(ctx)
    await ctx.step.run("first", me.body("first:0"))
    ctx.step.compensate("first", me.body("compensate:first:0"))
    if me.turn % 2:
        await ctx.step.run("slow", me.body("slow:0", waits=True))
    else:
        await ctx.step.wait_for_event("never", "chaos.never", timeout=FAR)


async def child(ctx: Any) -> Any:
    """Work, sleep, and end well or badly."""
    me = Player(ctx)
    await ctx.step.run("work", me.body("work:0"))
    await ctx.step.sleep("nap", NAP)
    if repertoire.child_fails(me.number):
        await ctx.step.run("break", me.body("break:0", fails=NonRetryableError("it broke", code="BROKEN")))
    return await ctx.step.run("finish", me.body("finish:0", me.number))


HANDLERS = (
    *(loop, wait, late, parent, starter, fan, spread, herald, saga, exhausted, held, stopped, patched, cancelled),
)


def durable() -> list[DurableFunction]:
    """Return the functions; the child is only invoked."""
    found = [function(repertoire.CHILD, retry=TRIES, recording=True)(child)]
    for handler in HANDLERS:
        name = handler.__name__
        retry = PATIENT if name == "exhausted" else TRIES
        on = repertoire.event(name)
        found.append(function(repertoire.function(name), on=on, retry=retry, recording=True)(handler))
    return found


def register(worker: Worker, one: DurableFunction) -> None:
    """Add a function, however often the server is killed meanwhile."""
    while True:
        try:
            worker.add(one)
        except UnavailableError:
            time.sleep(0.02)
        else:
            return


def serve(url: str) -> None:
    """Be the worker until killed."""

    async def client() -> AsyncClient:
        return AsyncClient(url)

    worker = Worker(io_thread().call(client), data_folder=Path.cwd(), concurrency=SLOTS, owner="chaos")
    for one in durable():
        register(worker, one)
    Path(READY).touch()
    threading.Event().wait()


if __name__ == "__main__":
    serve(sys.argv[1])
