"""The filters of listings, checked and turned into request records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, TypeVar

import msgspec

from ironflow_lab.client import arguments
from ironflow_lab.client.arguments import When
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.audit import GetAuditTrailRequest
from ironflow_lab.models.functions import FunctionStatus, ListFunctionsRequest
from ironflow_lab.models.instant import Instant
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


class AuditFilters(TypedDict):
    """Which audit events, checked: the filters of `wire.rest.audit_search`."""

    run_id: str
    function_id: str
    event_type: str
    since: Instant
    until: Instant


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
    _check_order(found.since, found.until)
    return found


def audit_trail(
    now: int, run_id: str, *, event_type: str, since: When | None, until: When | None
) -> GetAuditTrailRequest:
    """Return the request for the audit events of one run that pass every filter."""
    begin, end = _between(now, since, until)
    return GetAuditTrailRequest(
        run_id=arguments.identifier("the run id", run_id),
        event_type=event_type,
        from_timestamp=str(begin) if begin else "",
        to_timestamp=str(end) if end else "",
    )


def audit_search(
    now: int, *, run_id: str, function_id: str, event_type: str, since: When | None, until: When | None
) -> AuditFilters:
    """Return the checked filters of a search through the audit events of all runs."""
    begin, end = _between(now, since, until)
    return AuditFilters(run_id=run_id, function_id=function_id, event_type=event_type, since=begin, until=end)


def functions(*, status: str, name: str, mode: str) -> ListFunctionsRequest:
    """Return the request for the functions that pass every filter."""
    return ListFunctionsRequest(
        status=arguments.word(FunctionStatus, "status", status),
        name=name,
        mode=arguments.choice("mode", mode, _MODES),
    )


def page_after(found: M, *, limit: int, cursor: str) -> M:
    """Return the listing limited to one page, which begins at a cursor."""
    return msgspec.structs.replace(found, limit=arguments.count("limit", limit), cursor=cursor)


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


def _between(now: int, since: When | None, until: When | None) -> tuple[Instant, Instant]:
    begin, end = arguments.instant("since", since, now), arguments.instant("until", until, now)
    _check_order(begin, end)
    return begin, end


def _check_order(since: Instant, until: Instant) -> None:
    if until and since > until:
        raise InvalidArgumentError(f"since ({since}) is after until ({until})")
