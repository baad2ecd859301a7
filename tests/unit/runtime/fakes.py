"""An in-memory server with faults, and segments of its jobs."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ironflow_lab.errors import ApiError, NotFoundError, StaleExecutionError, UnavailableError
from ironflow_lab.models import runs as models
from ironflow_lab.models.functions import (
    Function,
    FunctionHistoryEntry,
    ListFunctionHistoryResponse,
    RegisterFunctionRequest,
)
from ironflow_lab.models.instant import Instant, Int64
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.models.server import Capabilities
from ironflow_lab.models.workers import (
    Assignment,
    CompletedStep,
    Fence,
    HeartbeatRequest,
    JobEvent,
    JobUpdate,
    LeaseLine,
    RegisterRequest,
    StepResult,
    WorkerStatus,
)
from ironflow_lab.runtime.pool import DaemonPool
from ironflow_lab.runtime.publishing import Message
from ironflow_lab.runtime.tools import Tools
from ironflow_lab.wire import codec
from tests.unit.runtime.faketime import START, FakeClock


@dataclass
class Run:
    """A run on the fake server."""

    id: str
    function_id: str
    data: Any
    steps: dict[str, StepResult] = field(default_factory=dict)
    status: str = "queued"
    attempt: int = 1
    execution_seq: int = 0
    finished: JobUpdate | None = None
    waiting_for: str = ""
    pausing: bool = False
    function_version: int = 0
    created_at: int = 0

    @property
    def job_id(self) -> str:
        return f"{self.id}.{self.execution_seq}"

    @property
    def output(self) -> Any:
        return plain(self.finished.output) if self.finished is not None else None

    def outputs(self) -> dict[str, Any]:
        """Return the output of each completed step by id."""
        return {key: plain(step.output) for key, step in self.steps.items() if step.status == "completed"}


@dataclass
class Fault:
    """What happens to one call.

    `before` is raised instead of it (the request is lost), `after` once it was applied (the reply
    is lost); `gate` holds the request and `reply_gate` the reply until set; `twice` applies it twice.
    """

    before: ApiError | None = None
    after: ApiError | None = None
    gate: asyncio.Event | None = None
    reply_gate: asyncio.Event | None = None
    twice: bool = False


def plain(value: Any) -> Any:
    """Return JSON text as the value it stands for."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def gone() -> UnavailableError:
    """Return the error of a server that does not answer."""
    return UnavailableError("connection refused; is the server running?", retryable=True)


def broken(status: int = 503) -> UnavailableError:
    """Return the error of a server that answers but fails."""
    return UnavailableError(f"HTTP {status}", status=status, retryable=True)


class FakeServer:
    """The polling-worker protocol in memory; every message passes through JSON as on the wire."""

    def __init__(self, *, lab: tuple[str, ...] = ("workers/lease",), retries: bool = True) -> None:
        self.server_url = "http://127.0.0.1:9123"
        self.lab = lab
        self.retries = retries
        self.all_runs: dict[str, Run] = {}
        self.functions_by_id: dict[str, RegisterFunctionRequest] = {}
        self.registered: dict[str, RegisterRequest] = {}
        self.calls: list[tuple[str, Any]] = []
        self.held = True
        self.waits: list[int] = []
        self.hand_out_wakes = True
        self.changes: list[FunctionHistoryEntry] = []
        self.time = START
        self.open_leases: set[asyncio.Queue[LeaseLine | None]] = set()
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._changed = asyncio.Event()
        self._ids = itertools.count(1)
        self.workers = FakeWorkerCalls(self)
        self.functions = FakeFunctionCalls(self)
        self.runs = FakeRunCalls(self)
        self.topics = FakeTopicCalls(self)
        self.server = FakeServerCalls(self)

    # ---- what a test does

    def emit(self, function_id: str, data: Any = None) -> Run:
        """Start a run."""
        run = Run(f"run_{next(self._ids):02d}", function_id, data, created_at=self.tick())
        current = self.current(function_id)
        run.function_version = current.version if current is not None else 0
        self.all_runs[run.id] = run
        self.changed()
        return run

    def tick(self) -> int:
        """Return a later moment than before."""
        self.time += 1
        return self.time

    def current(self, function_id: str) -> Function | None:
        """Return the function as it is registered now."""
        entry = next((one for one in reversed(self.changes) if one.function_id == function_id), None)
        return None if entry is None or entry.change_type == "delete" else entry.function_snapshot

    def define(self, request: RegisterFunctionRequest) -> None:
        """Register a function; another code hash is another version."""
        before = self.current(request.id)
        self.functions_by_id[request.id] = request
        if before is None or before.metadata != request.metadata:
            version = before.version + 1 if before is not None else 1
            self._change(Function(id=request.id, version=version, metadata=request.metadata))

    def forget_function(self, function_id: str) -> None:
        """Delete a function; its runs stay."""
        before = self.current(function_id)
        assert before is not None
        self._change(before, "delete")

    def _change(self, function: Function, change_type: str = "update") -> None:
        entry = FunctionHistoryEntry(
            entity_version=Int64(sum(one.function_id == function.id for one in self.changes) + 1),
            function_id=function.id,
            function_snapshot=function,
            change_type=change_type,
            recorded_at=Instant(self.tick()),
        )
        self.changes.append(entry)

    def fault(self, call: str, *faults: Fault) -> None:
        """Let these happen to the next calls of that name, one each."""
        self._faults[call].extend(faults)

    def wake(self, run: Run) -> None:
        """End what a run waits for."""
        run.status = "queued"
        self.changed()

    def say(self, line: LeaseLine | None) -> None:
        """Write a line to every lease connection; None closes them."""
        for lines in self.open_leases:
            lines.put_nowait(line)

    def count(self, call: str) -> int:
        """Return how often a call arrived."""
        return sum(name == call for name, _ in self.calls)

    def sent(self, call: str) -> list[Any]:
        """Return the messages of all calls of that name."""
        return [message for name, message in self.calls if name == call]

    def lose_lease(self, run: Run) -> None:
        """Take the run from its worker and queue it again."""
        run.execution_seq += 1
        run.status = "queued"
        self.changed()

    def forget_workers(self) -> None:
        """Restart with no memory of workers."""
        self.registered.clear()
        for run in self.all_runs.values():
            if run.status == "running":
                self.lose_lease(run)

    async def until(self, met: Callable[[], bool]) -> None:
        """Return once the condition holds; it is looked at whenever a call arrives."""
        while not met():
            self._changed.clear()
            await self._changed.wait()

    def changed(self) -> None:
        self._changed.set()

    # ---- the protocol

    async def call(self, name: str, message: Any, apply: Callable[[], Awaitable[Any] | Any]) -> Any:
        self.calls.append((name, message))
        fault = self._faults[name].popleft() if self._faults[name] else Fault()
        if fault.gate is not None:
            await fault.gate.wait()
        if fault.before is not None:
            self.changed()
            raise fault.before
        result = apply()
        if isinstance(result, Awaitable):
            result = await result
        if fault.twice:
            apply()
        self.changed()
        if fault.reply_gate is not None:
            await fault.reply_gate.wait()
        if fault.after is not None:
            raise fault.after
        return result

    def known(self, worker_id: str) -> RegisterRequest:
        if worker_id not in self.registered:
            raise NotFoundError(f"no worker {worker_id!r}", status=404)
        return self.registered[worker_id]

    async def claim(self, worker_id: str, available: int, wait: int) -> tuple[Assignment, ...]:
        while True:
            functions = self.known(worker_id).function_ids
            ready = [run for run in self.all_runs.values() if run.status == "queued" and run.function_id in functions]
            if ready or not self.held or wait < 20:
                return tuple(self.assign(run) for run in ready[:available])
            self._changed.clear()
            await self._changed.wait()

    def assign(self, run: Run) -> Assignment:
        run.status = "running"
        run.execution_seq += 1
        done = [step for step in run.steps.values() if step.status == "completed"]
        given = Assignment(
            job_id=run.job_id,
            run_id=run.id,
            function_id=run.function_id,
            attempt=run.attempt,
            max_attempts=25,
            event=JobEvent(id="evt_1", name="order.placed", data=run.data, timestamp=Instant(START)),
            completed_steps=tuple(
                CompletedStep(step_id=step.id, name=step.name, output=plain(step.output)) for step in done
            ),
            execution_seq=run.execution_seq,
            lease_token=f"lt_{run.execution_seq}",
            step_sequence_base=len(run.steps),
        )
        return codec.decode(codec.encode(given), Assignment)

    def fenced(self, job_id: str, execution_seq: int, lease_token: str) -> Run:
        run = self.all_runs[job_id.rpartition(".")[0]]
        current = run.status == "running" and run.execution_seq == execution_seq
        if not current or lease_token != f"lt_{execution_seq}":
            raise StaleExecutionError("stale", code="STALE_EXECUTION", status=409)
        return run

    def status(self, run: Run) -> WorkerStatus:
        return WorkerStatus(status="pausing" if run.pausing else "ok")

    def update(self, job_id: str, update: JobUpdate) -> WorkerStatus:
        run = self.fenced(job_id, update.execution_seq, update.lease_token)
        for position, step in enumerate(update.steps, update.step_offset):
            known = step.id in run.steps
            assert known or position >= len(run.steps), f"the sequence {position} is taken"
            run.steps[step.id] = step
        if update.status == "progress":
            if run.pausing and update.boundary is True:
                run.status = "paused"
                return WorkerStatus(status="paused")
            return self.status(run)
        run.finished = update
        run.status = update.status
        if update.status == "yielded":
            assert isinstance(update.yield_, msgspec.Struct)
            run.waiting_for = update.yield_.step_id
            run.steps[update.yield_.step_id] = StepResult(
                id=update.yield_.step_id, name=update.yield_.step_id.split(":")[1], output=None
            )
            if self.hand_out_wakes:
                run.status = "queued"
        elif update.status == "failed" and self.retries:
            assert isinstance(update.error, msgspec.Struct)
            if update.error.retryable and run.attempt < 5:
                run.attempt += 1
                run.status = "queued"
        return WorkerStatus(status="ok")


def through_json(message: Any) -> Any:
    """Return the message as the server would read it."""
    return codec.decode(codec.encode(message), type(message))


@dataclass
class FakeReply:
    """The answer to a poll."""

    jobs: tuple[Assignment, ...]
    held: bool


class FakeWorkerCalls:
    """`client.workers` of the fake server."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def register(self, worker_id: str, message: RegisterRequest, /) -> None:
        def apply() -> None:
            self._server.registered[worker_id] = message

        await self._server.call("register", through_json(message), apply)

    async def heartbeat(self, worker_id: str, message: HeartbeatRequest, /) -> None:
        await self._server.call("heartbeat", through_json(message), lambda: self._server.known(worker_id))

    async def poll(self, worker_id: str, /, *, available: int, wait: int = 20) -> FakeReply:
        server = self._server
        server.waits.append(wait)
        jobs = await server.call("poll", available, lambda: server.claim(worker_id, available, wait))
        return FakeReply(jobs, server.held)

    async def ack(self, worker_id: str, job_id: str, fence: Fence, /) -> WorkerStatus:
        server = self._server

        def apply() -> WorkerStatus:
            server.known(worker_id)
            return server.status(server.fenced(job_id, fence.execution_seq, fence.lease_token))

        answer: WorkerStatus = await server.call("ack", fence, apply)
        return answer

    async def update(self, worker_id: str, job_id: str, message: JobUpdate, /) -> WorkerStatus:
        server, received = self._server, through_json(message)
        name = "checkpoint" if message.status == "progress" else "report"
        answer: WorkerStatus = await server.call(name, received, lambda: server.update(job_id, received))
        return answer

    async def lease(self, worker_id: str, instance_id: str, /) -> AsyncIterator[LeaseLine]:
        server = self._server
        await server.call("lease", instance_id, lambda: server.known(worker_id))
        lines: asyncio.Queue[LeaseLine | None] = asyncio.Queue()
        server.open_leases.add(lines)
        try:
            yield LeaseLine(type="held")
            while (line := await lines.get()) is not None:
                yield line
        finally:
            server.open_leases.discard(lines)


class FakeFunctionCalls:
    """`client.functions` of the fake server."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def register(self, request: RegisterFunctionRequest, /) -> None:
        def apply() -> None:
            self._server.define(request)

        await self._server.call("register_function", request, apply)

    async def history(
        self, function_id: str, /, *, limit: int = 0, from_version: int = 0
    ) -> ListFunctionHistoryResponse:
        def apply() -> ListFunctionHistoryResponse:
            changes = [one for one in self._server.changes if one.function_id == function_id]
            found = [one for one in reversed(changes) if not from_version or one.entity_version < from_version]
            return ListFunctionHistoryResponse(entries=tuple(found[:limit]), has_more=len(found) > limit)

        answer: ListFunctionHistoryResponse = await self._server.call("history", function_id, apply)
        return answer


class FakeRunCalls:
    """`client.runs` of the fake server."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def get(self, run_id: str, /) -> models.Run:
        def apply() -> models.Run:
            if run_id not in self._server.all_runs:
                raise NotFoundError(f"no run {run_id!r}", status=404)
            run = self._server.all_runs[run_id]
            return models.Run(
                id=run.id,
                function_id=run.function_id,
                function_version=run.function_version,
                created_at=Instant(run.created_at),
            )

        answer: models.Run = await self._server.call("get_run", run_id, apply)
        return answer


class FakeServerCalls:
    """`client.server` of the fake server."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def capabilities(self) -> Capabilities:
        server = self._server
        found: Capabilities = await server.call("capabilities", None, lambda: Capabilities(lab=server.lab))
        return found


class FakeTopicCalls:
    """`client.topics` of the fake server."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def publish(
        self, topic: str, data: Any, /, *, idempotency_key: str = "", run_id: str = ""
    ) -> PublishResponse:
        message = Message(topic=topic, data=data, idempotency_key=idempotency_key, run_id=run_id)
        found: PublishResponse = await self._server.call("publish", message, lambda: PublishResponse(event_id="evt_1"))
        return found


class FakeTopics:
    """Takes messages; one with a key it has seen gets the first one's place again."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.places: dict[str, int] = {}
        self.refusals: deque[ApiError] = deque()

    def publish(self, message: Message) -> Future[PublishResponse]:
        """Take a message at once."""
        answer: Future[PublishResponse] = Future()
        self.messages.append(message)
        if self.refusals:
            answer.set_exception(self.refusals.popleft())
            return answer
        known = message.idempotency_key in self.places
        place = self.places.setdefault(message.idempotency_key, len(self.places) + 1)
        answer.set_result(PublishResponse(event_id=f"evt_{place}", sequence=Int64(place), duplicate=known))
        return answer


BODIES, THREADS = DaemonPool("test-body"), DaemonPool("test-branch")


def tools(topics: FakeTopics | None = None, clock: FakeClock | None = None) -> Tools:
    """Return what an execution needs."""
    publish = (topics or FakeTopics()).publish
    return Tools(pool=BODIES, threads=THREADS, clock=clock or FakeClock(), publish=publish)
