"""The laws between the engine and what surrounds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from ironflow_lab.models.audit import AuditFollow, AuditTrail, RunAuditResponse
from ironflow_lab.models.events import RunResult
from ironflow_lab.models.functions import Function, ListFunctionsRequest, ListFunctionsResponse
from ironflow_lab.models.runs import ListRunsRequest, ListRunsResponse, Run, Step
from ironflow_lab.models.timetravel import GetRunTimelineResponse, StepOutput
from ironflow_lab.server.engine.commands import Claim, Command
from ironflow_lab.server.engine.fold import StateAnswer
from ironflow_lab.server.engine.outcome import Wake


class AuditAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which audit events are wanted; `since` and `until` are ns and included, 0 and empty mean any."""

    run_id: str = ""
    function_id: str = ""
    event_type: str = ""
    since: int = 0
    until: int = 0
    limit: int = 0
    cursor: str = ""


class Desk(Protocol):
    """Where the protocol hands commands in.

    Law: an answer is returned only after everything the command wrote is on disk; a command that
    raises has written nothing; wakes are delivered after the commit that caused them, in order.
    """

    async def submit(self, command: Command) -> Any:
        """Return the command's answer; raises `ApiError` when it is refused."""
        ...

    def park(self, command: Claim) -> Parked:
        """Claim now, or as soon as a run becomes ready; see `Parked`."""
        ...


class Parked(Protocol):
    """A claim that may have to wait.

    Law: it is answered exactly once; after the wait has ended, no run is claimed for it any more.
    """

    async def jobs(self, timeout: float, *, unless: Iterable[Any]) -> Any:
        """Return the batch, or an empty one after `timeout` seconds or once a future of `unless` is done."""
        ...


class Wakes(Protocol):
    """Who hears of commits; called on the event loop."""

    def heard(self, wakes: list[Wake]) -> None:
        """Take the wakes of one commit, in order."""
        ...


class Reads(Protocol):
    """Committed rows, read beside the writer."""

    async def function(self, env: str, function_id: str) -> Function:
        """Return a function; raises `NotFoundError`."""
        ...

    async def functions(self, env: str, request: ListFunctionsRequest) -> ListFunctionsResponse:
        """Return a page of functions by id."""
        ...

    async def run(self, env: str, run_id: str) -> Run:
        """Return a run; raises `NotFoundError`."""
        ...

    async def runs(self, env: str, request: ListRunsRequest) -> ListRunsResponse:
        """Return a page of runs, newest first."""
        ...

    async def steps(self, env: str, run_id: str) -> tuple[Step, ...]:
        """Return a run's steps by sequence; raises `NotFoundError`."""
        ...

    async def results(self, env: str, run_ids: tuple[str, ...]) -> tuple[RunResult, ...]:
        """Return how the named runs stand, unknown ids left out."""
        ...

    async def audit_trail(self, env: str, asked: AuditAsked) -> AuditTrail:
        """Return a page of a run's audit events, oldest first; raises `NotFoundError`."""
        ...

    async def audit_search(self, env: str, asked: AuditAsked) -> RunAuditResponse:
        """Return a page of audit events across runs, newest first."""
        ...

    async def audit_after(self, env: str, asked: AuditAsked) -> AuditFollow:
        """Return a run's audit events after the cursor; raises `NotFoundError`.

        Law: once `ended` was answered for a cursor, no event will ever stand after it.
        """
        ...

    async def state_at(self, env: str, run_id: str, at: int) -> StateAnswer:
        """Return how a run was; raises `NotFoundError`, or `FailedPreconditionError` where it is not recorded."""
        ...

    async def timeline(self, env: str, run_id: str) -> GetRunTimelineResponse:
        """Return every moment of a run; raises as `state_at` does."""
        ...

    async def step_output_at(self, env: str, run_id: str, step_id: str, at: int) -> StepOutput:
        """Return a step, by deterministic or row id, as it was; raises as `state_at` does."""
        ...
