"""Runs and their steps (IronflowService; rpc.md section 6), and the embedded server's wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar, Unpack

from ironflow_lab.client import arguments, queries
from ironflow_lab.client._async import pagination
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.arguments import When, written
from ironflow_lab.client.payloads import json_text
from ironflow_lab.client.queries import RunFilters
from ironflow_lab.errors import NotFoundError, UnimplementedError
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import (
    CancelRunRequest,
    DeleteRunRequest,
    DeleteRunsResponse,
    GetPausedStateRequest,
    GetRunRequest,
    GetRunStepsRequest,
    GetRunStepsResponse,
    InjectStepOutputRequest,
    InjectStepOutputResponse,
    ListRunsResponse,
    PatchStepRequest,
    PausedState,
    PauseRunRequest,
    PauseRunResponse,
    RedactRunRequest,
    RedactStepRequest,
    ResumeRunRequest,
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
from ironflow_lab.wire import payload, rest
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
        message = GetStepOutputAtRequest(run_id=_run(run_id), step_id=_step(step_id), timestamp=at)
        return await self._connection.unary("TimeTravelService/GetStepOutputAt", message, StepOutput)

    async def cancel(self, run_id: str, *, reason: str = "") -> Run:
        """End a run and return it; raises `FailedPreconditionError` when it has ended already."""
        message = CancelRunRequest(id=_run(run_id), reason=reason)
        return await self._connection.unary("IronflowService/CancelRun", message, Run)

    async def pause(self, run_id: str) -> PauseRunResponse:
        """Ask a run to stop at its next step boundary; `status` says whether it stands already.

        `paused` means that it stands; `pause_requested` that a worker executes it, and finishes the step
        it is in. Raises `FailedPreconditionError` when the run has ended.
        """
        return await self._connection.unary(
            "IronflowService/PauseRun", PauseRunRequest(run_id=_run(run_id)), PauseRunResponse
        )

    async def paused_state(self, run_id: str) -> PausedState:
        """Return the finished steps of a paused run in order, and what is known of the next one.

        Outputs and errors are JSON text in bytes; `ironflow_lab.client.payloads.json_value` reads one.
        Raises `FailedPreconditionError` unless the run is paused.
        """
        message = GetPausedStateRequest(run_id=_run(run_id))
        return await self._connection.unary("IronflowService/GetPausedState", message, PausedState)

    async def inject(self, run_id: str, step_id: str, output: Any, *, reason: str = "") -> InjectStepOutputResponse:
        """Replace the output of a finished step of a paused run, and return the output it had, as JSON text.

        `step_id` is the step's deterministic id or its row's; `output` anything that stands for JSON.
        Raises `FailedPreconditionError` unless the run is paused and the step has finished, and
        `AbortedError` when the run moved meanwhile: its `reason` says whether the output was written.
        """
        message = InjectStepOutputRequest(
            run_id=_run(run_id), step_id=_step(step_id), new_output=bytes(json_text("output", output)), reason=reason
        )
        return await self._connection.unary("IronflowService/InjectStepOutput", message, InjectStepOutputResponse)

    async def patch(self, step_id: str, output: Any, *, reason: str = "") -> Step:
        """Correct the output of a finished step, whatever its run does, and return the step.

        `step_id` is the id of the step's row; the embedded server takes the deterministic id too. The
        first output is kept as `original_output`. A run that has ended takes no notice until it is resumed.
        """
        message = PatchStepRequest(
            step_id=_step(step_id), reason=reason, **payload.split("output", json_text("output", output))
        )
        return await self._connection.unary("IronflowService/PatchStep", message, Step)

    async def resume(self, run_id: str, *, from_step: str = "") -> Run:
        """Let a paused run go on, or a failed one again, and return it.

        Without `from_step` it keeps every finished step and goes on at the point of failure. With it,
        an id or a name, that step and all later ones run again, except that a patched or injected output
        of that step is kept. Raises `FailedPreconditionError` for a run in any other state.
        """
        message = ResumeRunRequest(run_id=_run(run_id), from_step=from_step)
        return await self._connection.unary("IronflowService/ResumeRun", message, Run)

    async def retry(self, run_id: str, *, from_beginning: bool = False) -> Run:
        """Run a failed run again from the point of failure, or every step of it; raises as `resume` does."""
        first = ""
        if from_beginning:
            steps = await self.steps(run_id)
            first = steps[0].step_id if steps else ""
        return await self.resume(run_id, from_step=first)

    async def delete(self, run_id: str) -> None:
        """Remove a run that has ended, with its steps and what was recorded of it.

        Raises `FailedPreconditionError` for one that has not ended.
        """
        await self._connection.unary("IronflowService/DeleteRun", DeleteRunRequest(id=_run(run_id)), dict)

    async def delete_many(self, *, function_id: str = "", status: str = "", until: When | None = None) -> int:
        """Remove the ended runs that pass every filter, at most 10,000 of them, and return how many it were.

        Call it again until it returns 0. At least one filter is needed; `status` is completed, failed or
        cancelled, and `until` means runs created before it: an aware datetime, an RFC 3339 text or "30d" (ago).
        """
        message = queries.deletion(self._connection.clock.now(), function_id=function_id, status=status, until=until)
        return int((await self._connection.unary("IronflowService/DeleteRuns", message, DeleteRunsResponse)).deleted)

    async def redact(self, run_id: str) -> None:
        """Replace the payloads of an ended run and of its steps by a marker, in its history too, for good."""
        await self._connection.unary("IronflowService/RedactRun", RedactRunRequest(run_id=_run(run_id)), dict)

    async def redact_step(self, step_id: str) -> None:
        """Replace the payloads of one step of an ended run by a marker, in its history too, for good.

        `step_id` is the id of the step's row; the embedded server takes the deterministic id too.
        """
        await self._connection.unary("IronflowService/RedactStep", RedactStepRequest(step_id=_step(step_id)), dict)

    async def why(self, run_id: str) -> BlockingReason:
        """Return why a run is not executing, as the server's own decisions see it.

        Only where `capabilities().lab` has "runs/why"; elsewhere it raises `UnimplementedError`.
        """
        request = written(rest.why, _run(run_id))
        try:
            return await self._connection.call(request, lambda response: rest.read(response, BlockingReason))
        except NotFoundError as error:
            # A server without the route names the path at most; this one names the run.
            if run_id in error.message and request.path not in error.message:
                raise
            raise UnimplementedError(
                "this server does not say why a run is not executing; its status, pause_reason and steps tell a part",
                status=error.status,
            ) from None

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


def _step(step_id: str) -> str:
    return arguments.identifier("the step id", step_id)


def _steps_of(run_id: str) -> GetRunStepsRequest:
    return GetRunStepsRequest(run_id=_run(run_id))
