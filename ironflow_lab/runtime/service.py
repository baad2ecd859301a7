"""`Worker`: the worker as the rest of a process holds it, from any thread."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import urlsplit

from ironflow_lab.clock import Clock, SystemClock
from ironflow_lab.kernel.session import notebook_name
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.runtime import begun, identity, logs, output, sourcestore
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.logs import LogLine
from ironflow_lab.runtime.output import OutputSink
from ironflow_lab.runtime.pace import LOCAL_RULES, LoopPace, Pace, Rules
from ironflow_lab.runtime.publishing import Message
from ironflow_lab.runtime.registry import Registry
from ironflow_lab.runtime.remote import Remote
from ironflow_lab.runtime.runner import Runner
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.settings import Settings
from ironflow_lab.runtime.sourcestore import SourceStore
from ironflow_lab.runtime.status import WorkerSnapshot
from ironflow_lab.runtime.threads import LoopThread, io_thread, user_thread
from ironflow_lab.runtime.worker import WorkerLoop
from ironflow_lab.wire.discovery import is_loopback
from ironflow_lab.wire.duration import Duration, seconds

log = logging.getLogger("ironflow_lab.runtime")

CONCURRENCY = Settings().concurrency
DRAIN = 60.0


class Worker:
    """Serves durable functions of this process; starts with the first function that is added.

    `remote` must be a client made in the loop of `io`. `settings` hold `concurrency` too, which is for
    callers that say nothing else; `sources` is where the versions of functions are kept. Waiting calls
    can be ended by the stop button, which never stops the worker. Close it with `stop`.
    """

    def __init__(
        self,
        remote: Remote,
        *,
        data_folder: Path,
        concurrency: int = CONCURRENCY,
        settings: Settings | None = None,
        sources: Path | None = None,
        owner: str | None = None,
        rules: Rules | None = None,
        sink: OutputSink | None = None,
        io: LoopThread | None = None,
        user: LoopThread | None = None,
        clock: Clock | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._io = io or io_thread()
        self._sink = sink or output.default_sink()
        self._store = logs.at(data_folder)
        output.use(self._sink, self._store)
        self._identity = identity.acquire(data_folder, owner or identity.owner(notebook_name()))
        if self._identity.shared_with:
            log.warning(
                "another live process is the worker %s of this notebook and data folder; this one"
                " works beside it as %s",
                self._identity.shared_with,
                self._identity.worker_id,
            )
        output.show_logs()
        self._remote = remote
        system = clock or SystemClock()
        local = is_loopback(remote.server_url)
        kept = sources or sourcestore.folder(data_folder, urlsplit(remote.server_url).netloc)
        self._registry = Registry(store=SourceStore(kept), begun=begun.at(kept))
        self._loop = WorkerLoop(
            remote,
            worker_id=self._identity.worker_id,
            instance_id=secrets.token_hex(8),
            registry=self._registry,
            make_executor=lambda deliver: self._make_runner(user or user_thread(), system, deliver),
            pace=pace or LoopPace(),
            clock=system,
            rules=rules or (LOCAL_RULES if local else Rules()),
            settings=settings or Settings().changed(concurrency=concurrency),
            owner=self._identity.mark,
        )

    def _make_runner(self, user: LoopThread, clock: Clock, deliver: Callable[[Segment], None]) -> Runner:
        self._runner = Runner(
            io=self._io,
            user=user,
            sink=self._sink,
            clock=clock,
            deliver=deliver,
            send=self._publish,
            store=self._store,
        )
        return self._runner

    async def _publish(self, message: Message) -> PublishResponse:
        key, run_id = message.idempotency_key, message.run_id
        publish = self._remote.topics.publish
        return await self._loop.until_taken(
            lambda: publish(message.topic, message.data, idempotency_key=key, run_id=run_id)
        )

    @property
    def worker_id(self) -> str:
        """The id servers know this worker by; the same after a restart of the kernel."""
        return self._identity.worker_id

    def add(self, function: DurableFunction) -> None:
        """Register a function and serve it; new runs use it when this returns.

        A function of the same id is replaced; runs that began with it here keep it. Raises
        `ApiError` when the server refuses or cannot be reached; nothing has changed then.
        """
        # First: nothing runs anywhere whose source is not kept.
        self._registry.keep(function)
        self._io.call(lambda: self._loop.add(function))

    def start(self) -> None:
        """Serve again after `drain` or `stop`; the first `add` starts the worker by itself."""
        self._io.call(self._loop.start)

    @property
    def failure(self) -> Exception | None:
        """Why the worker has failed, None unless it has."""
        return self._loop.failure

    @property
    def settings(self) -> Settings:
        """How the worker is set up."""
        return self._loop.settings

    def configure(self, settings: Settings) -> None:
        """Work by these settings from now on and tell the server; jobs in hand go on.

        Raises `ApiError` when the server refuses or cannot be reached; nothing has changed then.
        """
        self._io.call(lambda: self._loop.configure(settings))

    def status(self) -> WorkerSnapshot:
        """Return how the worker stands now."""
        return self._loop.snapshot()

    def logs(self, run_id: str) -> tuple[LogLine, ...]:
        """Return the lines of a run that are kept in the data folder: at most the last 256 kB."""
        return self._store.read(run_id).lines

    def drain(self, timeout: Duration = DRAIN) -> None:
        """Take no more jobs, finish those in hand within `timeout`, and stop.

        What has not finished then is saved as far as it got; its run goes on with another worker.
        """
        limit = seconds(timeout)
        self._io.call(lambda: self._loop.drain(limit))
        self._store.flush()

    def draining(self, seconds: float, *, flush: float | None = None) -> Future[None]:
        """Begin what `drain` does and return at once what ends with it; `flush` bounds the saving, in seconds."""
        return asyncio.run_coroutine_threadsafe(self._loop.drain(seconds, flush=flush), self._io.loop)

    def stop(self) -> None:
        """Stop at once: `drain` without waiting for the jobs in hand."""
        self._io.call(lambda: self._loop.drain(0.0))
        self._store.flush()

    def close(self) -> None:
        """Stop, and let another process take this worker's id."""
        self.stop()
        self._identity.release()

    def __repr__(self) -> str:
        """Return the worker's id and state."""
        now = self.status()
        return f"<worker {now.worker_id}: {now.state}, {len(now.functions)} functions, {len(now.jobs)} jobs>"
