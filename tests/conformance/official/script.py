"""A worker whose functions do what their event tells them to, with the official SDK and nothing of ours.

The event's data is `{"do": [[word, ...], ...]}`: a list of operations, each the name of a method of `Player`
and its arguments. A run's output is the list of their results.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from ironflow.worker import NonRetryableError, RetryAfterError, function

from tests.conformance.official.worker import Bench, work

Program = list[list[Any]]
BEFORE = "$before"  # as the output of a step: the results of the operations before it
ITEM = "$item"  # as the output of a step in a map: the item


def failing(kind: str, message: str, seconds: float = 0) -> Exception:
    """Return the error of a kind: `retryable`, `fatal` or `later`."""
    found: Exception = RuntimeError(message)
    if kind == "fatal":
        found = NonRetryableError(message, code="FATAL")
    if kind == "later":
        found = RetryAfterError(message, retry_after=seconds)
    return found


def told(error: Any) -> Any:
    """Return a result as JSON: an error as its code and message."""
    if isinstance(error, Exception):
        return {"code": getattr(error, "code", "ERROR"), "message": str(error)}
    return error


class Player:
    """Carries out the operations of one execution of a handler."""

    def __init__(self, bench: Bench, ctx: Any) -> None:
        self.bench, self.ctx = bench, ctx

    async def play(self, step: Any, program: Program, scope: str = "", item: Any = None) -> list[Any]:
        """Return the results of the operations, in order."""
        results: list[Any] = []
        for word, *arguments in program:
            filled = [list(results) if one == BEFORE else item if one == ITEM else one for one in arguments]
            results.append(await getattr(self, f"do_{word}")(step, scope, *filled))
        return results

    def body(self, note: str, output: Any, options: dict[str, Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
        """Return a step body that notes itself, may wait at a gate or fail, and returns `output`.

        It fails in the attempts up to `fails`, and while the gate `unless` is shut.
        """
        ctx, bench = self.ctx, self.bench

        async def run() -> Any:
            bench.note(ctx, note)
            if "gate" in options:
                await bench.gate(options["gate"])
            shut = "unless" in options and not bench.is_open(options["unless"])
            if shut or ctx.run.attempt <= options.get("fails", 0):
                message = f"{note} failed in attempt {ctx.run.attempt}"
                raise failing(options.get("kind", "retryable"), message, options.get("seconds", 0))
            return output

        return run

    async def do_run(self, step: Any, scope: str, name: str, output: Any = None, options: Any = None) -> Any:
        chosen = options or {}
        return await step.run(name, self.body(scope + name, output, chosen), timeout=chosen.get("timeout"))

    async def do_sleep(self, step: Any, scope: str, name: str, seconds: float) -> None:
        await step.sleep(name, seconds)

    async def do_sleep_until(self, step: Any, scope: str, name: str, seconds: float) -> None:
        """Sleep until so many seconds after the event was recorded."""
        await step.sleep_until(name, self.ctx.event.timestamp + timedelta(seconds=seconds))

    async def do_wait(self, step: Any, scope: str, name: str, event: str, options: Any = None) -> Any:
        found = await step.wait_for_event(name, event=event, **(options or {}))
        return {
            "id": found.id,
            "name": found.name,
            "data": found.data,
            "version": found.version,
            "source": found.source,
            "key": found.idempotency_key,
            "metadata": found.metadata,
            "timestamp": found.timestamp.isoformat(),
        }

    async def do_invoke(self, step: Any, scope: str, name: str, given: Any = None, options: Any = None) -> Any:
        return await step.invoke(f"{self.bench.prefix}-{name}", given, **(options or {}))

    async def do_invoke_async(self, step: Any, scope: str, name: str, given: Any = None) -> Any:
        return (await step.invoke_async(f"{self.bench.prefix}-{name}", given)).run_id

    async def do_parallel(self, step: Any, scope: str, name: str, programs: list[Program], options: Any = None) -> Any:
        def branch(index: int, program: Program) -> Callable[[Any], Coroutine[Any, Any, Any]]:
            return lambda inner: self.play(inner, program, f"{scope}{name}[{index}].")

        branches = [branch(index, program) for index, program in enumerate(programs)]
        return [told(one) for one in await step.parallel(name, branches, **(options or {}))]

    async def do_map(
        self, step: Any, scope: str, name: str, items: list[Any], program: Program, options: Any = None
    ) -> Any:
        async def each(item: Any, inner: Any, index: int) -> Any:
            return await self.play(inner, program, f"{scope}{name}[{index}].", item)

        return [told(one) for one in await step.map(name, items, each, **(options or {}))]

    async def do_publish(self, step: Any, scope: str, topic: str, data: Any = None, options: Any = None) -> Any:
        sent = await step.publish(topic, data, **(options or {}))
        return [sent.event_id, sent.sequence]

    async def do_compensate(self, step: Any, scope: str, name: str, options: Any = None) -> None:
        step.compensate(name, self.body(f"undo {name}", None, options or {}))

    async def do_raise(self, step: Any, scope: str, kind: str, message: str, options: Any = None) -> None:
        chosen = options or {}
        if self.ctx.run.attempt <= chosen.get("attempts", 99):
            raise failing(kind, message, chosen.get("seconds", 0))

    async def do_attempt(self, step: Any, scope: str, program: Program) -> Any:
        """Carry operations out and return their results, or the error that one of them raised."""
        try:
            return await self.play(step, program, scope)
        except Exception as error:  # noqa: BLE001 -- whatever a step raises is what is asked for
            return told(error)

    async def do_about(self, step: Any, scope: str) -> list[Any]:
        run = self.ctx.run
        return [run.attempt, run.max_attempts, run.on_exhausted]


QUICK = {"initial_delay": 0.01, "backoff_factor": 1.0}
FAIL = {"retry": {**QUICK, "max_attempts": 2, "on_exhausted": "fail"}, "recording": True}
# What is registered: `{prefix}-{name}` with these options. Functions without a trigger can only be invoked.
PLAYED: dict[str, dict[str, Any]] = {
    "script": FAIL,
    "patient": {"retry": {**QUICK, "max_attempts": 2, "on_exhausted": "pause"}, "recording": True},
    "backing": {
        "retry": {
            "initial_delay": 0.02,
            "backoff_factor": 3.0,
            "max_delay": 0.1,
            "max_attempts": 4,
            "on_exhausted": "fail",
        },
        "recording": True,
    },
    "hasty": {**FAIL, "timeout": 0.5},
    "unrecorded": {"retry": {**QUICK, "max_attempts": 2, "on_exhausted": "fail"}},
}
INVOKED = {"child": FAIL}
ECHOED: dict[str, dict[str, Any]] = {"echo": {}, "mirror": {}}  # the latter without a trigger


def build(bench: Bench, wanted: list[str]) -> list[Any]:
    """Return all functions."""

    async def play(ctx: Any) -> Any:
        bench.note(ctx, "@start")
        results = await Player(bench, ctx).play(ctx.step, ctx.event.data["do"])
        bench.note(ctx, "@end")
        return results

    async def echo(ctx: Any) -> Any:
        async def same() -> Any:
            bench.note(ctx, "same")
            return ctx.event.data

        return await ctx.step.run("same", same)

    built = []
    for handler, table, invoked in ((play, PLAYED, ()), (play, INVOKED, INVOKED), (echo, ECHOED, ("mirror",))):
        for name, options in table.items():
            triggers = [] if name in invoked else [{"event": f"{bench.prefix}.{name}"}]
            built.append(function(id=f"{bench.prefix}-{name}", triggers=triggers, **options)(handler))
    return [one for one in built if not wanted or one.id.removeprefix(f"{bench.prefix}-") in wanted]


if __name__ == "__main__":
    work(build)
