"""The worker as other threads hold it: real threads, a fake server, fake time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.service import Worker
from ironflow_lab.runtime.threads import LoopThread
from tests.unit.runtime.fakes import FakeServer, Fault, Run, gone
from tests.unit.runtime.faketime import FakeClock, FakePace


class House:
    """A worker, its server and its time, all in one io thread."""

    def __init__(self, folder: Path, *, server: FakeServer | None = None) -> None:
        self.io, self.user = LoopThread("test-io"), LoopThread("test-user")
        self.server = server or FakeServer()
        self.pace = FakePace()
        self.worker = Worker(
            self.server,
            data_folder=folder,
            owner="tour.ipynb",
            io=self.io,
            user=self.user,
            clock=FakeClock(),
            pace=self.pace,
        )

    def emit(self, function_id: str, data: Any = None) -> Run:
        async def emit() -> Run:
            return self.server.emit(function_id, data)

        return self.io.call(emit)

    def until(self, met: Callable[[], bool]) -> None:
        self.io.call(lambda: self.server.until(met), timeout=10)

    def advance(self, seconds: float) -> None:
        self.io.call(lambda: self.pace.advance(seconds))

    def close(self) -> None:
        self.worker.close()
        self.user.stop()
        self.io.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def test_a_function_is_served_when_add_returns(house: House) -> None:
    @function("bill", on="order.placed")
    def bill(ctx: Any) -> Any:
        return ctx.step.run("total", sum, ctx.event.data)

    house.worker.add(bill)
    run = house.emit("bill", [1, 2, 3])
    house.until(lambda: run.status == "completed")
    assert run.output == 6
    assert house.worker.status().state == "running"
    assert repr(house.worker).startswith(f"<worker {house.worker.worker_id}: running, 1 functions, ")


def test_a_refusal_reaches_the_cell(house: House) -> None:
    house.server.fault("register_function", Fault(before=InvalidArgumentError("bad trigger", status=400)))

    @function("bill")
    def bill(ctx: Any) -> None: ...

    with pytest.raises(InvalidArgumentError, match="bad trigger"):
        house.worker.add(bill)
    assert house.worker.status().functions == ()


def test_a_blocking_async_handler_does_not_stop_heartbeats_or_checkpoints(house: House) -> None:
    recorded, release = threading.Event(), threading.Event()

    @function("f")
    async def f(ctx: Any) -> str:
        async def body() -> int:
            return 1

        await ctx.step.run("a", body)
        recorded.set()
        release.wait()
        return "end"

    house.worker.add(f)
    run = house.emit("f")
    assert recorded.wait(10)
    house.advance(0.2)
    house.until(lambda: run.outputs() == {"run_01:a:0": 1})
    house.advance(30)
    [beat] = house.server.sent("heartbeat")
    assert [job.job_id for job in beat.jobs] == ["run_01.1"]
    assert house.worker.status().blocked_for > 20
    release.set()
    house.until(lambda: run.status == "completed")


def test_what_a_handler_logs_is_kept_with_its_run(house: House) -> None:
    @function("f")
    async def f(ctx: Any) -> None:
        ctx.logger.warning("low stock: %s", ctx.event.data)

    house.worker.add(f)
    run = house.emit("f", "milk")
    house.until(lambda: run.status == "completed")
    [line] = house.worker.logs(run.id)
    assert (line.text, line.level, line.function_id) == ("low stock: milk", "WARNING", "f")
    assert house.worker.logs("run_99") == ()


def test_drain_finishes_what_is_in_hand(house: House) -> None:
    started, release = threading.Event(), threading.Event()

    @function("f")
    def f(ctx: Any) -> str:
        started.set()
        release.wait()
        return "end"

    house.worker.add(f)
    run = house.emit("f")
    assert started.wait(10)
    threading.Timer(0.01, release.set).start()
    house.worker.drain("1m")
    assert run.status == "completed"
    assert house.worker.status().state == "stopped"
    house.worker.start()
    again = house.emit("f")
    house.until(lambda: again.status == "completed")


def test_stop_gives_up_what_is_in_hand(house: House) -> None:
    started, release = threading.Event(), threading.Event()

    @function("f")
    def f(ctx: Any) -> str:
        started.set()
        release.wait()
        return ctx.step.run("after", lambda: "never")  # type: ignore[no-any-return]

    house.worker.add(f)
    run = house.emit("f")
    assert started.wait(10)
    house.worker.stop()
    release.set()
    assert house.worker.status().state == "stopped"
    assert house.server.count("report") == 0
    assert run.status == "running"


def test_the_id_survives_the_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = House(tmp_path)
    second = House(tmp_path)
    assert first.worker.worker_id != second.worker.worker_id
    assert f"another live process is the worker {first.worker.worker_id}" in caplog.text
    first.close()
    second.close()
    third = House(tmp_path)
    assert third.worker.worker_id == first.worker.worker_id
    third.close()


def test_each_start_is_a_new_instance(tmp_path: Path) -> None:
    @function("f")
    def f(ctx: Any) -> None: ...

    instances = []
    for _ in range(2):
        house = House(tmp_path)
        house.worker.add(f)
        instances.append(house.worker.status().instance_id)
        assert house.server.registered[house.worker.worker_id].instance_id == instances[-1]
        house.close()
    assert len(set(instances)) == 2


@pytest.mark.parametrize(("url", "pause"), [("http://127.0.0.1:9123", 0.2), ("https://ironflow.example.com", 5.0)])
def test_a_local_server_is_sought_again_sooner_than_another(tmp_path: Path, url: str, pause: float) -> None:
    @function("f")
    def f(ctx: Any) -> None: ...

    server = FakeServer(lab=())
    server.server_url = url
    server.fault("poll", Fault(before=gone()))
    house = House(tmp_path, server=server)
    try:
        house.worker.add(f)
        house.until(lambda: server.count("poll") == 1)
        house.advance(pause - 0.1)
        assert server.count("poll") == 1
        house.advance(0.1)
        house.until(lambda: server.count("poll") > 1)
    finally:
        house.close()
