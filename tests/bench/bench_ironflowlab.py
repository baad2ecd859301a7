"""ironflow-lab, over the wire: the embedded server, one worker and the caller, a process each.

`pipelined` (the default) records steps as they finish without waiting, `step` records each before
the next begins. Either way what was acknowledged is on disk: WAL, synchronous FULL. W3 also tells
what the replay of a memoised step costs: the run sleeps after its last step and is executed again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.runtime.definition import Durability
from ironflow_lab.runtime.function import DurableFunction, function
from tests.bench import shape

# The worker of the official SDK in the place of ours.
OFFICIAL = "official"
VARIANTS = ("pipelined", "step", OFFICIAL)


# ---- the worker's process


def durable(durability: Durability) -> list[DurableFunction]:
    """Return the functions of all workloads."""

    async def tiny(place: int) -> dict[str, int]:
        return {"i": place, "v": place * 2}

    async def slow(effects: shape.Effects, number: int, place: int) -> int:
        await asyncio.sleep(shape.STEP_SECONDS)
        effects.note(number, place)
        return place

    @function("steps", on="bench.steps", durability=durability)
    async def steps(ctx: Any) -> int:
        return sum([(await ctx.step.run(f"s{place}", tiny, place))["v"] for place in range(ctx.event.data["steps"])])

    @function("replay", on="bench.replay", durability=durability)
    async def replay(ctx: Any) -> float:
        began, count = time.perf_counter(), int(ctx.event.data["steps"])
        for place in range(count):
            await ctx.step.run(f"s{place}", tiny, place)
        replayed: float = time.perf_counter() - began
        await ctx.step.sleep("rest", 0.001)
        return replayed / count * 1e3

    @function("recorded", on="bench.recorded", recording=True, durability=durability)
    async def recorded(ctx: Any) -> int:
        return sum([(await ctx.step.run(f"s{place}", tiny, place))["v"] for place in range(ctx.event.data["steps"])])

    @function("slow", on="bench.slow", durability=durability)
    async def slow_steps(ctx: Any) -> int:
        order = ctx.event.data
        effects, number = shape.Effects(Path(order["path"])), int(order["number"])
        for place in range(order["steps"]):
            await ctx.step.run(f"s{place}", slow, effects, number, place)
        return number

    return [steps, replay, slow_steps, recorded]


def serve(url: str, folder: Path, durability: Durability, slots: int) -> None:
    """Be the worker until killed."""
    from ironflow_lab.runtime.service import Worker
    from ironflow_lab.runtime.threads import io_thread

    async def client() -> AsyncClient:
        return AsyncClient(url)

    # Started beside the server, as after a power cut; a first registration does not wait for one.
    address = urlsplit(url)
    shape.until(lambda: shape.listening(address.port or 80), "the server")
    worker = Worker(io_thread().call(client), data_folder=folder, concurrency=slots, owner="bench")
    for one in durable(durability):
        worker.add(one)
    (folder / "worker.ready").touch()
    threading.Event().wait()


# ---- the cluster


class Cluster:
    """A server and a worker over one folder; both can be killed and started again."""

    def __init__(self, folder: Path, variant: str, slots: int) -> None:
        self._folder, self._variant, self._slots = folder, variant, slots
        self._port = shape.free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.server: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def start_server(self) -> None:
        """Start the server as the command line does."""
        places = ["--port", str(self._port), "--data-dir", str(self._folder / "data")]
        command = [sys.executable, "-m", "ironflow_lab.cli", "serve", *places]
        self.server = shape.spawn(command, self._folder / "server.log", IRONFLOW_NO_DISCOVERY="1")

    def start_worker(self) -> None:
        """Start the worker; it waits for the server by itself."""
        (self._folder / "worker.ready").unlink(missing_ok=True)
        if self._variant == OFFICIAL:
            python, words = os.environ["PEERS_PY_IRONFLOW"], (self.url, self._folder, self._slots)
            command = [python, "-m", "tests.bench.official_worker", *map(str, words)]
        else:
            command = shape.script("bench_ironflowlab", "serve", self.url, self._folder, self._variant, self._slots)
        self.worker = shape.spawn(command, self._folder / "worker.log", IRONFLOW_NO_DISCOVERY="1")

    def until_serving(self) -> None:
        """Wait until the server answers."""
        shape.until(lambda: shape.listening(self._port), "the server", process=self.server)

    def until_working(self) -> None:
        """Wait until the worker has registered its functions."""
        if self._variant == OFFICIAL:
            # It does not say when it is ready; its first run does.
            with Client(self.url) as client:
                shape.until(lambda: client.functions.list(limit=10).total_count == 4, "it", process=self.worker)
                client.events.emit("bench.ready")
        shape.until((self._folder / "worker.ready").exists, "the worker", process=self.worker)

    def cpu(self) -> shape.Cpu:
        """Return a meter of the three processes."""
        assert self.server is not None
        assert self.worker is not None
        return shape.Cpu(server=self.server.pid, worker=self.worker.pid, caller=os.getpid())

    def count(self, **filters: Any) -> int:
        """Return how many runs match, by plain HTTP; 0 while the server is away."""
        body = json.dumps({"limit": 1, **filters}).encode()
        path = f"{self.url}/ironflow.v1.IronflowService/ListRuns"
        request = urllib.request.Request(path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(json.load(answer).get("totalCount", 0))
        except OSError:
            return 0

    def recorded(self) -> set[tuple[str, str]]:
        """Return the recorded steps as run number and place, from a copy of the dead server's database."""
        # A copy: looking at the original would already recover its log.
        found = shutil.copytree(self._folder / "data", self._folder / "found")
        with closing(sqlite3.connect(found / "ironflow.db")) as database:
            rows = database.execute(
                "SELECT json_extract(e.data, '$.number'), s.name FROM steps s JOIN runs r ON r.id = s.run_id"
                " JOIN events e ON e.id = r.event_id WHERE s.status = 'completed'"
            )
            return {(str(number), name.removeprefix("s")) for number, name in rows}

    def kill(self) -> None:
        """Kill -9 both."""
        shape.kill(self.worker)
        shape.kill(self.server)


# ---- the caller


async def call(cluster: Cluster, size: shape.Size) -> tuple[list[float], float]:
    """Return the seconds of each run and of all, `flight` at a time, each waited for by its caller."""
    took: list[float] = []
    async with AsyncClient(cluster.url) as client:
        numbers = iter(range(size.runs))

        async def caller() -> None:
            for _ in numbers:
                start = time.perf_counter()
                answer = await client.events.emit_sync("bench.steps", {"steps": size.steps}, timeout="120s")
                took.append(time.perf_counter() - start)
                assert answer.results[0].status == "completed", answer

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(size.flight)))
        return took, time.perf_counter() - began


def sequential(cluster: Cluster, size: shape.Size) -> dict[str, float]:
    """Return the figures of W1: one caller that waits for each run."""
    asyncio.run(call(cluster, shape.Size(runs=20, steps=1, flight=1)))
    took, _ = asyncio.run(call(cluster, size))
    return shape.latencies(took)


def many(cluster: Cluster, size: shape.Size) -> dict[str, float]:
    """Return the figures of W2."""
    asyncio.run(call(cluster, shape.Size(runs=64, steps=size.steps, flight=size.flight)))
    cpu = cluster.cpu()
    _, seconds = asyncio.run(call(cluster, size))
    return {**shape.throughput(size, seconds), **cpu.cores()}


def long(cluster: Cluster, size: shape.Size) -> dict[str, float]:
    """Return the figures of W3: one run of many steps, and what their replay costs."""
    asyncio.run(call(cluster, shape.Size(runs=5, steps=10, flight=1)))
    cpu = cluster.cpu()
    _, seconds = asyncio.run(call(cluster, size))
    figures = shape.per_step(size, seconds)
    cores = cpu.cores()
    with Client(cluster.url) as client:
        answer = client.events.emit_sync("bench.replay", {"steps": size.steps}, timeout="120s")
    return {**figures, "replay_ms_per_step": round(float(answer.results[0].output), 5), **cores}


def past(cluster: Cluster, size: shape.Size, folder: Path) -> dict[str, Any]:
    """Return the figures of W6: the state at random steps of one run, and the output of one step, each p50.

    `state_ms` is `run.at(step=)` and one output of it, of a run that was read before, which costs `first_ms`;
    `document_ms` is the same with every step written out. `wire_state_ms` asks the server for all of it each time,
    as the peers do. `output_ms` is one step's output, over the wire too.
    """
    lab, run = _recorded(cluster, size, folder)
    began = time.perf_counter()
    run.at(-1)
    first, chance = (time.perf_counter() - began) * 1e3, random.Random(6)
    runs, steps, events = lab.client.runs, run.recording().steps, run.recording().events
    last = str(events[-1].created_at)

    def places() -> list[int]:
        return [chance.randrange(size.steps) for _ in range(shape.SAMPLES)]

    def state(place: int) -> None:
        assert run.at(step=f"s{place}").step(f"s{place}").output == {"i": place, "v": place * 2}

    def document(place: int) -> None:
        assert len(run.at(step=f"s{place}").document()["steps"]) >= place + 1

    def wire(place: int) -> None:
        assert runs.state_at(run.id, str(events[place * len(events) // size.steps].created_at)).run_id == run.id

    def output(place: int) -> None:
        assert json.loads(runs.step_output_at(run.id, steps[place].step_id, last).output)["i"] == place

    figures = {
        name: shape.latencies([_timed(work, place) for place in places()])["p50_ms"]
        for name, work in (
            ("state_ms", state),
            ("document_ms", document),
            ("wire_state_ms", wire),
            ("output_ms", output),
        )
    }
    lab.close()
    return {**figures, "first_ms": round(first, 2)}


def forks(cluster: Cluster, size: shape.Size, folder: Path) -> dict[str, Any]:
    """Return the figures of W7: a fork ten steps before the end with a changed output, then those steps executed.

    Local and not durable. `fork_ms` is `run.fork()` of a run read before, `fork_run_ms` that and all ten bodies,
    `first_ms` the first fork, which reads the run.
    """
    lab, run = _recorded(cluster, size, folder)
    code, place = next(one for one in durable("pipelined") if one.id == "recorded"), size.steps - 11
    total = sum(number * 2 for number in range(size.steps)) - place * 2

    def fork(value: int) -> Any:
        return run.fork(with_outputs={f"s{place}": {"i": place, "v": value}}, fn=code, steps="run")

    def executed(value: int) -> None:
        made = fork(value)
        assert made.result == total + value

    first = _timed(fork, 0) * 1e3
    executed(1)
    made = shape.latencies([_timed(fork, value) for value in range(shape.SAMPLES)])["p50_ms"]
    done = shape.latencies([_timed(executed, value) for value in range(shape.SAMPLES)])["p50_ms"]
    lab.close()
    return {"fork_ms": made, "fork_run_ms": done, "first_ms": round(first, 2), "durable": False}


def _recorded(cluster: Cluster, size: shape.Size, folder: Path) -> tuple[Any, Any]:
    """Return a lab, and a recorded run of so many steps as it holds it."""
    import ironflow_lab as il

    (folder / "caller" / ".ironflow").mkdir(parents=True)
    os.chdir(folder / "caller")
    lab = il.connect(cluster.url)
    answer = lab.client.events.emit_sync("bench.recorded", {"steps": size.steps}, timeout="120s")
    assert answer.results[0].status == "completed", answer
    return lab, lab.run(answer.results[0].run_id)


def _timed(work: Any, value: int) -> float:
    start = time.perf_counter()
    work(value)
    return time.perf_counter() - start


def crash(cluster: Cluster, size: shape.Size, folder: Path) -> dict[str, float]:
    """Return the figures of W4; every run was accepted before the worker began."""
    effects = shape.Effects(folder / "effects")

    async def emit() -> None:
        order = {"steps": size.steps, "path": str(effects.path)}
        async with AsyncClient(cluster.url) as client:
            await asyncio.gather(
                *(client.events.emit("bench.slow", {"number": number, **order}) for number in range(size.runs))
            )

    asyncio.run(emit())
    cluster.start_worker()
    effects.wait_for_kill_point(size)
    cluster.kill()
    recorded, before = cluster.recorded(), effects.count()
    effects.killed()
    cluster.start_server()
    cluster.start_worker()
    figures = effects.recovered(size, lambda: cluster.count(statuses=["RUN_STATUS_COMPLETED"]))
    again = {tuple(line.split()) for line in effects.path.read_text().splitlines()[before:]}
    return {**figures, "recorded_at_kill": len(recorded), "recorded_run_again": len(recorded & again)}


def measure(task: shape.Task, folder: Path) -> dict[str, float]:
    """Return the figures of the workload."""
    size = task.size
    cluster = Cluster(folder, task.variant, max(size.flight, 10))
    try:
        cluster.start_server()
        cluster.until_serving()
        cluster.start_worker()
        cluster.until_working()
        match task.workload:
            case "W1":
                return sequential(cluster, size)
            case "W2":
                return many(cluster, size)
            case "W3":
                return long(cluster, size)
            case "W6":
                return past(cluster, size, folder)
            case "W7":
                return forks(cluster, size, folder)
        # Accepted while no worker is there; the functions are known from the one that was.
        shape.kill(cluster.worker)
        return crash(cluster, size, folder)
    finally:
        cluster.kill()


def main() -> None:
    """Measure what the command line asks for."""
    if sys.argv[1] == "serve":
        url, place, durability, slots = sys.argv[2:]
        serve(url, Path(place), "step" if durability == "step" else "pipelined", int(slots))
        return
    task = shape.task("ironflow-lab", variants=VARIANTS)
    with shape.scratch("ironflow-lab") as folder:
        task.report(**measure(task, folder))


if __name__ == "__main__":
    main()
