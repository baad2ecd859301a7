"""Restate: its server (the binary named by RESTATE_SERVER) and a service in a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import shape


def serve(port: int) -> None:
    """Be the worker: one service with the handler of W1 to W3 and that of W4."""
    import restate
    from hypercorn.asyncio import serve as listen
    from hypercorn.config import Config

    service = restate.Service("Bench")

    def tiny(place: int) -> dict[str, int]:
        return {"i": place, "v": place * 2}

    async def slow(number: int, place: int, path: str) -> int:
        await asyncio.sleep(shape.STEP_SECONDS)
        shape.Effects(Path(path)).note(number, place)
        return place

    # The annotations are read when the handlers are defined, hence no names that are local here.
    async def steps(ctx: Any, count: int) -> int:
        return sum([(await ctx.run_typed(f"s{place}", tiny, place=place))["v"] for place in range(count)])

    async def slow_steps(ctx: Any, order: dict[str, Any]) -> int:
        number: int = order["number"]
        for place in range(order["steps"]):
            await ctx.run_typed(f"s{place}", slow, number=number, place=place, path=order["path"])
        return number

    steps.__annotations__ = {"ctx": restate.Context, "count": int, "return": int}
    slow_steps.__annotations__ = {"ctx": restate.Context, "order": dict, "return": int}
    service.handler()(steps)
    service.handler()(slow_steps)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.h2_max_concurrent_streams = 2**31 - 1
    config.keep_alive_max_requests = 2**31 - 1
    config.keep_alive_timeout = 2**31 - 1
    config.loglevel = "ERROR"
    asyncio.run(listen(restate.app(services=[service]), config, mode="asgi"))


class Cluster:
    """One server and one worker on loopback ports, over a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ingress, self._admin, self._node, self._service = (shape.free_port() for _ in range(4))
        self.url = f"http://127.0.0.1:{self._ingress}"
        self.admin = f"http://127.0.0.1:{self._admin}"
        self.server: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start both and wait until they listen."""
        settings = {
            "RESTATE_INGRESS__BIND_PORT": str(self._ingress),
            "RESTATE_ADMIN__BIND_PORT": str(self._admin),
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self._ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{self._admin}",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_LOG_FILTER": "warn",
        }
        places = ["--base-dir", str(self._folder / "data"), "--bind-address", f"127.0.0.1:{self._node}"]
        binary = os.environ.get("RESTATE_SERVER", "restate-server")
        command = [binary, "--no-logo", "--node-name", "n1", *places]
        self.server = shape.spawn(command, self._folder / "server.log", **settings)
        self.worker = shape.spawn(shape.script("bench_restate", "serve", self._service), self._folder / "worker.log")
        for port in (self._service, self._ingress, self._admin):
            shape.until(partial(shape.listening, port), f"port {port}", pause=0.02)

    def deploy(self) -> None:
        """Tell the server of the worker."""
        import httpx

        body = {"uri": f"http://127.0.0.1:{self._service}"}

        def deployed() -> bool:
            try:
                return httpx.post(f"{self.admin}/deployments", json=body, timeout=20).is_success
            except httpx.HTTPError:
                return False

        shape.until(deployed, "the deployment", pause=0.2)

    def ended(self) -> int:
        """Return how many runs of W4 have completed, as the server's tables say."""
        import httpx

        query = "SELECT count(*) AS n FROM sys_invocation WHERE status = 'completed' AND target = 'Bench/slow_steps'"
        try:
            answer = httpx.post(
                f"{self.admin}/query", json={"query": query}, headers={"accept": "application/json"}, timeout=60
            )
            return int(answer.json()["rows"][0]["n"]) if answer.is_success else 0
        except httpx.HTTPError:
            return 0

    def kill(self) -> None:
        """Kill -9 both."""
        shape.kill(self.server)
        shape.kill(self.worker)


async def call(cluster: Cluster, size: shape.Size) -> tuple[list[float], float]:
    """Return the latency of every run and the time all took."""
    import httpx

    took: list[float] = []
    limits = httpx.Limits(max_connections=size.flight, max_keepalive_connections=size.flight)
    async with httpx.AsyncClient(base_url=cluster.url, limits=limits, timeout=shape.PATIENCE) as http:
        numbers = iter(range(size.runs))

        async def caller() -> None:
            for _ in numbers:
                start = time.perf_counter()
                (await http.post("/Bench/steps", json=size.steps)).raise_for_status()
                took.append(time.perf_counter() - start)

        (await http.post("/Bench/steps", json=1)).raise_for_status()
        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(size.flight)))
        return took, time.perf_counter() - began


def measure(task: shape.Task, cluster: Cluster) -> dict[str, float]:
    """Return the figures of W1, W2 or W3."""
    assert cluster.server is not None
    assert cluster.worker is not None
    asyncio.run(call(cluster, shape.Size(runs=20, steps=2, flight=4)))
    cpu = shape.Cpu(server=cluster.server.pid, worker=cluster.worker.pid, client=os.getpid())
    took, passed = asyncio.run(call(cluster, task.size))
    if task.workload == "W1":
        return shape.latencies(took)
    if task.workload == "W3":
        return shape.per_step(task.size, took[0])
    return {**shape.throughput(task.size, passed), **cpu.cores()}


def crash(task: shape.Task, cluster: Cluster, folder: Path) -> dict[str, float]:
    """Return the figures of W4."""
    import httpx

    effects, size = shape.Effects(folder / "effects"), task.size

    async def send() -> None:
        async with httpx.AsyncClient(base_url=cluster.url, timeout=60) as http:
            common = {"steps": size.steps, "path": str(effects.path)}
            orders = ({"number": number, **common} for number in range(size.runs))
            sent = await asyncio.gather(*(http.post("/Bench/slow_steps/send", json=order) for order in orders))
        for answer in sent:
            answer.raise_for_status()

    asyncio.run(send())
    effects.wait_for_kill_point(size)
    cluster.kill()
    effects.killed()
    cluster.start()
    return effects.recovered(size, cluster.ended)


def main() -> None:
    """Measure what the command line asks for."""
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
        return
    task = shape.task("restate")
    with shape.scratch("restate") as folder:
        cluster = Cluster(folder)
        try:
            cluster.start()
            cluster.deploy()
            task.report(**(crash(task, cluster, folder) if task.workload == "W4" else measure(task, cluster)))
        finally:
            cluster.kill()


if __name__ == "__main__":
    main()
