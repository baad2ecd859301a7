"""`Lab`: one joined server with every verb a notebook needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Unpack, overload

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.client.arguments import When
from ironflow_lab.lab import aftercells, moving, restoring, sources
from ironflow_lab.lab.defining import Definer, takes
from ironflow_lab.lab.emission import Emission
from ironflow_lab.lab.emitting import emit, emit_sync
from ironflow_lab.lab.handles import DEFAULT_LIMIT, RunsLike, run_ids
from ironflow_lab.lab.invoking import invoke
from ironflow_lab.lab.run import Run
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.sources import FunctionSource
from ironflow_lab.lab.watch import watch
from ironflow_lab.lab.worker import WorkerCard
from ironflow_lab.models.runs import Run as Record
from ironflow_lab.runtime.definition import Options
from ironflow_lab.runtime.function import DurableFunction, Handler
from ironflow_lab.runtime.function import function as durable
from ironflow_lab.runtime.handler import handler as short_form
from ironflow_lab.runtime.upcasters import Upcasters
from ironflow_lab.wire.duration import Duration

if TYPE_CHECKING:
    import pandas as pd

    from ironflow_lab.history.recording import Recording
    from ironflow_lab.lab.bisecting import Found
    from ironflow_lab.lab.checking import Check, Checkable, Checked
    from ironflow_lab.lab.sharing import Shared
    from ironflow_lab.lab.snapshot import Snapshot

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
            function_id=self._session.naming.function(function) if function else "",
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
            function=self._session.naming.function(function) if function else "",
            limit=limit,
            event_type=event_type,
            since=since,
            until=until,
        )

    def timeline(self, run: str | Run) -> pd.DataFrame:
        """Return every moment of a run, oldest first, with `frames.schema.TIMELINE` as columns."""
        return (run if isinstance(run, Run) else self.run(run)).timeline

    def functions(self) -> pd.DataFrame:
        """Return the registered functions as a frame, with `frames.schema.FUNCTIONS` as columns.

        In a namespace they are those of the namespace.
        """
        from ironflow_lab.lab import loading

        return loading.functions(self._session)

    # ---- runs

    def run(self, run_id: str | Run) -> Run:
        """Return one run as it is now; raises `NotFoundError`."""
        wanted = run_id.id if isinstance(run_id, Run) else run_id
        return Run(self._session, self._session.client.runs.get(wanted))

    def bisect(
        self, run: str | Run, predicate: Callable[[Snapshot], Any], *, first: int | When | Snapshot = 0
    ) -> Found:
        """Return the first position of a run at which the predicate holds, and the event that made it so.

        The predicate is called with a `Snapshot`, as `run.at` gives it: for n events at most log2(n) + 2 times (rounded
        up), at both ends and in between, each with one look at the state. It is assumed to hold on once it holds; the
        result says when it holds at the beginning or not at the end. `first` is where the search begins: a
        position, a time, a step's name or a snapshot. What the predicate looks up and is not there yet counts as
        "does not hold" (`NotFoundError`, `KeyError`, `IndexError`, and a `TypeError` or `AttributeError` about None
        or UNSET); every other error of it is raised. Raises `FailedPreconditionError` for a run that was not
        recorded.
        """
        from ironflow_lab.lab import bisecting

        one = run if isinstance(run, Run) else self.run(run)
        return bisecting.bisect(one._history(), predicate, first=first)

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

    def compare(self, runs: RunsLike | Sequence[Recording], by: str | Callable[[Record], bool] | None = None) -> Shared:
        """Return what the failed of the runs share that the completed lack, best first, with counts and chance.

        Looked at are values in inputs and step outputs, steps present and absent, tries, function version,
        code, worker, event and time. `by` parts the runs in another way: a function of a run's record, or
        the name of a column of the frame given. At most 1,000 runs are read. Raises `DefinitionError` where
        one of the two groups is empty.
        """
        from ironflow_lab.lab import sharing

        return sharing.compare(self._session, runs, by)

    def check(self, fn: Checkable, runs: Checked | None = None, *, limit: int | None = None) -> Check:
        """Return which recorded runs changed code would repeat, and where the others diverge from it, and why.

        `fn` is what `lab.function` made, a plain handler, or a function's id (its newest code here). `runs` are
        runs as elsewhere, or recordings; None means the 20 newest of the function, and at most 100 are checked
        unless `limit` says otherwise. Their code between the steps is executed in this process, behind a gate, with
        the recorded outputs of the steps; no step is executed, and nothing is changed. Runs that have not ended are
        checked as far as they are. Warns when the runs are another function's. Raises `NotFoundError` for an unknown
        run, and for an id that is not defined in this process.
        """
        from ironflow_lab.lab import checking

        return checking.check(self._session, fn, runs, limit=limit)

    def check_after_cells(self, runs: int | bool = 20) -> None:
        """Check the newest runs of a function after each cell that redefines it, until it is called with False.

        It happens in the background once the cell has ended, and ends with a newer definition; what was found is one
        line under the cell, none where there are no runs or the code has not changed. Raises `GuardError` on a guarded
        server, whose payloads it would read: allow it once with `lab.allow()`.
        """
        aftercells.arm(self._session, runs)

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
        trace: bool = True,
    ) -> Any:
        """Start one run of a function, whatever triggers it, and return its output once it has ended.

        In a notebook and at a terminal the run's steps are shown while and after it runs, unless `trace`
        is False.

        `function` is an id or what `lab.function` made; `data` is the run's input. The stop button ends
        the wait and cancels the run. With an `idempotency_key` that was used before, the run of that time
        is waited for, and the stop button lets it go on. Raises `RunFailedError` when the run failed, was
        cancelled or is paused, `WaitTimeoutError` after `timeout` (the run goes on), and `NotFoundError`
        for an unknown function.
        """
        function_id = self._session.naming.function(function)
        return invoke(self._session, function_id, data, timeout=timeout, idempotency_key=idempotency_key, trace=trace)

    # ---- functions and the worker

    @overload
    def function(self, id: Handler, /) -> DurableFunction: ...
    @overload
    def function(self, id: str | None = None, **given: Unpack[Options]) -> Callable[[Handler], DurableFunction]: ...
    @takes(durable)
    def function(
        self, id: Handler | str | None = None, **given: Unpack[Options]
    ) -> DurableFunction | Callable[[Handler], DurableFunction]:
        """Return a decorator that registers a function at once and serves it from this process.

        The worker starts with the first function. Running the cell again replaces the function for
        new runs; runs that began with the old code end with it. What is returned is the function,
        which called directly calls the plain handler: `process_order(ctx)`. Its runs are recorded for
        time travel (`run.at`, `run.scrub`) unless `recording` is False. The options are those of
        `ironflow_lab.function`. Raises `DefinitionError` for an option that is wrong.
        """
        if callable(id):
            return self._definer.add(durable(id))
        make = durable(id, **given)
        return lambda handler: self._definer.add(make(handler))

    @takes(short_form)
    def handler(self, event: str, **given: Any) -> Callable[[Callable[..., Any]], DurableFunction]:
        """Return a decorator for `def handle(event)` or `def handle(event, ctx)`, served as by `function`.

        The event's data is read as its annotation says. The options are those of `ironflow_lab.handler`.
        """
        make = short_form(event, **given)
        return lambda handle: self._definer.add(make(handle))

    @property
    def upcasters(self) -> Upcasters:
        """What brings old events up to date, for every function of this lab without upcasters of its own.

        `lab.upcasters.register("order.placed", 1, 2, fn)`, also as a decorator.
        """
        return self._definer.upcasters

    def serve(self, *functions: DurableFunction) -> None:
        """Register functions made with `ironflow_lab.function` and serve them from this process.

        Their runs are recorded for time travel unless a function says otherwise.
        """
        for one in functions:
            self._definer.add(one)

    def function_source(self, function: str | DurableFunction) -> FunctionSource:
        """Return the source of a function: `.text`, `.versions`, `.at(hash)`, `.diff(a, b)`.

        The versions are all that this data folder has seen. Raises `NotFoundError`, naming the functions
        whose source is kept.
        """
        return sources.function_source(self._session, function)

    def restore(self, function: str | DurableFunction) -> str:
        """Put the last source of a function into a new cell below and return it; nothing is executed.

        It is the text of its whole cell. Outside a notebook it is only returned. Raises `NotFoundError`,
        naming the functions whose source is kept.
        """
        return restoring.restore(self._session, function)

    def move(self, runs: RunsLike) -> list[Run]:
        """Let the next segments of runs use the newest code of their functions, and return them.

        Raises as `Run.move` does; none is moved then.
        """
        found = [self.run(run_id) for run_id in dict.fromkeys(run_ids(runs))]
        moving.move(self._session, *(run.record for run in found))
        return found

    @property
    def worker(self) -> WorkerCard:
        """The worker of this process: displayed, its status; `.drain()`, `.stop()`, `.logs(run_id)`."""
        return self._definer.worker()

    # ---- safety

    @contextmanager
    def allow(self, *, take_over: bool = False) -> Iterator[None]:
        """Let changes to a guarded server happen inside a `with` block.

        With `take_over` a definition may also replace a function of another notebook or script.
        """
        with self._session.guard.allow(take_over=take_over):
            yield

    def close(self) -> None:
        """Close the connections of this lab; the worker of this process goes on."""
        self._session.close()

    def __repr__(self) -> str:
        """Return what was joined on one line, then a line for each function that runs wait for since a restart."""
        return "\n".join([f"<{self._line()}>", *(f"  {one.waiting()}" for one in restoring.waiting(self._session))])

    def _repr_html_(self) -> str:
        absent = "".join(one.html(one.waiting()) for one in restoring.waiting(self._session))
        return f"<div>{escape(self._line())}</div>{absent}"

    def _line(self) -> str:
        guard = ", guarded" if self._session.guard.on else ""
        named = self._session.naming.namespace
        namespace = f", namespace {named}" if named else ""
        return f"Lab at {self._session.joined.line()}{namespace}{guard}"
