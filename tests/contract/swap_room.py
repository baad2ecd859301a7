"""A notebook whose function is edited, served by the real worker loop to the real engine, its kernel killed at will."""

from __future__ import annotations

import asyncio
import linecache
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from ironflow_lab.errors import UnavailableError
from ironflow_lab.models.functions import ListFunctionHistoryRequest, ListFunctionHistoryResponse
from ironflow_lab.models.instant import Instant, Int64
from ironflow_lab.models.runs import Run
from ironflow_lab.models.server import Capabilities
from ironflow_lab.models.workers import (
    Assignment,
    Fence,
    HeartbeatRequest,
    JobUpdate,
    LeaseLine,
    RegisterRequest,
    WorkerStatus,
)
from ironflow_lab.runtime.begun import Begun
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.job import Executor
from ironflow_lab.runtime.pace import Rules
from ironflow_lab.runtime.registry import Registry
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.settings import Settings
from ironflow_lab.runtime.sourcestore import SourceStore
from ironflow_lab.runtime.worker import WorkerLoop
from ironflow_lab.server.engine.commands import Ack, RegisterFunction, RegisterWorker, Report
from ironflow_lab.server.store import functions
from ironflow_lab.server.store.writer import Writer
from tests.contract.engine_room import ENV, LEASE, Room, claim, connected
from tests.unit.runtime.fakes import FakeReply, through_json
from tests.unit.runtime.faketime import FakePace, settle
from tests.unit.runtime.rig import InlineExecutor

# Each body says which version it belongs to; `hold` may stop the handler where it stands.
CELL = """async def handler(ctx):
    async def body():
        return {version}
    for number in range(3):
        await hold(ctx, number)
        await ctx.step.run(f"step-{{number}}", body)
        if number == 0:
            await ctx.step.sleep("nap", 10)
    return {version}
"""


class QuickRoom(Room):
    """An engine whose machine never loses power: nothing waits for the disk."""

    def __enter__(self) -> QuickRoom:
        return self

    def _open(self) -> None:
        self.writer = Writer(self.folder, clock=self.clock, ids=self.ids, lease_ns=LEASE, deliver=self._deliver)
        self.writer._db.execute("PRAGMA synchronous = OFF")
        self.writer.start()


class RoomRemote:
    """What the worker asks of a server, answered by the engine; `faults` of the reads are refused first."""

    server_url = "http://127.0.0.1:9123"

    def __init__(self, room: Room) -> None:
        self.room = room
        self.news = asyncio.Event()
        self.dead = False
        self.faults = 0
        self.slow: asyncio.Event | None = None
        self.workers = self.functions = self.runs = self.server = self
        self.topics: Any = None
        self.asked = 0

    async def _living(self) -> None:
        if self.dead:
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def register(self, *given: Any) -> None:
        await self._living()
        if len(given) == 1:
            if self.slow is not None:
                await self.slow.wait()
            self.room.ask(RegisterFunction(env=ENV, request=through_json(given[0])))
            return
        message: RegisterRequest = given[1]
        self.room.ask(
            RegisterWorker(
                env=ENV, worker_id=given[0], function_ids=message.function_ids, instance_id=message.instance_id
            )
        )
        self.news.set()

    async def history(
        self, function_id: str, /, *, limit: int = 0, from_version: int = 0
    ) -> ListFunctionHistoryResponse:
        await self._living()
        request = ListFunctionHistoryRequest(function_id=function_id, limit=limit, from_version=Int64(from_version))
        with connected(self.room.folder) as db:
            return functions.history(db, ENV, request)

    async def get(self, run_id: str, /) -> Run:
        await self._living()
        self.asked += 1
        if self.faults:
            self.faults -= 1
            raise UnavailableError("the server is away", retryable=True)
        ((function_id, version, created_at),) = self.room.rows(
            "SELECT function_id, function_version, created_at FROM runs WHERE id = ?", run_id
        )
        return Run(id=run_id, function_id=function_id, function_version=version, created_at=Instant(created_at))

    async def poll(self, worker_id: str, /, *, available: int, wait: int = 20) -> FakeReply:
        while True:
            await self._living()
            jobs: tuple[Assignment, ...] = self.room.ask(claim(worker_id, available)).jobs
            if jobs:
                return FakeReply(jobs, True)
            self.news.clear()
            await self.news.wait()

    async def heartbeat(self, worker_id: str, message: HeartbeatRequest, /) -> None:
        await self._living()

    async def ack(self, worker_id: str, job_id: str, fence: Fence, /) -> WorkerStatus:
        await self._living()
        answer: WorkerStatus = self.room.ask(Ack(env=ENV, worker_id=worker_id, fence=fence))
        return answer

    async def update(self, worker_id: str, job_id: str, message: JobUpdate, /) -> WorkerStatus:
        await self._living()
        answer: WorkerStatus = self.room.ask(
            Report(env=ENV, worker_id=worker_id, job_id=job_id, update=through_json(message))
        )
        self.news.set()
        return answer

    async def lease(self, worker_id: str, instance_id: str, /) -> AsyncIterator[LeaseLine]:
        await asyncio.Event().wait()
        yield LeaseLine(type="held")

    async def capabilities(self) -> Capabilities:
        return Capabilities()


class Notebook:
    """One function of one notebook, edited and run again, through as many kernels as it takes."""

    def __init__(self, room: Room, folder: Path, seed: int) -> None:
        self.room, self.folder, self.random = room, folder, random.Random(seed)
        self.function_id = f"f{seed}"
        self.version = 1
        self.runs: list[str] = []
        self.moves: dict[str, int] = defaultdict(int)
        self.held: list[asyncio.Event] = []
        self.holding = True
        self.kernels = self.asked = 0
        self.defined = False
        self.begin_kernel()

    # ---- kernels

    def begin_kernel(self) -> None:
        self.kernels += 1
        self.defined = False
        self.remote = RoomRemote(self.room)
        self.remote.faults = self.random.choice((0, 0, 1))
        self.pace = FakePace()
        self.names: dict[str, Any] = {"hold": self.hold}
        self.registry = Registry(store=SourceStore(self.folder), begun=Begun(self.folder))
        self.worker = WorkerLoop(
            self.remote,
            worker_id=f"w-{self.function_id}",
            instance_id=f"i{self.kernels}",
            registry=self.registry,
            make_executor=self.executor,
            pace=self.pace,
            clock=self.room.clock,
            rules=Rules(),
            settings=Settings(concurrency=4),
        )

    def executor(self, deliver: Any) -> Executor:
        def living(segment: Segment) -> None:
            deliver(segment)

        return InlineExecutor(living, self.room.clock)  # type: ignore[arg-type]

    async def kill(self) -> None:
        """Let this kernel be gone at once: nothing it would still say is heard."""
        self.asked += self.remote.asked
        self.remote.dead = True
        me = asyncio.current_task()
        doomed = [task for task in asyncio.all_tasks() if task is not me]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        self.held.clear()

    # ---- what the user does

    def cell(self) -> DurableFunction:
        """Return the function as the cell defines it now."""
        text = CELL.format(version=self.version)
        name = f"<cell {self.function_id} {self.version}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), self.names)  # noqa: S102 - as a cell does
        return function(self.function_id, on=f"go.{self.function_id}")(self.names["handler"])

    async def run_cell(self, *, stopped: bool = False) -> None:
        """Execute the cell; `stopped` presses the stop button while it registers."""
        defined = self.cell()
        self.registry.keep(defined)
        self.remote.slow = asyncio.Event() if stopped and self.random.random() < 0.5 else None
        task = asyncio.ensure_future(self.worker.add(defined))
        await settle(self.random.randrange(1, 6) if stopped else 20)
        if stopped:
            task.cancel()
        if self.remote.slow is not None:
            self.remote.slow.set()
            self.remote.slow = None
        await asyncio.gather(task, return_exceptions=stopped)
        self.defined = self.defined or not task.cancelled()

    async def hold(self, ctx: Any, number: int) -> None:
        if self.holding and self.random.random() < 0.3:
            self.held.append(asyncio.Event())
            await self.held[-1].wait()

    def let_go(self) -> None:
        for event in self.held:
            event.set()
        self.held.clear()

    def emit(self) -> None:
        self.runs.append(self.room.emit(f"go.{self.function_id}"))
        self.remote.news.set()

    def move(self) -> None:
        run_id = self.random.choice(self.runs)
        self.moves[run_id] += 1
        Begun(self.folder).move(run_id)

    def pass_time(self, seconds: float) -> None:
        self.room.clock.advance(seconds=seconds)
        for _ in range(2):
            self.room.answer(self.room.send(claim("nobody")))
        self.remote.news.set()

    def forget(self) -> None:
        """Lose what the data folder knows of runs, if all of them began on what was current when they were created."""
        known = Begun(self.folder)
        if all(known.of(run_id) in ("", self.created_with(run_id)) for run_id in self.runs):
            (self.folder / "runs.log").unlink(missing_ok=True)

    def created_with(self, run_id: str) -> str:
        (found,) = self.room.rows(
            "SELECT json_extract(h.definition, '$.metadata.__ironflow_code_hash') FROM runs r JOIN function_history h"
            " ON h.function_id = r.function_id AND h.version = r.function_version WHERE r.id = ?",
            run_id,
        )
        return str(found[0])

    # ---- a life

    async def live(self, moments: int) -> None:
        """Let things happen in an order of the seed's."""
        await self.run_cell()
        for _ in range(moments):
            await self.moment(self.random.random())
            await settle(self.random.randrange(0, 30))
        await self.end()

    async def moment(self, chance: float) -> None:
        if chance < 0.22:
            self.emit()
        elif chance < 0.34:
            self.version = self.random.choice((self.version + 1, self.version + 1, max(1, self.version - 1)))
            await self.run_cell()
        elif chance < 0.40:
            await self.run_cell()
        elif chance < 0.50:
            self.version += self.random.choice((0, 1))
            await self.run_cell(stopped=True)
        elif chance < 0.62:
            self.let_go()
        elif chance < 0.76:
            self.pass_time(11)
            await self.pace.advance(0.01)
        elif chance < 0.82:
            # The leases run out, and the runs are handed out again, here as likely as not.
            self.pass_time(100)
        elif chance < 0.86 and self.runs:
            self.move()
        elif chance > 0.88:
            await self.restart()

    async def restart(self) -> None:
        await self.kill()
        if self.random.random() < 0.4:
            self.forget()
        self.begin_kernel()
        self.version += self.random.choice((0, 1, 1))
        if self.random.random() < 0.7:
            await self.run_cell()

    async def end(self) -> None:
        """Let everything go on that can, until every run has ended."""
        self.holding = False
        self.let_go()
        if not self.defined:
            await self.run_cell()
        for _ in range(60):
            await settle(40)
            await self.pace.advance(10)
            self.pass_time(40)
            if all(self.room.status(run_id) == "completed" for run_id in self.runs):
                break
        await self.kill()

    # ---- the law

    def broken(self) -> list[str]:
        """Return what is wrong: runs that were lost, and runs of two versions that nobody moved."""
        found = []
        for run_id in self.runs:
            if self.room.status(run_id) != "completed":
                found.append(f"{run_id} is lost: {self.room.status(run_id)}")
            steps = self.room.rows(
                "SELECT output FROM steps WHERE run_id = ? AND name LIKE 'step-%' ORDER BY sequence", run_id
            )
            ((output,),) = self.room.rows("SELECT output FROM runs WHERE id = ?", run_id)
            versions = [int(one) for (one,) in steps] + [int(output or 0)]
            changes = sum(a != b for a, b in pairwise(versions))
            if len(steps) != 3 or changes > self.moves[run_id]:
                found.append(f"{run_id} has the versions {versions}, moved {self.moves[run_id]} times")
        return found
