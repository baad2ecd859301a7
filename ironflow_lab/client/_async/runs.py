"""Runs and their steps (IronflowService; rpc.md section 6), and the embedded server's wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar, Unpack

from ironflow_lab.client import arguments, queries
from ironflow_lab.client._async import pagination
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.arguments import When, written
from ironflow_lab.client.queries import RunFilters
from ironflow_lab.models.runs import (
    CancelRunRequest,
    GetRunRequest,
    GetRunStepsRequest,
    GetRunStepsResponse,
    ListRunsResponse,
    Run,
    RunRowPage,
    Step,
    StepRow,
    StepRowPage,
)
from ironflow_lab.models.timetravel import (
    GetRunStateAtRequest,
    GetRunStateAtResponse,
    GetRunTimelineRequest,
    GetRunTimelineResponse,
    GetStepOutputAtRequest,
    RunSnapshot,
    StepOutput,
    TimelineEvent,
)
from ironflow_lab.wire import rest
from ironflow_lab.wire.duration import Duration
from ironflow_lab.wire.rest import RunsWaitRequest, RunsWaitResponse

P = TypeVar("P", ListRunsResponse, RunRowPage)
# `list` is a method of the class below.
StepRows = list[StepRow]


class AsyncRuns:
    """`client.runs`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, run_id: str) -> Run:
        """Return one run; raises `NotFoundError`."""
        message = GetRunRequest(id=_run(run_id))
        return await self._connection.unary("IronflowService/GetRun", message, Run)

    async def list(
        self,
        *,
        function_id: str = "",
        status: str = "",
        statuses: Iterable[str] = (),
        since: When | None = None,
        until: When | None = None,
        event_id: str = "",
        search: str = "",
        limit: int = 0,
        cursor: str = "",
        offset: int = 0,
    ) -> ListRunsResponse:
        """Return a page of runs, newest first.

        `status` is one of waiting_for_capacity, running, waiting, paused, completed, failed,
        cancelled; `statuses` several of them. `since` and `until` take an aware datetime, an RFC 3339
        text or "2h" (ago). `limit` 0 is the server's default (50).
        """
        found = queries.runs(
            self._connection.clock.now(),
            function_id=function_id,
            status=status,
            statuses=statuses,
            since=since,
            until=until,
            event_id=event_id,
            search=search,
        )
        message = queries.page(found, limit=limit, cursor=cursor, offset=offset)
        return await self._connection.unary("IronflowService/ListRuns", message, ListRunsResponse)

    def iterate(self, *, page_size: int = 100, **filters: Unpack[RunFilters]) -> AsyncIterator[Run]:
        """Yield every run that `list` would find with these filters, newest first."""
        return pagination.items(self._pages(filters, ListRunsResponse, page_size), lambda page: page.runs)

    def row_pages(self, *, page_size: int = 500, **filters: Unpack[RunFilters]) -> AsyncIterator[RunRowPage]:
        """Yield pages of run rows, payloads and times left as text: for tables of many runs."""
        return self._pages(filters, RunRowPage, page_size)

    async def steps(self, run_id: str) -> tuple[Step, ...]:
        """Return the steps of a run, by sequence; raises `NotFoundError`."""
        answer = await self._connection.unary("IronflowService/GetRunSteps", _steps_of(run_id), GetRunStepsResponse)
        return answer.steps

    async def step_rows(self, run_id: str) -> StepRows:
        """Return the steps of a run as rows, outputs and times left as text."""
        answer = await self._connection.unary("IronflowService/GetRunSteps", _steps_of(run_id), StepRowPage)
        return answer.steps

    async def state_at(self, run_id: str, timestamp: When) -> RunSnapshot:
        """Return a recorded run as it was at an instant; payloads are JSON text in bytes.

        `timestamp` is an aware datetime, an RFC 3339 text or "2h" (ago). Raises `NotFoundError` for an
        instant before the run was created, and `FailedPreconditionError` for a run that was not recorded.
        """
        at = arguments.moment("timestamp", timestamp, self._connection.clock.now())
        message = GetRunStateAtRequest(run_id=_run(run_id), timestamp=at)
        procedure = "TimeTravelService/GetRunStateAt"
        return (await self._connection.unary(procedure, message, GetRunStateAtResponse)).snapshot

    async def timeline(self, run_id: str) -> tuple[TimelineEvent, ...]:
        """Return all that happened to a recorded run, oldest first; raises as `state_at`."""
        message = GetRunTimelineRequest(run_id=_run(run_id))
        procedure = "TimeTravelService/GetRunTimeline"
        return (await self._connection.unary(procedure, message, GetRunTimelineResponse)).events

    async def step_output_at(self, run_id: str, step_id: str, timestamp: When) -> StepOutput:
        """Return one step's output at an instant, as JSON text in bytes; raises as `state_at`."""
        at = arguments.moment("timestamp", timestamp, self._connection.clock.now())
        step = arguments.identifier("the step id", step_id)
        message = GetStepOutputAtRequest(run_id=_run(run_id), step_id=step, timestamp=at)
        return await self._connection.unary("TimeTravelService/GetStepOutputAt", message, StepOutput)

    async def cancel(self, run_id: str, *, reason: str = "") -> Run:
        """End a run and return it; raises `FailedPreconditionError` when it has ended already."""
        message = CancelRunRequest(id=_run(run_id), reason=reason)
        return await self._connection.unary("IronflowService/CancelRun", message, Run)

    async def wait(self, run_ids: Iterable[str], *, timeout: Duration) -> RunsWaitResponse:
        """Return which of the runs have ended, when all have or after `timeout`.

        Only where `capabilities().lab` has "runs/wait"; elsewhere ask for the runs again and again.
        """
        held = arguments.hold("timeout", timeout)
        ids = arguments.identifiers("a run id", run_ids)
        if not ids:
            return RunsWaitResponse()
        request = written(rest.wait_for_runs, RunsWaitRequest(run_ids=ids, timeout_ms=held))
        return await self._connection.call(request, lambda response: rest.read(response, RunsWaitResponse))

    def _pages(self, filters: RunFilters, kind: type[P], page_size: int) -> AsyncIterator[P]:
        return pagination.pages(
            self._connection,
            "IronflowService/ListRuns",
            queries.runs(self._connection.clock.now(), **filters),
            kind,
            page_size=arguments.count("page_size", page_size, lowest=1),
        )


def _run(run_id: str) -> str:
    return arguments.identifier("the run id", run_id)


def _steps_of(run_id: str) -> GetRunStepsRequest:
    return GetRunStepsRequest(run_id=_run(run_id))
