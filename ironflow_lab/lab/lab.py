"""`Lab`: one joined server with every verb a notebook needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, overload

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.client.arguments import When
from ironflow_lab.lab.defining import Definer
from ironflow_lab.lab.emission import Emission
from ironflow_lab.lab.emitting import emit, emit_sync
from ironflow_lab.lab.handles import DEFAULT_LIMIT, RunsLike, run_ids
from ironflow_lab.lab.invoking import invoke
from ironflow_lab.lab.run import Run
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.watch import watch
from ironflow_lab.lab.worker import WorkerCard
from ironflow_lab.models.runs import Run as Record
from ironflow_lab.runtime.function import Durability, DurableFunction, Handler
from ironflow_lab.runtime.options import Concurrency, On, PauseBehavior, Recording, Retry
from ironflow_lab.wire.duration import Duration

if TYPE_CHECKING:
    import pandas as pd

if "pandas" in sys.modules:
    # Else with the first frame: joining a server does not load pandas.
    from ironflow_lab.lab import accessor

    accessor.register()


class Lab:
    """A lab joined to one server. Every verb is plain (no `await`) and works in a notebook's cell.

    The stop button ends any wait within half a second and cancels what waited; runs (but for that of
    `invoke`) and the worker go on. Verbs that change something raise `GuardError` on a server that is
    not on this machine, unless that was allowed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._definer = Definer(session)

    # ---- clients

    @property
    def client(self) -> Client:
        """The blocking client: the remote API, one attribute per resource, unguarded."""
        return self._session.client

    @property
    def aio(self) -> AsyncClient:
        """The awaited client of the running event loop, for top-level `await`, unguarded."""
        return self._session.awaited()

    # ---- frames

    def runs(
        self,
        *,
        function: str = "",
        status: str | Iterable[str] = (),
        since: When | None = None,
        until: When | None = None,
        search: str = "",
        limit: int | None = DEFAULT_LIMIT,
        payloads: bool = False,
    ) -> pd.DataFrame:
        """Return runs as a frame, newest first, with `frames.schema.RUNS` as columns.

        `status` is one status or several; `since` and `until` take an aware datetime, an RFC 3339 text
        or "2h" (ago). At most `limit` rows, None for all; `attrs["complete"]` says whether more match.
        `payloads` adds the columns `input` and `output`.
        """
        from ironflow_lab.lab import loading

        return loading.runs(
            self._session,
            limit=limit,
            payloads=payloads,
            function_id=function,
            statuses=(status,) if isinstance(status, str) and status else tuple(status),
            since=since,
            until=until,
            search=search,
        )

    def steps(self, runs: RunsLike, *, payloads: bool = True) -> pd.DataFrame:
        """Return the steps of runs as a frame, with `frames.schema.STEPS` as columns.

        `runs` is an id, a `Run`, an `Emission`, a frame with the column `run_id`, or a list of ids.
        `payloads` adds the column `output`.
        """
        from ironflow_lab.lab import loading

        return loading.steps(self._session, run_ids(runs), payloads=payloads)

    def audit(
        self,
        run: str | Run | None = None,
        *,
        function: str = "",
        event_type: str = "",
        since: When | None = None,
        until: When | None = None,
        limit: int | None = DEFAULT_LIMIT,
    ) -> pd.DataFrame:
        """Return audit events as a frame, with `frames.schema.AUDIT` as columns.

        Those of one `run` come oldest first, those of all runs newest first. `event_type` is exact, such
        as `step.failed`. At most `limit` rows, None for all. Runs that were not recorded have none.
        """
        from ironflow_lab.lab import recorded

        return recorded.audit(
            self._session,
            run.id if isinstance(run, Run) else run,
            function=function,
            limit=limit,
            event_type=event_type,
            since=since,
            until=until,
        )

    def timeline(self, run: str | Run) -> pd.DataFrame:
        """Return every moment of a run, oldest first, with `frames.schema.TIMELINE` as columns."""
        return (run if isinstance(run, Run) else self.run(run)).timeline

    def functions(self) -> pd.DataFrame:
        """Return the registered functions as a frame, with `frames.schema.FUNCTIONS` as columns."""
        from ironflow_lab.lab import loading

        return loading.functions(self._session)

    # ---- runs

    def run(self, run_id: str | Run) -> Run:
        """Return one run as it is now; raises `NotFoundError`."""
        wanted = run_id.id if isinstance(run_id, Run) else run_id
        return Run(self._session, self._session.client.runs.get(wanted))

    def wait(self, runs: RunsLike, *, timeout: Duration | None = None) -> list[Run]:
        """Return the runs once every one has ended or is paused, however it ended.

        Raises `WaitTimeoutError` after `timeout`; the runs go on.
        """
        ids = tuple(dict.fromkeys(run_ids(runs)))
        known: dict[str, Record] = {}
        watch(self._session, ids, known, timeout=timeout)
        return [Run(self._session, known[run_id]) for run_id in ids]

    def cancel(self, run_id: str | Run, *, reason: str = "") -> Run:
        """End a run and return it; raises `FailedPreconditionError` when it has ended already."""
        run = self.run(run_id) if isinstance(run_id, str) else run_id
        return run.cancel(reason=reason)

    # ---- events

    def emit(
        self,
        event: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> Emission:
        """Emit an event, which starts every function it triggers, and return at once.

        It is sent again when the server cannot be reached, without doubling. With an
        `idempotency_key` that was used before, the runs of that time are returned.
        """
        return emit(self._session, event, data, idempotency_key=idempotency_key, version=version, metadata=metadata)

    def emit_sync(
        self,
        event: str,
        data: Any = None,
        *,
        timeout: Duration = "30s",
        idempotency_key: str = "",
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> Emission:
        """Emit an event and return when its runs have ended; `.result` is what they returned.

        Raises `WaitTimeoutError` after `timeout`; the runs go on.
        """
        return emit_sync(
            self._session,
            event,
            data,
            timeout,
            idempotency_key=idempotency_key,
            version=version,
            metadata=metadata,
        )

    def emit_frame(
        self,
        event: str,
        df: pd.DataFrame,
        *,
        key: str | None = None,
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> Emission:
        """Emit one event a row, 16 at a time, and return when all are sent.

        The columns of a row are the keys of its data (see `lab.rows.rows`). A refused row does not stop
        the others; `.refused` and the column `emit_error` of `.frame()` say which and why.

        A call that was interrupted, refused in part or lost with its kernel is continued by the same
        call (same event, same rows, same data folder): no row is sent twice. Once all rows are accepted,
        the same call sends all anew. With a `key`, which names the batch, it never does: the same rows
        under the same key give the runs they started the first time, wherever they are sent from.
        """
        from ironflow_lab.lab.emitframe import emit_frame

        return emit_frame(self._session, event, df, key=key, version=version, metadata=metadata)

    def invoke(
        self,
        function: str | DurableFunction,
        data: Any = None,
        *,
        timeout: Duration | None = None,
        idempotency_key: str = "",
    ) -> Any:
        """Start one run of a function, whatever triggers it, and return its output once it has ended.

        `function` is an id or what `lab.function` made; `data` is the run's input. The stop button ends
        the wait and cancels the run. With an `idempotency_key` that was used before, the run of that time
        is waited for, and the stop button lets it go on. Raises `RunFailedError` when the run failed, was
        cancelled or is paused, `WaitTimeoutError` after `timeout` (the run goes on), and `NotFoundError`
        for an unknown function.
        """
        function_id = function if isinstance(function, str) else function.id
        return invoke(self._session, function_id, data, timeout=timeout, idempotency_key=idempotency_key)

    # ---- functions and the worker

    @overload
    def function(self, id: Handler, /) -> DurableFunction: ...
    @overload
    def function(
        self,
        id: str | None = None,
        *,
        on: On | None = None,
        name: str = "",
        description: str = "",
        retry: Retry | None = None,
        timeout: Duration | None = None,
        concurrency: Concurrency | None = None,
        pause_behavior: PauseBehavior | None = None,
        metadata: Mapping[str, Any] | None = None,
        durability: Durability = "pipelined",
        recording: Recording = True,
    ) -> Callable[[Handler], DurableFunction]: ...
    def function(
        self,
        id: Handler | str | None = None,
        *,
        on: On | None = None,
        name: str = "",
        description: str = "",
        retry: Retry | None = None,
        timeout: Duration | None = None,
        concurrency: Concurrency | None = None,
        pause_behavior: PauseBehavior | None = None,
        metadata: Mapping[str, Any] | None = None,
        durability: Durability = "pipelined",
        recording: Recording = True,
    ) -> DurableFunction | Callable[[Handler], DurableFunction]:
        """Return a decorator that registers a function at once and serves it from this process.

        The worker starts with the first function. Running the cell again replaces the function for
        new runs; runs that began with the old code end with it. What is returned is the function,
        which called directly calls the plain handler: `process_order(ctx)`. Its runs are recorded for
        time travel (`run.at`, `run.scrub`) unless `recording` is False. For the options see
        `ironflow_lab.function`.
        """
        options = {
            "on": on,
            "name": name,
            "description": description,
            "retry": retry,
            "timeout": timeout,
            "concurrency": concurrency,
            "pause_behavior": pause_behavior,
            "metadata": metadata,
            "durability": durability,
            "recording": recording,
        }
        return self._definer.decorate(id, options)

    def serve(self, *functions: DurableFunction) -> None:
        """Register functions made with `ironflow_lab.function` and serve them from this process.

        Their runs are recorded for time travel unless a function says otherwise.
        """
        for one in functions:
            self._definer.add(one)

    @property
    def worker(self) -> WorkerCard:
        """The worker of this process: displayed, its status; `.drain()`, `.stop()`, `.logs(run_id)`."""
        return self._definer.worker()

    # ---- safety

    @contextmanager
    def allow(self) -> Iterator[None]:
        """Let changes to a guarded server happen inside a `with` block."""
        with self._session.guard.allow():
            yield

    def close(self) -> None:
        """Close the connections of this lab; the worker of this process goes on."""
        self._session.close()

    def __repr__(self) -> str:
        """Return what was joined, on one line."""
        guard = ", guarded" if self._session.guard.on else ""
        return f"<Lab at {self._session.joined.line()}{guard}>"

    def _repr_html_(self) -> str:
        return f"<div>{escape(repr(self)[1:-1])}</div>"
