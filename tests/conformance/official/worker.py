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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ironflow.worker import NonRetryableError, RetryAfterError, Worker, function


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


class Handlers:
    """The functions of the scenarios, by the names of their methods."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    async def plain(self, ctx: Any) -> Any:
        self.bench.note(ctx, "@start", [ctx.event.name, ctx.event.data, ctx.run.max_attempts])
        checked = await ctx.step.run("validate", self.bench.body(ctx, "validate", {"ok": True}))
        total = await ctx.step.run("charge", self.bench.body(ctx, "charge", 42))
        return {"checked": checked, "total": total, "attempt": ctx.run.attempt}

    async def flaky(self, ctx: Any) -> Any:
        await ctx.step.run("reserve", self.bench.body(ctx, "reserve", [1, 2]))

        async def charge() -> str:
            self.bench.note(ctx, "charge")
            if ctx.run.attempt <= ctx.event.data["failures"]:
                raise RuntimeError(f"the bank is busy on attempt {ctx.run.attempt}")
            return "paid"

        paid = await ctx.step.run("charge", charge)
        await ctx.step.run("receipt", self.bench.body(ctx, "receipt", None))
        return [paid, ctx.run.attempt]

    async def hopeless(self, ctx: Any) -> Any:
        await ctx.step.run("reserve", self.bench.body(ctx, "reserve", 1))

        def stolen() -> None:
            self.bench.note(ctx, "charge")
            raise NonRetryableError("the card is stolen", code="CARD_STOLEN")

        await ctx.step.run("charge", stolen)

    async def later(self, ctx: Any) -> Any:
        await ctx.step.run("reserve", self.bench.body(ctx, "reserve", 1))
        self.bench.note(ctx, "@attempt")
        if ctx.run.attempt == 1:
            raise RetryAfterError("come back", retry_after=ctx.event.data["seconds"])
        return ctx.run.attempt

    async def nap(self, ctx: Any) -> Any:
        before = await ctx.step.run("before", self.bench.body(ctx, "before", {"n": 1}))
        await ctx.step.sleep("nap", ctx.event.data["seconds"])
        after = await ctx.step.run("after", self.bench.body(ctx, "after", {"n": 2}))
        return [before, after, ctx.run.attempt]

    async def shape(self, ctx: Any) -> Any:
        return await ctx.step.run("same", self.bench.body(ctx, "same", ctx.event.data))

    async def odd(self, ctx: Any) -> Any:
        self.bench.note(ctx, "@start")
        return object()

    async def names(self, ctx: Any) -> Any:
        for turn in range(3):
            await ctx.step.run("a", self.bench.body(ctx, f"a:{turn}", turn))
        await ctx.step.run("b:c", self.bench.body(ctx, "b:c"))
        await ctx.step.run("größe", self.bench.body(ctx, "größe"))

        async def branch(step: Any) -> Any:
            return await step.run("x", self.bench.body(ctx, "x"))

        await ctx.step.parallel("fetch", [branch, branch])

    async def many(self, ctx: Any) -> Any:
        first = await ctx.step.run("first", self.bench.body(ctx, "first", ctx.event.data["n"]))
        second = await ctx.step.run("second", self.bench.body(ctx, "second", first * 10))
        return {"n": first, "ten": second}

    async def long(self, ctx: Any) -> Any:
        for turn in range(ctx.event.data["steps"]):
            await ctx.step.run("s", self.bench.body(ctx, f"s:{turn}", turn))

    async def hold(self, ctx: Any) -> Any:
        await ctx.step.run("before", self.bench.body(ctx, "before", 1))

        async def held() -> int:
            self.bench.note(ctx, "held")
            await self.bench.gate(ctx.event.data["gate"])
            return 2

        await ctx.step.run("held", held)
        await ctx.step.run("after", self.bench.body(ctx, "after", 3))
        return "done"

    async def keys(self, ctx: Any) -> Any:
        self.bench.note(ctx, "@start", dict(ctx.secrets))

    async def ticks(self, ctx: Any) -> Any:
        try:
            turn = 0
            while not self.bench.is_open(ctx.event.data["gate"]):
                await ctx.step.run("tick", self.bench.body(ctx, f"tick:{turn}", turn))
                turn += 1
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            self.bench.note(ctx, "@cancelled")
            raise


QUICK = {"initial_delay": 0.02, "backoff_factor": 1.0}
# What is not the plain function of a method's own name: the method and the options.
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "flaky": ("flaky", {"retry": {**QUICK, "max_attempts": 3, "on_exhausted": "fail"}}),
    "flaky-pause": ("flaky", {"retry": {**QUICK, "max_attempts": 2}}),
    "hopeless": ("hopeless", {"retry": QUICK}),
    "later": ("later", {"retry": {"initial_delay": 3600, "max_delay": 7200}}),
    "later-capped": ("later", {"retry": {"initial_delay": 0.02, "max_delay": 0.05}}),
    "keys": ("keys", {"secrets": ["a", "b"], "recording": True}),
    "odd": ("odd", {"retry": QUICK}),
}
NAMES = ("plain", "nap", "shape", "names", "many", "long", "hold", "ticks", *OPTIONS)


def build(bench: Bench, wanted: list[str]) -> list[Any]:
    """Return the functions to serve: the wanted ones, or all."""
    handlers, built = Handlers(bench), []
    for name in wanted or NAMES:
        method, options = OPTIONS.get(name, (name, {}))
        if "secrets" in options:
            options = {**options, "secrets": [f"{bench.prefix}-{secret}" for secret in options["secrets"]]}
        define = function(id=f"{bench.prefix}-{name}", triggers=[{"event": f"{bench.prefix}.{name}"}], **options)
        built.append(define(getattr(handlers, method)))
    return built


def work(build: Callable[[Bench, list[str]], list[Any]]) -> None:
    """Run a worker with the functions that `build` returns until SIGTERM drains it."""
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
    work(build)
