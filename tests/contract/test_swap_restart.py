"""On a real server: a cell edited across a restart of the worker, with a run in flight."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.runtime import begun, logs
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.service import Worker
from ironflow_lab.runtime.threads import io_thread
from ironflow_lab.testing.server import LocalServer

CELL = """async def order(ctx):
    async def body():
        return {version}
    first = await ctx.step.run("first", body)
    await ctx.step.wait_for_event("approval", "approved", timeout="1h")
    return [first, await ctx.step.run("second", body)]
"""


def cell(version: int) -> DurableFunction:
    text = CELL.format(version=version)
    linecache.cache[f"<cell {version}>"] = (len(text), None, text.splitlines(keepends=True), f"<cell {version}>")
    names: dict[str, Any] = {}
    exec(compile(text, f"<cell {version}>", "exec"), names)  # noqa: S102 - as a cell does
    return function("order", on="order.placed")(names["order"])


class Kernels:
    """One worker after the other, of one notebook and data folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.client = Client(url)
        self._current: tuple[Worker, AsyncClient] | None = None

    def begin(self, defined: DurableFunction) -> None:
        """Restart: nothing of the memory is left."""
        self.end()
        begun.at.cache_clear()
        remote = AsyncClient(self.url)
        worker = Worker(remote, data_folder=self.folder, owner="orders.ipynb", sources=self.folder / "sources")
        self._current = worker, remote
        worker.add(defined)

    def end(self) -> None:
        if self._current is not None:
            worker, remote = self._current
            worker.close()
            io_thread().call(remote.aclose)
            self._current = None

    def waiting(self) -> str:
        """Return a run that began on version 1 and waits for an event."""
        self.begin(cell(1))
        (run_id,) = self.client.events.emit("order.placed", {}).run_ids
        self.until(run_id, "waiting")
        return run_id

    def until(self, run_id: str, status: str) -> Any:
        while (run := self.client.runs.get(run_id)).status != status:
            assert run.status not in ("failed", "cancelled"), run.error
        return run


@pytest.fixture
def kernels(tmp_path: Path) -> Iterator[Kernels]:
    with LocalServer() as server:
        found = Kernels(server.url, tmp_path)
        yield found
        found.end()
        found.client.close()


def untouched(sources: Path) -> None:
    """The data folder knows all."""


def only_the_server_knows(sources: Path) -> None:
    (sources / begun.FILE).unlink()


def nobody_knows(sources: Path) -> None:
    for file in sources.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("lose", "output", "said"),
    [(untouched, [1, 1], False), (only_the_server_knows, [1, 1], False), (nobody_knows, [1, 2], True)],
)
def test_a_run_in_flight_across_an_edit_and_a_restart(
    kernels: Kernels, lose: Callable[[Path], None], output: list[int], said: bool
) -> None:
    run_id = kernels.waiting()
    kernels.end()
    lose(kernels.folder / "sources")
    kernels.begin(cell(2))
    kernels.client.events.emit("approved", {})
    assert kernels.until(run_id, "completed").output == output
    told = [line.text for line in logs.at(kernels.folder).read(run_id).lines if "began with version" in line.text]
    assert [cell(1).code_hash[:8] in text and cell(2).code_hash[:8] in text for text in told] == [True] * said
    (fresh,) = kernels.client.events.emit("order.placed", {}).run_ids
    kernels.until(fresh, "waiting")
    assert [step.output for step in kernels.client.runs.steps(fresh)][:1] == [2]


def test_a_moved_run_goes_on_with_the_newest_after_the_restart(kernels: Kernels) -> None:
    run_id = kernels.waiting()
    begun.at(kernels.folder / "sources").move(run_id)
    kernels.begin(cell(2))
    kernels.client.events.emit("approved", {})
    assert kernels.until(run_id, "completed").output == [1, 2]


def test_in_one_process_the_swap_is_for_new_runs_only(kernels: Kernels) -> None:
    run_id = kernels.waiting()
    assert kernels._current is not None
    for version in (2, 3):
        kernels._current[0].add(cell(version))
    (fresh,) = kernels.client.events.emit("order.placed", {}).run_ids
    kernels.until(fresh, "waiting")
    kernels.client.events.emit("approved", {})
    assert kernels.until(run_id, "completed").output == [1, 1]
    assert kernels.until(fresh, "completed").output == [3, 3]
