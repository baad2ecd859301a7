"""The worker of the scenarios, written with the official SDK and nothing of ours.

Every step body appends a line to the ledger before it does anything. All functions are named
`{prefix}-...` and started by events `{prefix}....`, so that scenarios can share a server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ironflow.worker import NonRetryableError, RetryAfterError, Worker, function

Handler = Callable[[Any], Awaitable[Any]]


class Bench:
    """What handlers need: the ledger, the gates, the worker's name."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.prefix: str = options.prefix
        self.worker: str = options.worker_id
        self.gates = Path(options.gates)
        self.ledger = os.open(options.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, ctx: Any, step: str, note: Any = None) -> None:
        """Append one line, in one write."""
        line = {
            "run": ctx.run.id,
            "step": step,
            "attempt": ctx.run.attempt,
            "worker": self.worker,
            "pid": os.getpid(),
            "note": note,
        }
        os.write(self.ledger, (json.dumps(line) + "\n").encode())

    def body(self, ctx: Any, step: str, result: Any = None) -> Callable[[], Any]:
        """Return a body that notes itself and returns `result`."""

        def run() -> Any:
            self.note(ctx, step)
            return result

        return run

    def is_open(self, gate: str) -> bool:
        """Whether the test has opened the gate, for all workers or for this one."""
        names = (f"gate-{gate}", f"gate-{gate}@{self.worker}")
        return any((self.gates / name).exists() for name in names)

    async def gate(self, name: str) -> None:
        """Wait until the test opens the gate."""
        while not self.is_open(name):  # noqa: ASYNC110 -- another process opens it
            await asyncio.sleep(0.01)


def handlers(bench: Bench) -> dict[str, tuple[Handler, dict[str, Any]]]:
    """Return every function of the scenarios with its options."""
    quick = {"initial_delay": 0.02, "backoff_factor": 1.0}

    async def plain(ctx: Any) -> Any:
        bench.note(ctx, "@start", [ctx.event.name, ctx.event.data, ctx.run.max_attempts])
        checked = await ctx.step.run("validate", bench.body(ctx, "validate", {"ok": True}))
        total = await ctx.step.run("charge", bench.body(ctx, "charge", 42))
        return {"checked": checked, "total": total, "attempt": ctx.run.attempt}

    async def flaky(ctx: Any) -> Any:
        await ctx.step.run("reserve", bench.body(ctx, "reserve", [1, 2]))

        async def charge() -> str:
            bench.note(ctx, "charge")
            if ctx.run.attempt <= ctx.event.data["failures"]:
                raise RuntimeError(f"the bank is busy on attempt {ctx.run.attempt}")
            return "paid"

        paid = await ctx.step.run("charge", charge)
        await ctx.step.run("receipt", bench.body(ctx, "receipt", None))
        return [paid, ctx.run.attempt]

    async def hopeless(ctx: Any) -> Any:
        await ctx.step.run("reserve", bench.body(ctx, "reserve", 1))

        def stolen() -> None:
            bench.note(ctx, "charge")
            raise NonRetryableError("the card is stolen", code="CARD_STOLEN")

        await ctx.step.run("charge", stolen)

    async def later(ctx: Any) -> Any:
        await ctx.step.run("reserve", bench.body(ctx, "reserve", 1))
        bench.note(ctx, "@attempt")
        if ctx.run.attempt == 1:
            raise RetryAfterError("come back", retry_after=ctx.event.data["seconds"])
        return ctx.run.attempt

    async def nap(ctx: Any) -> Any:
        before = await ctx.step.run("before", bench.body(ctx, "before", {"n": 1}))
        await ctx.step.sleep("nap", ctx.event.data["seconds"])
        after = await ctx.step.run("after", bench.body(ctx, "after", {"n": 2}))
        return [before, after, ctx.run.attempt]

    async def shape(ctx: Any) -> Any:
        return await ctx.step.run("same", bench.body(ctx, "same", ctx.event.data))

    async def odd(ctx: Any) -> Any:
        bench.note(ctx, "@start")
        return object()

    async def names(ctx: Any) -> Any:
        for turn in range(3):
            await ctx.step.run("a", bench.body(ctx, f"a:{turn}", turn))
        await ctx.step.run("b:c", bench.body(ctx, "b:c"))
        await ctx.step.run("größe", bench.body(ctx, "größe"))

        async def branch(step: Any) -> Any:
            return await step.run("x", bench.body(ctx, "x"))

        await ctx.step.parallel("fetch", [branch, branch])

    async def many(ctx: Any) -> Any:
        first = await ctx.step.run("first", bench.body(ctx, "first", ctx.event.data["n"]))
        second = await ctx.step.run("second", bench.body(ctx, "second", first * 10))
        return {"n": first, "ten": second}

    async def long(ctx: Any) -> Any:
        for turn in range(ctx.event.data["steps"]):
            await ctx.step.run("s", bench.body(ctx, f"s:{turn}", turn))

    async def hold(ctx: Any) -> Any:
        await ctx.step.run("before", bench.body(ctx, "before", 1))

        async def held() -> int:
            bench.note(ctx, "held")
            await bench.gate(ctx.event.data["gate"])
            return 2

        await ctx.step.run("held", held)
        await ctx.step.run("after", bench.body(ctx, "after", 3))
        return "done"

    async def ticks(ctx: Any) -> Any:
        try:
            turn = 0
            while not bench.is_open(ctx.event.data["gate"]):
                await ctx.step.run("tick", bench.body(ctx, f"tick:{turn}", turn))
                turn += 1
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            bench.note(ctx, "@cancelled")
            raise

    return {
        "plain": (plain, {}),
        "flaky": (flaky, {"retry": {**quick, "max_attempts": 3, "on_exhausted": "fail"}}),
        "flaky-pause": (flaky, {"retry": {**quick, "max_attempts": 2}}),
        "hopeless": (hopeless, {"retry": quick}),
        "later": (later, {"retry": {"initial_delay": 3600, "max_delay": 7200}}),
        "later-capped": (later, {"retry": {"initial_delay": 0.02, "max_delay": 0.05}}),
        "nap": (nap, {}),
        "shape": (shape, {}),
        "odd": (odd, {"retry": quick}),
        "names": (names, {}),
        "many": (many, {}),
        "long": (long, {}),
        "hold": (hold, {}),
        "ticks": (ticks, {}),
    }


def build(bench: Bench, wanted: list[str]) -> list[Any]:
    """Return the functions to serve: the wanted ones, or all."""
    return [
        function(
            id=f"{bench.prefix}-{name}",
            triggers=[{"event": f"{bench.prefix}.{name}"}],
            **options,
        )(handler)
        for name, (handler, options) in handlers(bench).items()
        if not wanted or name in wanted
    ]


def main() -> None:
    """Run the worker until SIGTERM drains it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "prefix", "worker-id", "ledger", "gates", "functions"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--heartbeat", type=float, required=True)
    parser.add_argument("--checkpoint", type=float, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    bench = Bench(options)
    Worker(
        functions=build(bench, [name for name in options.functions.split(",") if name]),
        server_url=options.url,
        worker_id=options.worker_id,
        max_concurrent_jobs=options.slots,
        heartbeat_interval=options.heartbeat,
        checkpoint_interval=options.checkpoint,
        reconnect_delay=0.2,
        drain_timeout=5,
        poll_wait=20,
        labels={"suite": "conformance"},
    ).run()


if __name__ == "__main__":
    main()
