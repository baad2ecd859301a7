"""The functions of the workloads on the official SDK's worker, against the embedded server; its environment runs it."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ironflow.worker import Worker, function

from tests.bench import shape


def durable(ready: Path) -> list[Any]:
    """Return the functions of all workloads; a run of the first says that the worker works."""

    def tiny(place: int) -> dict[str, int]:
        return {"i": place, "v": place * 2}

    async def slow(effects: shape.Effects, number: int, place: int) -> int:
        await asyncio.sleep(shape.STEP_SECONDS)
        effects.note(number, place)
        return place

    async def working(ctx: Any) -> None:
        await asyncio.to_thread(ready.touch)

    async def steps(ctx: Any) -> int:
        found = 0
        for place in range(int(ctx.event.data["steps"])):
            found += (await ctx.step.run(f"s{place}", lambda place=place: tiny(place)))["v"]
        return found

    async def replay(ctx: Any) -> float:
        began, count = time.perf_counter(), int(ctx.event.data["steps"])
        for place in range(count):
            await ctx.step.run(f"s{place}", lambda place=place: tiny(place))
        replayed = time.perf_counter() - began
        await ctx.step.sleep("rest", 0.001)
        return replayed / count * 1e3

    async def slow_steps(ctx: Any) -> int:
        order = ctx.event.data
        effects, number = shape.Effects(Path(order["path"])), int(order["number"])
        for place in range(int(order["steps"])):
            await ctx.step.run(f"s{place}", lambda place=place: slow(effects, number, place))
        return number

    handlers = {"ready": working, "steps": steps, "replay": replay, "slow": slow_steps}
    return [function(id=name, triggers=[{"event": f"bench.{name}"}])(one) for name, one in handlers.items()]


def main() -> None:
    """Be the worker until killed."""
    url, folder, slots = sys.argv[1:]
    address = urlsplit(url)
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((address.hostname or "", address.port or 80)) == 0:
                break
        time.sleep(0.002)
    ready = Path(folder) / "worker.ready"
    Worker(
        functions=durable(ready), server_url=url, worker_id="official", max_concurrent_jobs=int(slots), poll_wait=20
    ).run()


if __name__ == "__main__":
    main()
