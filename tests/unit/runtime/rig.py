"""A worker on the fake server in fake time, executing handlers in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ironflow_lab.models.workers import Assignment
from ironflow_lab.runtime import execution
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.job import Executor
from ironflow_lab.runtime.pace import Rules
from ironflow_lab.runtime.registry import Registry
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.settings import Settings
from ironflow_lab.runtime.worker import WorkerLoop
from tests.unit.runtime.fakes import FakeServer, FakeTopics, Run, tools
from tests.unit.runtime.faketime import FakeClock, FakePace, settle


class InlineExecutor:
    """Executes `async def` handlers in the worker's own loop: no threads, one order of events."""

    def __init__(self, deliver: Callable[[Segment], None], clock: FakeClock) -> None:
        self._deliver = deliver
        self.topics = FakeTopics()
        self._tools = tools(self.topics, clock)
        self.blocked = False
        self.unanswered: list[Callable[[], None]] = []
        self.drained = 0

    def segment(self, assignment: Assignment, function: DurableFunction) -> Segment:
        def announce(segment: Segment) -> None:
            asyncio.get_running_loop().call_soon(self._deliver, segment)

        return Segment(assignment, function, announce=announce)

    def start(self, segment: Segment) -> None:
        run: Coroutine[Any, Any, None] = execution.run_async(segment, self._tools)
        segment.work = asyncio.get_running_loop().create_task(run)

    def abandon(self, segment: Segment) -> None:
        segment.abandoned = segment.journal.closed = True
        segment.saved()
        if segment.work is not None:
            segment.work.cancel()
        if segment.core is not None:
            segment.core.abandon()

    def pause(self, segment: Segment) -> None:
        segment.journal.pausing = True
        if segment.core is not None:
            segment.core.pause()

    def proceed(self, segment: Segment) -> None:
        segment.core.proceed()

    def drain(self) -> None:
        self.drained += 1

    def ping(self, answer: Callable[[], None]) -> None:
        if self.blocked:
            self.unanswered.append(answer)
        else:
            asyncio.get_running_loop().call_soon(answer)


class Rig:
    """A worker on a fake server in fake time, in the test's own loop."""

    def __init__(
        self,
        *,
        concurrency: int = 10,
        rules: Rules | None = None,
        lab: tuple[str, ...] = ("workers/lease",),
        owner: str = "",
        registry: Registry | None = None,
        server: FakeServer | None = None,
    ) -> None:
        self.pace = FakePace()
        self.clock = FakeClock()
        self.server = server or FakeServer(lab=lab)
        self.registry = registry or Registry()
        self.worker = WorkerLoop(
            self.server,
            worker_id="w1",
            instance_id="i1",
            registry=self.registry,
            make_executor=self._executor,
            pace=self.pace,
            clock=self.clock,
            rules=rules or Rules(),
            settings=Settings(concurrency=concurrency),
            owner=owner,
        )

    def _executor(self, deliver: Callable[[Segment], None]) -> Executor:
        self.executor = InlineExecutor(deliver, self.clock)
        return self.executor

    async def add(self, *functions: DurableFunction) -> None:
        """Serve these functions."""
        for function in functions:
            await self.worker.add(function)
        await settle()

    async def run(self, function_id: str, data: Any = None) -> Run:
        """Start a run and let everything happen that can without time passing."""
        run = self.server.emit(function_id, data)
        await settle()
        return run

    async def grace(self) -> None:
        """Let the time pass after which finished steps are saved."""
        await self.pace.advance(0.002)
