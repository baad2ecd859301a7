"""The laws between the engine and what surrounds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from ironflow_lab.models.audit import AuditFollow, AuditTrail, RunAuditResponse
from ironflow_lab.models.events import Event, EventNames, EventPage, RunResult
from ironflow_lab.models.functions import (
    Function,
    FunctionHistoryEntry,
    ListFunctionHistoryRequest,
    ListFunctionHistoryResponse,
    ListFunctionsRequest,
    ListFunctionsResponse,
)
from ironflow_lab.models.runs import ListRunsRequest, ListRunsResponse, PausedState, Run, Step
from ironflow_lab.models.secrets import SecretInfo
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


class EventsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted; empty and 0 mean any. `since` is ns and included, `until` ns and excluded.

    `name` is one exact name, `names` and `sources` any of several. `search` is looked for in id, name,
    idempotency key and data, in any case. The page holds what is older than `cursor`, or newer than
    `before`.
    """

    name: str = ""
    names: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    since: int = 0
    until: int = 0
    search: str = ""
    limit: int = 0
    cursor: str = ""
    before: str = ""


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

    async def function_history(self, env: str, request: ListFunctionHistoryRequest) -> ListFunctionHistoryResponse:
        """Return a page of a function's changes, newest first; raises `NotFoundError` where there never was one."""
        ...

    async def function_at_version(self, env: str, function_id: str, entity_version: int) -> FunctionHistoryEntry:
        """Return one change of a function; raises `NotFoundError`."""
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

    async def step(self, env: str, run_id: str, step_id: str) -> Step:
        """Return one step by its deterministic id; raises `NotFoundError`."""
        ...

    async def paused_state(self, env: str, run_id: str) -> PausedState:
        """Return what a paused run has done; raises `NotFoundError`, and `FailedPreconditionError` for any other."""
        ...

    async def results(self, env: str, run_ids: tuple[str, ...]) -> tuple[RunResult, ...]:
        """Return how the named runs stand, unknown ids left out."""
        ...

    async def event(self, env: str, event_id: str) -> Event:
        """Return an event; raises `NotFoundError`."""
        ...

    async def events(self, env: str, asked: EventsAsked) -> EventPage:
        """Return a page of events, newest first.

        Law: whoever goes on by the cursors meets every event once that was there at the first page,
        however many are added meanwhile.
        """
        ...

    async def event_names(self, env: str, asked: EventsAsked) -> EventNames:
        """Return which names the newest events bear, and how often."""
        ...

    async def secret(self, env: str, name: str) -> SecretInfo:
        """Return what is known of a secret, which is not its value; raises `NotFoundError`."""
        ...

    async def secrets(self, env: str) -> tuple[SecretInfo, ...]:
        """Return what is known of every secret, by name."""
        ...

    async def audit_trail(self, env: str, asked: AuditAsked) -> AuditTrail:
        """Return a page of a run's audit events, oldest first; raises `NotFoundError`."""
        ...

    async def audit_search(self, env: str, asked: AuditAsked) -> RunAuditResponse:
        """Return a page of audit events across runs, newest first."""
        ...

    async def audit_after(self, env: str, asked: AuditAsked) -> AuditFollow:
        """Return a run's audit events after the cursor; raises `NotFoundError`.

        Law: once `ended` was answered for a cursor, no event stands after it unless someone resumes the
        failed run, corrects one of its steps or redacts it.
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
