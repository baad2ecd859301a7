"""The worker against the embedded server over sockets: runs, restarts, cancels and take-overs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ironflow_lab.client._async.client import AsyncClient
from ironflow_lab.client._sync.client import Client
from ironflow_lab.errors import UnimplementedError
from ironflow_lab.models.functions import DebounceConfig
from ironflow_lab.models.runs import Run
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.service import Worker
from ironflow_lab.runtime.threads import LoopThread
from ironflow_lab.testing import LocalServer

PATIENCE = 30


class Plant:
    """A worker with its own threads and client, and a sync client to look at what it did."""

    def __init__(self, url: str, folder: Path, owner: str = "tour.ipynb") -> None:
        self.io, self.user = LoopThread("plant-io"), LoopThread("plant-user")

        async def client() -> AsyncClient:
            return AsyncClient(url)

        self.aio = self.io.call(client)
        self.client = Client(url)
        self.worker = Worker(self.aio, data_folder=folder, owner=owner, io=self.io, user=self.user)

    def add(self, *functions: DurableFunction) -> None:
        for one in functions:
            self.worker.add(one)

    def emit(self, event: str, data: Any = None) -> str:
        [run_id] = self.client.events.emit(event, data).run_ids
        return run_id

    def until(self, run_id: str, met: Callable[[Run], bool]) -> Run:
        """Return the run once the condition holds."""
        looks = 0
        while not met(run := self.client.runs.get(run_id)):
            looks += 1
            assert looks < PATIENCE * 100, f"still {run}; worker {self.worker.status()}"
            threading.Event().wait(0.01)
        return run

    def until_saved(self, run_id: str) -> None:
        """Return once a step of the run is recorded."""
        self.until(run_id, lambda run: bool(self.client.runs.steps(run.id)))

    def ended(self, run_id: str) -> Run:
        return self.until(run_id, lambda run: run.status in ("completed", "failed", "cancelled", "paused"))

    def close(self) -> None:
        self.worker.close()
        self.crash()

    def crash(self) -> None:
        """End as a killed process does: connections closed, nothing said."""
        self.client.close()
        self.user.stop()
        self.io.call(self.aio.aclose)
        self.io.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    with LocalServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def plant(server: LocalServer, tmp_path: Path) -> Iterator[Plant]:
    made = Plant(server.url, tmp_path)
    yield made
    made.close()


def test_async_and_plain_runs_with_retry_and_sleep(plant: Plant) -> None:
    ran: list[tuple[str, int]] = []

    def body(ctx: Any, name: str) -> Any:
        ran.append((f"{ctx.run.function_id}:{name}", ctx.run.attempt))
        if name == "charge" and ctx.run.attempt == 1:
            raise ValueError("declined once")
        return {"step": name, "order": ctx.event.data["order"]}

    @function("asynchronous", on="order.placed", retry={"max_attempts": 3, "initial_delay": "10ms"})
    async def asynchronous(ctx: Any) -> Any:
        async def validate() -> Any:
            return body(ctx, "validate")

        first = await ctx.step.run("validate", validate)
        await ctx.step.sleep("cool-off", "20ms")
        second = await ctx.step.run("charge", body, ctx, "charge")
        return [first, second]

    @function("plain", on="order.changed", retry={"max_attempts": 3, "initial_delay": "10ms"})
    def plain(ctx: Any) -> Any:
        first = ctx.step.run("validate", body, ctx, "validate")
        ctx.step.sleep("cool-off", "20ms")
        return [first, ctx.step.run("charge", body, ctx, "charge")]

    plant.add(asynchronous, plain)
    for event, name in (("order.placed", "asynchronous"), ("order.changed", "plain")):
        run = plant.ended(plant.emit(event, {"order": 7}))
        assert (run.status, run.attempt) == ("completed", 2)
        assert run.output == [{"step": "validate", "order": 7}, {"step": "charge", "order": 7}]
        assert [(step.step_id.split(":", 1)[1], step.status) for step in plant.client.runs.steps(run.id)] == [
            ("validate:0", "completed"),
            ("cool-off:0", "completed"),
            ("charge:0", "completed"),
        ]
        assert [one for one in ran if one[0].startswith(name)] == [
            (f"{name}:validate", 1),
            (f"{name}:charge", 1),
            (f"{name}:charge", 2),
        ]


def test_what_a_handler_does_wrong_is_in_the_run(plant: Plant) -> None:
    @function("nan", on="bad.nan")
    async def nan(ctx: Any) -> Any:
        return {"share": float("nan")}

    @function("raises", on="bad.raises", retry={"max_attempts": 1, "on_exhausted": "fail"})
    def raises(ctx: Any) -> None:
        def charge() -> None:
            raise KeyError("card")

        ctx.step.run("charge", charge)

    plant.add(nan, raises)
    bad = plant.ended(plant.emit("bad.nan"))
    assert bad.error is not None
    assert (bad.status, bad.error.code) == ("failed", "SERIALIZATION_ERROR")
    assert "$.share is nan; return None instead" in bad.error.message
    failed = plant.ended(plant.emit("bad.raises"))
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.error.message) == ("failed", "STEP_FAILED", "KeyError: 'card'")
    [step] = plant.client.runs.steps(failed.id)
    assert step.error is not None
    assert step.status == "failed"
    assert "in charge" in step.error.stack


def test_a_function_defined_while_the_worker_idles_runs_at_once(plant: Plant) -> None:
    @function("first", on="first")
    async def first(ctx: Any) -> str:
        return "first"

    @function("second", on="second")
    async def second(ctx: Any) -> str:
        return "second"

    plant.add(first)
    plant.ended(plant.emit("first"))
    plant.add(second)
    # A poll held for its 20 seconds with the old functions would outlast the patience of `ended`.
    assert plant.ended(plant.emit("second")).output == "second"


def test_a_cancelled_run_stops_its_handler_at_once(plant: Plant) -> None:
    started, stopped = threading.Event(), threading.Event()

    @function("slow", on="slow")
    async def slow(ctx: Any) -> None:
        import asyncio

        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    plant.add(slow)
    run_id = plant.emit("slow")
    assert started.wait(PATIENCE)
    while plant.worker.status().lease != "connection":
        threading.Event().wait(0.01)
    plant.client.runs.cancel(run_id, reason="no longer wanted")
    assert stopped.wait(PATIENCE)
    assert plant.ended(run_id).status == "cancelled"


def test_the_worker_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    ran: list[str] = []
    started, release = threading.Event(), threading.Event()

    @function("long", on="long")
    def long(ctx: Any) -> str:
        ctx.step.run("a", ran.append, "a")
        started.set()
        release.wait()
        ctx.step.run("b", ran.append, "b")
        return "end"

    with LocalServer(tmp_path / "data") as server:
        port = int(server.url.rsplit(":", 1)[1])
        plant = Plant(server.url, tmp_path)
        plant.add(long)
        run_id = plant.emit("long")
        assert started.wait(PATIENCE)
        plant.until_saved(run_id)
    release.set()
    with LocalServer(tmp_path / "data", port=port):
        run = plant.ended(run_id)
        again = plant.ended(plant.emit("long"))
        plant.close()
    assert (run.status, again.status) == ("completed", "completed")
    assert ran[0] == "a"
    assert ran.count("a") == 2, "once for each of the two runs: it was recorded before the restart"


def test_a_restarted_kernel_takes_its_runs_over(server: LocalServer, tmp_path: Path) -> None:
    ran: list[str] = []
    started, release = threading.Event(), threading.Event()

    def make(life: str) -> DurableFunction:
        @function("long", on="long")
        def long(ctx: Any) -> str:
            ctx.step.run("a", ran.append, f"{life} a")
            if life == "first":
                started.set()
                release.wait()
            return ctx.step.run("b", lambda: life)  # type: ignore[no-any-return]

        return long

    first = Plant(server.url, tmp_path, "life.ipynb")
    first.add(make("first"))
    run_id = first.emit("long")
    assert started.wait(PATIENCE)
    first.until_saved(run_id)
    first.worker._identity.release()
    first.crash()
    second = Plant(server.url, tmp_path, "life.ipynb")
    assert second.worker.worker_id == first.worker.worker_id
    second.add(make("second"))
    run = second.ended(run_id)
    release.set()
    assert (run.status, run.output) == ("completed", "second")
    assert ran == ["first a"]
    second.close()


def test_a_refusal_of_the_server_reaches_the_cell(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    @function("late", on="late")
    async def late(ctx: Any) -> None: ...

    asking = msgspec.structs.replace(late.request(), debounce=DebounceConfig(period_ms=1000))
    monkeypatch.setattr(late, "request", lambda: asking)
    with pytest.raises(UnimplementedError):
        plant.add(late)
    assert plant.worker.status().functions == ()


def test_many_runs_at_once_each_step_once(plant: Plant) -> None:
    ran: list[str] = []

    @function("many", on="many")
    async def many(ctx: Any) -> int:
        async def body(number: int) -> int:
            ran.append(f"{ctx.run.id}:{number}")
            return number

        total = 0
        for number in range(5):
            total += await ctx.step.run("add", body, number)
        await ctx.step.run("plain", ran.append, f"{ctx.run.id}:plain")
        return total

    plant.add(many)
    run_ids = [plant.emit("many") for _ in range(40)]
    assert [plant.ended(run_id).output for run_id in run_ids] == [10] * 40
    assert len(ran) == len(set(ran)) == 240
