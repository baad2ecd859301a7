"""The filters of listings, checked and turned into request records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, TypeVar

import msgspec

from ironflow_lab.client import arguments
from ironflow_lab.client.arguments import When
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.audit import GetAuditTrailRequest
from ironflow_lab.models.functions import FunctionStatus, ListFunctionHistoryRequest, ListFunctionsRequest
from ironflow_lab.models.instant import Instant, Int64
from ironflow_lab.models.runs import TERMINAL, DeleteRunsRequest, ListRunsRequest, RunStatus

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


class EventFilters(TypedDict):
    """Which events, checked: the filters of `wire.rest.events_list`."""

    name: str
    names: tuple[str, ...]
    sources: tuple[str, ...]
    since: Instant
    until: Instant
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


def deletion(now: int, *, function_id: str, status: str, until: When | None) -> DeleteRunsRequest:
    """Return the request that removes the ended runs which pass every filter; raises when there is none."""
    found = DeleteRunsRequest(
        function_id=function_id,
        status=arguments.word(RunStatus, "status", status),
        until=arguments.instant("until", until, now),
    )
    if found == DeleteRunsRequest():
        raise InvalidArgumentError("give function_id, status or until: without any, every ended run would be deleted")
    if found.status and found.status not in TERMINAL:
        raise InvalidArgumentError(f"status {status!r}: only ended runs are deleted: completed, failed or cancelled")
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


def events(
    now: int,
    *,
    name: str,
    names: Iterable[str],
    source: str | Iterable[str],
    since: When | None,
    until: When | None,
    search: str,
) -> EventFilters:
    """Return the checked filters of a listing of events."""
    begin, end = _between(now, since, until)
    return EventFilters(
        name=name,
        names=_listed("an event name", names),
        sources=sources(source),
        since=begin,
        until=end,
        search=search,
    )


def sources(source: str | Iterable[str]) -> tuple[str, ...]:
    """Return one source of events or several; empty means any."""
    return () if source == "" else _listed("a source", source)


def functions(*, status: str, name: str, mode: str) -> ListFunctionsRequest:
    """Return the request for the functions that pass every filter."""
    return ListFunctionsRequest(
        status=arguments.word(FunctionStatus, "status", status),
        name=name,
        mode=arguments.choice("mode", mode, _MODES),
    )


def function_history(function_id: str, *, limit: int, from_version: int) -> ListFunctionHistoryRequest:
    """Return the request for a page of a function's changes."""
    return ListFunctionHistoryRequest(
        function_id=arguments.identifier("the function id", function_id),
        limit=arguments.count("limit", limit),
        from_version=Int64(arguments.count("from_version", from_version)),
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


def _listed(what: str, values: str | Iterable[str]) -> tuple[str, ...]:
    """Return words that travel as one text with commas between them."""
    listed = arguments.identifiers(what, values)
    for value in listed:
        if "," in value:
            raise InvalidArgumentError(f"{what} with a comma in it cannot be one of several, as {value!r} would")
    return listed


def _between(now: int, since: When | None, until: When | None) -> tuple[Instant, Instant]:
    begin, end = arguments.instant("since", since, now), arguments.instant("until", until, now)
    _check_order(begin, end)
    return begin, end


def _check_order(since: Instant, until: Instant) -> None:
    if until and since > until:
        raise InvalidArgumentError(f"since ({since}) is after until ({until})")
