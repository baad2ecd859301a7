"""The laws between the engine and what surrounds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from ironflow_lab.models.events import RunResult
from ironflow_lab.models.functions import Function, ListFunctionsRequest, ListFunctionsResponse
from ironflow_lab.models.runs import ListRunsRequest, ListRunsResponse, Run, Step
from ironflow_lab.server.engine.commands import Claim, Command
from ironflow_lab.server.engine.outcome import Wake


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
