"""What was recorded of runs (AuditService, rpc.md section 6; rest.md, Audit)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ironflow_lab.client import arguments, queries
from ironflow_lab.client._async import pagination
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.arguments import When
from ironflow_lab.models.audit import AuditEvent, AuditFollow, AuditRow, AuditTrail, RunAuditResponse
from ironflow_lab.wire import payload, rest
from ironflow_lab.wire.duration import Duration
from ironflow_lab.wire.message import Request, Response


class AsyncAudit:
    """`client.audit`. Runs of functions registered without recording have no audit events.

    `since` and `until` take an aware datetime, an RFC 3339 text or "2h" (ago).
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(
        self,
        run_id: str,
        *,
        event_type: str = "",
        since: When | None = None,
        until: When | None = None,
        limit: int = 0,
        cursor: str = "",
    ) -> AuditTrail:
        """Return a page of a run's audit events, oldest first; `limit` 0 is the server's default (100)."""
        found = queries.audit_trail(self._now(), run_id, event_type=event_type, since=since, until=until)
        message = queries.page_after(found, limit=limit, cursor=cursor)
        return await self._connection.unary("AuditService/GetAuditTrail", message, AuditTrail)

    def iterate(
        self,
        run_id: str,
        *,
        event_type: str = "",
        since: When | None = None,
        until: When | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[AuditEvent]:
        """Yield every audit event of a run that `list` would find, oldest first."""
        pages = pagination.pages(
            self._connection,
            "AuditService/GetAuditTrail",
            queries.audit_trail(self._now(), run_id, event_type=event_type, since=since, until=until),
            AuditTrail,
            page_size=arguments.count("page_size", page_size, lowest=1),
        )
        return pagination.items(pages, lambda page: page.events)

    async def search(
        self,
        *,
        run_id: str = "",
        function_id: str = "",
        event_type: str = "",
        since: When | None = None,
        until: When | None = None,
        limit: int = 0,
        cursor: str = "",
    ) -> RunAuditResponse:
        """Return a page of audit events across runs, newest first; `limit` 0 is the server's default (100)."""
        asked = queries.audit_search(
            self._now(), run_id=run_id, function_id=function_id, event_type=event_type, since=since, until=until
        )
        request = rest.audit_search(**asked, limit=arguments.count("limit", limit), cursor=cursor)
        return await self._connection.call(request, _read_page)

    def search_iterate(
        self,
        *,
        run_id: str = "",
        function_id: str = "",
        event_type: str = "",
        since: When | None = None,
        until: When | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[AuditRow]:
        """Yield every audit event that `search` would find, newest first."""
        asked = queries.audit_search(
            self._now(), run_id=run_id, function_id=function_id, event_type=event_type, since=since, until=until
        )

        def write(cursor: str, limit: int) -> Request:
            return rest.audit_search(**asked, limit=limit, cursor=cursor)

        size = arguments.count("page_size", page_size, lowest=1)
        return pagination.items(
            pagination.walk(self._connection, write, _read_page, page_size=size), lambda page: page.events
        )

    async def follow(self, run_id: str, *, cursor: str = "", limit: int = 0, wait: Duration = "20s") -> AuditFollow:
        """Return a run's audit events after `cursor`, as soon as there are any or it has ended, else after `wait`.

        `wait` is at most 25 s, in whole seconds, rounded up. Only where `capabilities().lab` has
        "runs/audit"; elsewhere ask `list` again and again.
        """
        request = rest.audit_follow(
            arguments.identifier("the run id", run_id),
            cursor=cursor,
            limit=arguments.count("limit", limit),
            wait=arguments.held_seconds("wait", wait, longest=rest.LONGEST_POLL),
        )
        return await self._connection.call(request, _read_follow)

    def _now(self) -> int:
        return self._connection.clock.now()


def _read_page(response: Response) -> RunAuditResponse:
    return rest.read(response, RunAuditResponse)


def _read_follow(response: Response) -> AuditFollow:
    return payload.settle(rest.read(response, AuditFollow))
