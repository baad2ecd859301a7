"""What the worker itself costs: runs against a server that is a few lines of memory, no sockets.

    python tests/bench/bench_runtime.py [--runs 3000] [--rounds 3] [--only async-10]

Prints one JSON line per workload: runs per second, the process's CPU in microseconds per run (both
threads, the memory server included), and how many calls of each kind one round made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from ironflow_lab.models.functions import ListFunctionHistoryResponse
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.models.runs import Run
from ironflow_lab.models.server import Capabilities
from ironflow_lab.models.workers import Assignment, JobEvent, JobUpdate, LeaseLine, WorkerStatus
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.service import Worker
from ironflow_lab.runtime.threads import LoopThread
from ironflow_lab.wire import codec

OK = WorkerStatus(status="ok")


class Reply:
    """The answer to a poll."""

    held = True

    def __init__(self, jobs: tuple[Assignment, ...]) -> None:
        self.jobs = jobs


class Memory:
    """A server that hands out runs and takes reports; its answers need a turn of the loop."""

    server_url = "http://127.0.0.1:9123"

    def __init__(self) -> None:
        self.workers = self.functions = self.runs = self.topics = self.server = self
        self.counts: Counter[str] = Counter()
        self.todo: list[Assignment] = []
        self.left = 0
        self.ended = asyncio.Event()
        self.more = asyncio.Event()

    def begin(self, function_id: str, runs: int) -> None:
        self.todo = [_assignment(function_id, number) for number in range(runs)]
        self.left = runs
        self.counts.clear()
        self.ended.clear()
        self.more.set()

    async def register(self, *_: Any) -> None:
        await asyncio.sleep(0)

    async def heartbeat(self, *_: Any) -> None:
        await asyncio.sleep(0)

    async def capabilities(self) -> Capabilities:
        return Capabilities()

    async def lease(self, *_: Any) -> AsyncIterator[LeaseLine]:
        yield LeaseLine(type="held")

    async def poll(self, _: str, *, available: int, wait: int = 20) -> Reply:
        self.counts["poll"] += 1
        await asyncio.sleep(0)
        while not self.todo:
            self.more.clear()
            await self.more.wait()
        jobs, self.todo = self.todo[:available], self.todo[available:]
        return Reply(tuple(jobs))

    async def ack(self, *_: Any) -> WorkerStatus:
        self.counts["ack"] += 1
        await asyncio.sleep(0)
        return OK

    async def get(self, run_id: str) -> Run:
        raise AssertionError("no run is resumed here")

    async def history(self, function_id: str, *, limit: int = 0, from_version: int = 0) -> ListFunctionHistoryResponse:
        raise AssertionError("no run is resumed here")

    async def publish(self, topic: str, data: Any, *, idempotency_key: str = "", run_id: str = "") -> PublishResponse:
        return PublishResponse(event_id="evt")

    async def update(self, worker_id: str, job_id: str, message: JobUpdate) -> WorkerStatus:
        codec.encode(message)
        self.counts[message.status] += 1
        self.counts["steps"] += len(message.steps)
        await asyncio.sleep(0)
        if message.status != "progress":
            assert message.status == "completed", message
            self.left -= 1
            if not self.left:
                self.ended.set()
        return OK


def _assignment(function_id: str, number: int) -> Assignment:
    return Assignment(
        job_id=f"run_{number}.1",
        run_id=f"run_{number}",
        function_id=function_id,
        attempt=1,
        event=JobEvent(id="evt", name="order.placed", data={"order": number}, timestamp=Instant(10**18)),
        completed_steps=(),
        execution_seq=1,
        lease_token="lt",
        step_sequence_base=0,
    )


async def _body(number: int) -> dict[str, int]:
    return {"step": number}


async def _waiting_body(number: int) -> dict[str, int]:
    await asyncio.sleep(0.001)
    return {"step": number}


def _plain_body(number: int) -> dict[str, int]:
    return {"step": number}


def workloads() -> dict[str, tuple[DurableFunction, int]]:
    """Return the functions by name, with their number of steps."""
    found: dict[str, tuple[DurableFunction, int]] = {}
    for steps in (1, 10):

        @function(f"async-{steps}")
        async def asynchronous(ctx: Any, steps: int = steps) -> int:
            for number in range(steps):
                await ctx.step.run("step", _body, number)
            return steps

        @function(f"async-waiting-{steps}")
        async def waiting(ctx: Any, steps: int = steps) -> int:
            for number in range(steps):
                await ctx.step.run("step", _waiting_body, number)
            return steps

        @function(f"async-plain-bodies-{steps}")
        async def mixed(ctx: Any, steps: int = steps) -> int:
            for number in range(steps):
                await ctx.step.run("step", _plain_body, number)
            return steps

        @function(f"plain-{steps}")
        def plain(ctx: Any, steps: int = steps) -> int:
            for number in range(steps):
                ctx.step.run("step", _plain_body, number)
            return steps

        for one in (asynchronous, waiting, mixed, plain):
            found[one.id] = (one, steps)
    return found


def main() -> None:
    """Run every workload and print its figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    io, user = LoopThread("ironflow-io"), LoopThread("ironflow-user")

    async def memory() -> Memory:
        return Memory()

    server = io.call(memory)
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(
            server, data_folder=Path(folder), io=io, user=user, concurrency=given.concurrency, owner="bench"
        )
        for name, (definition, steps) in workloads().items():
            if given.only and name != given.only:
                continue
            worker.add(definition)
            rounds = [_round(io, server, name, given.runs) for _ in range(given.rounds)]
            seconds = statistics.median(wall for wall, _ in rounds)
            cpu = statistics.median(used for _, used in rounds)
            print(
                json.dumps(
                    {
                        "workload": name,
                        "steps": steps,
                        "runs_s": round(given.runs / seconds),
                        "cpu_us_run": round(cpu / given.runs * 1e6),
                        "calls": dict(server.counts),
                    }
                )
            )
        worker.close()


def _round(io: LoopThread, server: Memory, name: str, runs: int) -> tuple[float, float]:
    async def all_of_it() -> None:
        server.begin(name, runs)
        await server.ended.wait()

    wall, used = time.perf_counter(), time.process_time()
    io.call(all_of_it)
    return time.perf_counter() - wall, time.process_time() - used


if __name__ == "__main__":
    main()
