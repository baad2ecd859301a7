"""The worker's loops: register, poll, heartbeat, hold the leases (worker.md section 3)."""

from __future__ import annotations

import asyncio
import logging
import platform
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from ironflow_lab._version import __version__
from ironflow_lab.clock import Clock
from ironflow_lab.errors import ApiError, NotFoundError, StaleExecutionError
from ironflow_lab.models.workers import HeartbeatRequest, LeaseLine, RegisterRequest, WorkerVersion
from ironflow_lab.runtime.desk import Desk
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.job import Executor, Shared
from ironflow_lab.runtime.pace import Pace, Reach, Rules
from ironflow_lab.runtime.registry import Registry
from ironflow_lab.runtime.remote import LEASE, Jobs, Remote, fatal, passing, unreachable
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.status import FunctionStatus, WorkerSnapshot

T = TypeVar("T")

log = logging.getLogger("ironflow_lab.runtime")


class WorkerLoop:
    """A worker inside one event loop; `Worker` is its handle for other threads.

    `make_executor` gets the function to call when a segment has news. States: stopped, starting,
    running, reconnecting, draining, failed; a failed or stopped worker starts again with `add`.
    """

    def __init__(
        self,
        remote: Remote,
        *,
        worker_id: str,
        instance_id: str,
        registry: Registry,
        make_executor: Callable[[Callable[[Segment], None]], Executor],
        pace: Pace,
        clock: Clock,
        rules: Rules,
        concurrency: int,
    ) -> None:
        self.state = "stopped"
        self.last_error = ""
        self._away = False
        self._remote = remote
        self._worker_id = worker_id
        self._instance_id = instance_id
        self._registry = registry
        self._pace = pace
        self._rules = rules
        self._concurrency = concurrency
        self._reach = Reach(pace)
        self._executor = make_executor(self._deliver)
        self._desk = Desk(
            registry=registry,
            shared=Shared(
                calls=remote.workers,
                worker_id=worker_id,
                pace=pace,
                reach=self._reach,
                rules=rules,
                clock=clock,
                executor=self._executor,
                on_error=self._note,
            ),
            on_fatal=self._doom_by,
        )
        self._main: asyncio.Task[None] | None = None
        self._asking: asyncio.Future[Jobs] | None = None
        self._doom: asyncio.Future[None] | None = None
        self._registered = asyncio.Event()
        self._drained = asyncio.Event()
        self._confirmed: set[str] = set()
        self._lease = "heartbeats"
        self._forgotten = 0
        self._failure: Exception | None = None

    async def add(self, function: DurableFunction, *, patience: float = 10.0) -> None:
        """Register a function and serve it, starting the worker when it does not run.

        New runs use it when this returns. Raises `ApiError` when the server refuses the function or
        the worker; a server that goes away meanwhile is waited for `patience` seconds at most.
        """
        await self._remote.functions.register(function.request())
        known = function.id in self._registry
        self._registry.define(function)
        self._confirmed.add(function.id)
        if self.state == "draining":
            await self._drained.wait()
        if self._main is None or self._main.done():
            self._launch()
        elif not known and self._registered.is_set():
            await self._announce_worker()
        await self._until_registered(patience)

    async def start(self) -> None:
        """Begin to serve the functions defined so far; nothing happens while there is none."""
        if self._registry.newest() and (self._main is None or self._main.done()):
            self._launch()

    async def drain(self, seconds: float) -> None:
        """Take no more jobs, finish those in hand for at most that many seconds, and stop.

        What has not finished then is saved as far as it got and given up: its lease runs out.
        Cancelling the drain lets the worker take jobs again.
        """
        main = self._main
        if main is None or main.done():
            self.state = "stopped"
            return
        before, self.state = self.state, "draining"
        self._drained.clear()
        if self._asking is not None:
            self._asking.cancel()
        try:
            if self._desk.jobs and seconds > 0:
                await _first(self._desk.idle(), self._pace.sleep(seconds))
            await self._desk.flush_all(self._rules.flush)
            main.cancel()
            await asyncio.wait({main})
            self.state = "stopped"
        finally:
            if self.state == "draining":
                self.state = before
            self._desk.freed.set()
            self._drained.set()

    def snapshot(self) -> WorkerSnapshot:
        """Return how the worker stands; from any thread."""
        return WorkerSnapshot(
            state=self.state,
            worker_id=self._worker_id,
            instance_id=self._instance_id,
            server_url=self._remote.server_url,
            concurrency=self._concurrency,
            lease=self._lease,
            functions=tuple(
                FunctionStatus(
                    id=function.id,
                    triggers=tuple(trigger.event for trigger in function.triggers),
                    code_hash=function.code_hash,
                )
                for function in self._registry.newest()
            ),
            jobs=self._desk.status(),
            counts=msgspec.structs.replace(self._desk.counts),
            last_error=self.last_error,
            blocked_for=self._desk.blocked_for(),
        )

    def _deliver(self, segment: Segment) -> None:
        self._desk.deliver(segment)

    def _launch(self) -> None:
        self.state = "starting"
        self._forgotten = 0
        self._failure = None
        self._registered.clear()
        self._main = asyncio.get_running_loop().create_task(self._live())

    async def _until_registered(self, patience: float) -> None:
        assert self._main is not None
        await _first(self._registered.wait(), _ended(self._main), self._pace.sleep(patience))
        if self._main.done() and self._failure is not None:
            raise self._failure

    async def _live(self) -> None:
        failures = 0
        try:
            while self.state != "draining":
                try:
                    await self._announce()
                except ApiError as error:
                    if not passing(error):
                        raise
                    failures += 1
                    self._note(error)
                    await self._retreat(error, failures)
                    continue
                failures = 0
                self._enter("running")
                self._registered.set()
                await self._serve()
        except Exception as error:  # noqa: BLE001 - whatever ends the worker is shown as its state
            self._fail(error)
        finally:
            self._registered.clear()
            self._confirmed.clear()
            self._desk.abandon_all()

    async def _serve(self) -> None:
        """Serve until the server has forgotten this worker; raises `ApiError` when it refuses it."""
        try:
            await self._session()
        except NotFoundError as error:
            # Registrations may be lost with a server's memory; so are the leases of all jobs.
            self._note(error)
            self._desk.abandon_all()
            self._registered.clear()
            self._confirmed.clear()
            self._forgotten += 1
            if self._forgotten > 1:
                await self._retreat(error, self._forgotten - 1)

    async def _session(self) -> None:
        loop = asyncio.get_running_loop()
        self._doom = loop.create_future()
        tasks: set[asyncio.Future[None]] = {
            self._doom,
            loop.create_task(self._poll()),
            loop.create_task(self._beat()),
            loop.create_task(self._hold()),
        }
        pending = set(tasks)
        try:
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _announce(self) -> None:
        for function in self._registry.newest():
            if function.id not in self._confirmed:
                await self._remote.functions.register(function.request())
        # What was confirmed now is sent again at the next registration (worker.md section 2).
        self._confirmed.clear()
        await self._announce_worker()

    async def _announce_worker(self) -> None:
        message = RegisterRequest(
            worker_id=self._worker_id,
            hostname=socket.gethostname(),
            function_ids=tuple(function.id for function in self._registry.newest()),
            max_concurrent_jobs=self._concurrency,
            version=WorkerVersion(sdk=__version__, runtime=f"python-{platform.python_version()}"),
            instance_id=self._instance_id,
        )
        await self._remote.workers.register(self._worker_id, message)

    async def _poll(self) -> None:
        failures = 0
        while True:
            free = await self._room()
            # After a failure a short one, which soon shows that the server is back.
            wait = 1 if failures else self._rules.poll_wait
            try:
                reply = await self._ask(free, wait)
            except ApiError as error:
                if isinstance(error, NotFoundError) or fatal(error):
                    raise
                failures += 1
                self._note(error)
                self._enter("reconnecting")
                await self._retreat(error, failures)
                continue
            if reply is None:
                continue
            failures = self._forgotten = 0
            self._enter("running")
            self._answered()
            if reply.jobs:
                self._desk.take(reply.jobs[:free])
            elif not reply.held:
                await self._pace.sleep(self._rules.unheld_pause)

    async def _ask(self, free: int, wait: int) -> Jobs | None:
        """Poll once; None when a drain dropped the poll."""
        poll = self._remote.workers.poll(self._worker_id, available=free, wait=wait)
        self._asking = asyncio.ensure_future(poll)
        try:
            await asyncio.wait({self._asking})
        finally:
            self._asking.cancel()
        return None if self._asking.cancelled() else self._asking.result()

    async def _room(self) -> int:
        """Return how many slots are free, once one is and no drain is under way."""
        while (free := self._concurrency - len(self._desk.jobs)) <= 0 or self.state == "draining":
            self._desk.freed.clear()
            await self._desk.freed.wait()
        return free

    async def _beat(self) -> None:
        while True:
            await self._pace.sleep(self._rules.heartbeat)
            await self._beat_once()

    async def _beat_once(self) -> None:
        jobs = self._desk.beats()
        message = HeartbeatRequest(worker_id=self._worker_id, active_jobs=len(jobs), jobs=jobs)
        try:
            await self._remote.workers.heartbeat(self._worker_id, message)
        except ApiError as error:
            if isinstance(error, NotFoundError) or fatal(error):
                raise
            self._note(error)
        else:
            self._answered()

    async def _hold(self) -> None:
        """Hold the leases by a connection where the server offers it; return at once elsewhere."""
        if not await self._offers_lease():
            return
        failures, before = 0, False
        while True:
            try:
                async for line in self._remote.workers.lease(self._worker_id, self._instance_id):
                    failures = 0
                    self._heed(line)
                    if line.type == "held" and before:
                        # The server was away: it may believe in jobs that never arrived here.
                        await self._beat_once()
                    before = True
                error = None
            except ApiError as refusal:
                if isinstance(refusal, NotFoundError | StaleExecutionError) or fatal(refusal):
                    raise
                self._note(refusal)
                error = refusal
            finally:
                self._lease = "heartbeats"
            failures += 1
            await self._retreat(error, failures)

    async def _offers_lease(self) -> bool:
        failures = 0
        while True:
            try:
                return LEASE in (await self._remote.server.capabilities()).lab
            except ApiError as error:
                if fatal(error):
                    raise
                if not passing(error):
                    return False
                failures += 1
                await self._retreat(error, failures)

    def _heed(self, line: LeaseLine) -> None:
        if line.type == "held":
            self._lease = "connection"
            self._answered()
        elif line.type == "cancel":
            self._desk.cancel(line.run_id, line.job_id)
        elif line.type == "pause":
            self._desk.pause(line.run_id, line.job_id)

    async def _retreat(self, error: ApiError | None, failures: int) -> None:
        wait = max(self._rules.reconnect.after(failures), (error and error.retry_after) or 0.0)
        early = error is not None and unreachable(error)
        await self._reach.pause(wait, asyncio.Event(), early=early)

    async def until_taken(self, send: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what `send` returns, sent again for as long as no server answers; for messages with a key.

        A server that is away is nobody's failure: it shall cost the run no attempt.
        """
        failures = 0
        while True:
            try:
                return await send()
            except ApiError as error:
                if not unreachable(error):
                    raise
                failures += 1
                self._note(error)
                wait = self._rules.report.after(failures)
                await self._reach.pause(wait, asyncio.Event(), early=True)

    def _enter(self, state: str) -> None:
        if self.state != "draining":
            self.state = state

    def _fail(self, error: Exception) -> None:
        self.state = "failed"
        self._failure = error
        self.last_error = str(error) if isinstance(error, ApiError) else f"{type(error).__name__}: {error}"
        log.error(
            "the worker %s has stopped: %s; define a function again to start it anew",
            self._worker_id,
            error,
            exc_info=None if isinstance(error, ApiError) else error,
        )

    def _doom_by(self, error: ApiError) -> None:
        if self._doom is not None and not self._doom.done():
            self._doom.set_exception(error)

    def _answered(self) -> None:
        """Note that the server is there, which is news only after it was not."""
        if self._away:
            self._away, self.last_error = False, ""
        self._reach.up()

    def _note(self, error: ApiError) -> None:
        self.last_error = str(error)
        self._away = unreachable(error)
        log.info("worker %s: %s", self._worker_id, error)


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when the first of these has ended; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})
