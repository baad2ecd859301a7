"""The worker of this process as a notebook holds it: its card, how it is set up, and the verbs that end it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from ironflow_lab.errors import IronflowError
from ironflow_lab.lab import restoring, running
from ironflow_lab.lab.handles import RunsLike, run_ids
from ironflow_lab.lab.serving import Serving
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.workercard import MOST_LINES, html, line
from ironflow_lab.runtime.logs import at as store_at
from ironflow_lab.runtime.service import DRAIN, Worker
from ironflow_lab.runtime.settings import Logger
from ironflow_lab.runtime.status import WorkerSnapshot
from ironflow_lab.wire.duration import Duration

if TYPE_CHECKING:
    import pandas as pd


class WorkerCard:
    """The worker of this process; displayed it shows how it stands at that moment."""

    def __init__(self, serving: Serving, session: Session) -> None:
        self._serving = serving
        self._session = session
        self._guard = session.guard

    def status(self) -> WorkerSnapshot:
        """Return how the worker stands: state, functions, jobs in hand, counts."""
        return self._worker().status()

    def logs(self, runs: RunsLike) -> pd.DataFrame:
        """Return what runs printed, logged, warned of and displayed, a line each, oldest first.

        `runs` is a run, its id, an emission, a frame with `run_id`, or a list of runs. The columns are
        `frames.schema.LOGS`. Lines are kept in the data folder, the last 256 kB of each run: they are
        there after a restart of the kernel, and without a worker in this process.
        """
        from ironflow_lab.lab import logs

        return logs.read(self._serving.folder, run_ids(runs), server_url=self._session.server_url)

    def configure(
        self,
        *,
        concurrency: int | None = None,
        labels: Mapping[str, str] | None = None,
        heartbeat: Duration | None = None,
        reconnect_delay: Duration | None = None,
        logger: Logger | None = None,
    ) -> None:
        """Set the worker up, before its first function or while it runs; what is not given stays as it is.

        `concurrency` is how many jobs it has in hand at once (1 to 1,000), `labels` are shown with it on
        the server (text by text), `heartbeat` is the time between two heartbeats (1 s to 45 s),
        `reconnect_delay` that before the first try after a failure, `logger` gets the worker's own
        messages. Jobs in hand go on. Raises `DefinitionError`, and `ApiError` when the server refuses:
        then nothing has changed.
        """
        self._serving.configure(
            self._serving.settings.changed(
                concurrency=concurrency,
                labels=labels,
                heartbeat=heartbeat,
                reconnect_delay=reconnect_delay,
                logger=logger,
            )
        )

    def start(self) -> None:
        """Serve again after `drain` or `stop`; the guard is asked first."""
        self._guard.check("execute runs in this process")
        self._worker().start()

    def run(self, *, drain_timeout: Duration = DRAIN) -> None:
        """Serve until this process is told to end (SIGINT or SIGTERM): the last line of a script.

        The first signal drains: jobs in hand are finished within `drain_timeout`. A second one stops at
        once. Returns then, or when the worker was stopped otherwise; the signal handlers are as before.
        Raises what made the worker fail, `IronflowError` in a notebook and outside the main thread, and
        `GuardError`.
        """
        running.check_place()
        self._guard.check("execute runs in this process")
        running.run(self._worker(), drain_timeout)

    def drain(self, timeout: Duration = DRAIN) -> None:
        """Take no more jobs, finish those in hand within `timeout`, and stop; `start` undoes it."""
        if self._serving.worker is not None:
            self._serving.worker.drain(timeout)

    def stop(self) -> None:
        """Stop at once; runs in hand go on from their last finished step when a worker takes them."""
        if self._serving.worker is not None:
            self._serving.worker.stop()

    def __repr__(self) -> str:
        """Return one line of status."""
        if self._serving.worker is None:
            return "<worker: not started; it starts with the first @lab.function>"
        return f"<worker {line(self._serving.worker.status())}>"

    def _repr_html_(self) -> str:
        if self._serving.worker is None:
            return f"<div>{escape(repr(self)[1:-1])}</div>"
        return html(
            self._serving.worker.status(),
            self._session.clock.now(),
            logs=store_at(self._serving.folder).newest(MOST_LINES),
            waiting=[one.function_id for one in restoring.waiting(self._session)],
        )

    def _worker(self) -> Worker:
        if self._serving.worker is None:
            raise IronflowError(
                "no worker runs in this process; it starts with the first function defined by @lab.function(...)"
            )
        return self._serving.worker
