"""The filters of listings, checked and turned into request records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, TypeVar

import msgspec

from ironflow_lab.client import arguments
from ironflow_lab.client.arguments import When
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.functions import FunctionStatus, ListFunctionsRequest
from ironflow_lab.models.runs import ListRunsRequest, RunStatus

M = TypeVar("M", bound=msgspec.Struct)

_MODES = ("push", "pull")


class RunFilters(TypedDict, total=False):
    """Which runs: the filters of `runs.list`, `runs.iterate` and `runs.row_pages`."""

    function_id: str
    status: str
    statuses: Iterable[str]
    since: When | None
    until: When | None
    event_id: str
    search: str


def runs(
    now: int,
    *,
    function_id: str = "",
    status: str = "",
    statuses: Iterable[str] = (),
    since: When | None = None,
    until: When | None = None,
    event_id: str = "",
    search: str = "",
) -> ListRunsRequest:
    """Return the request for the runs that pass every filter; "2h" is that long before `now`."""
    several = (statuses,) if isinstance(statuses, str) else tuple(statuses)
    if status and several:
        raise InvalidArgumentError("give status or statuses, not both")
    found = ListRunsRequest(
        function_id=function_id,
        status=arguments.word(RunStatus, "status", status),
        statuses=tuple(arguments.word(RunStatus, "status", one) for one in several),
        since=arguments.instant("since", since, now),
        until=arguments.instant("until", until, now),
        event_id=event_id,
        search=search,
    )
    if found.until and found.since > found.until:
        raise InvalidArgumentError(f"since ({found.since}) is after until ({found.until})")
    return found


def functions(*, status: str, name: str, mode: str) -> ListFunctionsRequest:
    """Return the request for the functions that pass every filter."""
    return ListFunctionsRequest(
        status=arguments.word(FunctionStatus, "status", status),
        name=name,
        mode=arguments.choice("mode", mode, _MODES),
    )


def page(found: M, *, limit: int, cursor: str, offset: int) -> M:
    """Return the listing limited to one page, which begins at a cursor or at an offset."""
    if cursor and offset:
        raise InvalidArgumentError("give cursor or offset, not both")
    return msgspec.structs.replace(
        found,
        limit=arguments.count("limit", limit),
        cursor=cursor,
        offset=arguments.count("offset", offset),
    )
