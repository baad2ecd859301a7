"""The worker's loops: register, poll, heartbeat, hold the leases (worker.md section 3)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from ironflow_lab.clock import Clock
from ironflow_lab.errors import ApiError, NotFoundError, StaleExecutionError
from ironflow_lab.models.workers import HeartbeatRequest, LeaseLine
from ironflow_lab.runtime.desk import Desk
from ironflow_lab.runtime.enrolment import Enrolment
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.job import Executor, Shared
from ironflow_lab.runtime.pace import Pace, Reach, Rules
from ironflow_lab.runtime.registry import Registry
from ironflow_lab.runtime.remote import LEASE, Jobs, Remote, fatal, passing, unreachable
from ironflow_lab.runtime.revival import began_with
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.settings import Settings
from ironflow_lab.runtime.status import FunctionStatus, WorkerSnapshot

T = TypeVar("T")

ANOTHER_KEY = "join again with a key that may run workers, il.connect(api_key=...), and run the functions' cells again"


class WorkerLoop:
    """A worker inside one event loop; `Worker` is its handle for other threads.

    `make_executor` gets the function to call when a segment has news. States: stopped, starting,
    running, reconnecting, restarting, draining, failed; a failed or stopped worker starts again with
    `add` or `start`. It restarts by itself after an error of its own, jobs in hand going on meanwhile;
    it fails when the server refuses it. `owner` goes with every function it registers.
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
        settings: Settings,
        owner: str = "",
    ) -> None:
        self.state = "stopped"
        self.last_error = ""
        self.failure: Exception | None = None
        self.settings = settings
        self.restarts = 0
        self._away = False
        self._remote = remote
        self._worker_id = worker_id
        self._instance_id = instance_id
        self._registry = registry
        self._pace = pace
        self._given = rules
        self._rules = settings.paced(rules)
        self._enrolment = Enrolment(remote, registry, worker_id=worker_id, instance_id=instance_id, owner=owner)
        self._paced = asyncio.Event()
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
            ask=functools.partial(began_with, remote),
            on_fatal=self._doom_by,
        )
        self._main: asyncio.Task[None] | None = None
        self._asking: asyncio.Future[Jobs] | None = None
        self._doom: asyncio.Future[None] | None = None
        self._registered = asyncio.Event()
        self._drained = asyncio.Event()
        self._lease = "heartbeats"
        self._forgotten = 0

    async def add(self, function: DurableFunction, *, patience: float = 10.0) -> None:
        """Register a function and serve it, starting the worker when it does not run.

        New runs use it when this returns. Raises `ApiError` when the server refuses the function or
        the worker; a server that goes away meanwhile is waited for `patience` seconds at most.
        """
        await self._enrolment.add(function)
        known = function.id in self._registry
        self._registry.define(function)
        if self.state == "draining":
            await self._drained.wait()
        if self._main is None or self._main.done():
            self._launch()
        elif not known and self._registered.is_set():
            await self._enrolment.worker(self.settings)
        await self._until_registered(patience)

    async def start(self) -> None:
        """Begin to serve the functions defined so far; nothing happens while there is none."""
        if self._registry.newest() and (self._main is None or self._main.done()):
            self._launch()

    async def configure(self, settings: Settings) -> None:
        """Work by these settings from now on, and announce them; jobs in hand go on.

        A poll under way may still bring as many jobs as it asked for. Raises `ApiError` when the server
        refuses them or cannot be reached: then nothing has changed.
        """
        before = self.settings
        self._apply(settings)
        if self._registered.is_set():
            try:
                await self._enrolment.worker(self.settings)
            except BaseException:
                self._apply(before)
                raise

    def _apply(self, settings: Settings) -> None:
        self.settings = settings
        self._rules = settings.paced(self._given)
        self._desk.freed.set()
        self._paced.set()

    async def drain(self, seconds: float, *, flush: float | None = None) -> None:
        """Take no more jobs, finish those in hand for at most that many seconds, and stop.

        What has not finished then is saved as far as it got, for at most `flush` seconds (the rules'
        when None), and given up: its lease runs out. Cancelling the drain lets the worker take jobs again.
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
            if self._desk.load and seconds > 0:
                await _first(self._desk.idle(), self._pace.sleep(seconds))
            await self._desk.flush_all(self._rules.flush if flush is None else flush)
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
            concurrency=self.settings.concurrency,
            labels=self.settings.labels,
            heartbeat=self._rules.heartbeat,
            restarts=self.restarts,
            lease=self._lease,
            functions=tuple(
                FunctionStatus(
                    id=function.id,
                    triggers=tuple(trigger.event or trigger.cron for trigger in function.triggers),
                    code_hash=function.code_hash,
                    place=function.source.place() if function.source is not None else "",
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
        self.failure = None
        self._registered.clear()
        self._main = asyncio.get_running_loop().create_task(self._live())

    async def _until_registered(self, patience: float) -> None:
        assert self._main is not None
        await _first(self._registered.wait(), _ended(self._main), self._pace.sleep(patience))
        if self._main.done() and self.failure is not None:
            raise self.failure

    async def _live(self) -> None:
        failures = 0
        try:
            while self.state != "draining":
                try:
                    await self._enrolment.everything(self.settings)
                    failures = 0
                    self._enter("running")
                    self._registered.set()
                    await self._serve()
                except ApiError as error:
                    if not passing(error):
                        raise
                    failures += 1
                    self._note(error)
                    await self._retreat(error, failures)
                except Exception as error:  # noqa: BLE001 - an error of our own: begin anew
                    failures += 1
                    self._registered.clear()
                    await self._restart(error, failures)
        except ApiError as error:
            self._fail(error)
        finally:
            self._registered.clear()
            self._enrolment.forget()
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
            self._enrolment.forget()
            self._forgotten += 1
            if self._forgotten > 1:
                await self._retreat(error, self._forgotten - 1)

    async def _session(self) -> None:
        loop = asyncio.get_running_loop()
        self._doom = loop.create_future()
        tasks: set[asyncio.Future[None]] = {
            self._doom,
            loop.create_task(self._kept(self._poll)),
            loop.create_task(self._kept(self._beat)),
            loop.create_task(self._kept(self._hold)),
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

    async def _kept(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let one loop run, again after an error of its own: neither the others nor the jobs notice."""
        failures = 0
        while True:
            began = self._pace.monotonic()
            try:
                if failures:
                    # Of the jobs of an answer that was not dealt with, the server learns here.
                    await self._beat_once()
                    self._enter("running")
                await part()
                return
            except ApiError:
                raise
            except Exception as error:  # noqa: BLE001 - an error of our own: begin anew
                lasted = self._pace.monotonic() - began
                failures = 1 if lasted > self._rules.reconnect.longest else failures + 1
                await self._restart(error, failures)

    async def _restart(self, error: Exception, failures: int) -> None:
        """Note an error of our own and let some time pass before the next try."""
        self.restarts += 1
        self.last_error = f"{type(error).__name__}: {error}"
        self._enter("restarting")
        wait = self._rules.reconnect.after(failures)
        words = "the worker %s restarts in %.1f s after an error of its own; its jobs go on"
        self.settings.logger.error(words, self._worker_id, wait, exc_info=error)
        await self._pace.sleep(wait)

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
        while (free := self.settings.concurrency - self._desk.load) <= 0 or self.state == "draining":
            self._desk.freed.clear()
            await self._desk.freed.wait()
        return free

    async def _beat(self) -> None:
        while True:
            await self._reach.pause(self._rules.heartbeat, self._paced, early=False)
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

    def _fail(self, error: ApiError) -> None:
        self.state = "failed"
        self.failure = error
        remedy = ANOTHER_KEY if fatal(error) else "define a function again to start it anew"
        self.last_error = f"{error}; {remedy}"
        self.settings.logger.error("the worker %s has stopped: %s; %s", self._worker_id, error, remedy)

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
        self.settings.logger.info("worker %s: %s", self._worker_id, error)


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
