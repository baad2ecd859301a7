"""The audit trail and time travel: AuditService and TimeTravelService, the REST twin and the follow route."""

from __future__ import annotations

from typing import Any

from ironflow_lab.errors import InvalidArgumentError, NotFoundError
from ironflow_lab.models import audit, timetravel
from ironflow_lab.models.instant import parse_instant
from ironflow_lab.server.engine.ports import AuditAsked, Reads
from ironflow_lab.server.protocol.connect import Procedures
from ironflow_lab.server.protocol.exchange import Exchange
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.wire import codec
from ironflow_lab.wire.rest import AUDIT, AUDIT_SETTINGS, LONGEST_POLL

# Filters of the protocol for what this server does not have: keys, and the decisions made about them.
_ABSENT = {"api_key_id": "API keys", "action": "authorization decisions"}
SETTINGS = audit.AuditSettingsResponse(
    capture_scope="runs",
    function_recording="opt_in",
    delivery_guarantee="transactional",
    delivery_healthy=True,
)


class History:
    """What has happened to runs, and how they were."""

    def __init__(self, reads: Reads, waiting: Waiting) -> None:
        self._reads, self._waiting = reads, waiting

    @property
    def procedures(self) -> Procedures:
        """The Connect procedures, by service and method."""
        return {
            "AuditService/GetAuditTrail": (audit.GetAuditTrailRequest, self._trail),
            "TimeTravelService/GetRunStateAt": (timetravel.GetRunStateAtRequest, self._state),
            "TimeTravelService/GetRunTimeline": (timetravel.GetRunTimelineRequest, self._timeline),
            "TimeTravelService/GetStepOutputAt": (timetravel.GetStepOutputAtRequest, self._step_output),
        }

    async def serve(self, exchange: Exchange) -> None:
        """Answer a REST read of the audit trail; raises `ApiError` for a refusal."""
        answer: Any
        match exchange.method, exchange.path:
            case "GET", path if path == AUDIT:
                asked = _search(exchange)
                answer = await self._reads.audit_search(exchange.env, asked)
            case "GET", path if path == AUDIT_SETTINGS:
                answer = SETTINGS
            case _:
                raise NotFoundError(f"no route {exchange.method} {exchange.path} on this embedded server")
        await exchange.answer(200, codec.encode(answer))

    async def follow(self, exchange: Exchange, run_id: str) -> None:
        """Answer with the run's events after the cursor; held up to `wait` seconds while there is none."""
        env, wait = exchange.env, min(exchange.number("wait", 0), LONGEST_POLL)
        asked = AuditAsked(run_id=run_id, limit=exchange.number("limit", 0), cursor=exchange.query.get("cursor", ""))
        await exchange.body()
        page: audit.AuditFollow | None = None

        async def grown() -> bool:
            nonlocal page
            page = await self._reads.audit_after(env, asked)
            return bool(page.events) or page.ended

        if wait:
            await self._waiting.until_grown(run_id, grown, gone=exchange.gone(), timeout=wait)
        if page is None:
            page = await self._reads.audit_after(env, asked)
        await exchange.answer(200, codec.encode(page))

    async def _trail(self, exchange: Exchange, message: audit.GetAuditTrailRequest) -> Any:
        asked = AuditAsked(
            run_id=message.run_id,
            event_type=message.event_type,
            since=_instant("fromTimestamp", message.from_timestamp),
            until=_instant("toTimestamp", message.to_timestamp),
            limit=message.limit,
            cursor=message.cursor,
        )
        return await self._reads.audit_trail(exchange.env, asked)

    async def _state(self, exchange: Exchange, message: timetravel.GetRunStateAtRequest) -> Any:
        return await self._reads.state_at(exchange.env, message.run_id, _moment(message))

    async def _timeline(self, exchange: Exchange, message: timetravel.GetRunTimelineRequest) -> Any:
        return await self._reads.timeline(exchange.env, message.run_id)

    async def _step_output(self, exchange: Exchange, message: timetravel.GetStepOutputAtRequest) -> Any:
        return await self._reads.step_output_at(exchange.env, message.run_id, message.step_id, _moment(message))


def _search(exchange: Exchange) -> AuditAsked:
    query = exchange.query
    for name, words in _ABSENT.items():
        if query.get(name):
            raise InvalidArgumentError(f"{name} cannot be asked for: this embedded server has no {words}; leave it out")
    return AuditAsked(
        run_id=query.get("run_id", ""),
        function_id=query.get("function_id", ""),
        event_type=query.get("event_type", ""),
        since=_instant("from", query.get("from", "")),
        until=_instant("to", query.get("to", "")),
        limit=exchange.number("limit", 0),
        cursor=query.get("cursor", ""),
    )


def _instant(name: str, text: str) -> int:
    try:
        return int(parse_instant(text)) if text else 0
    except ValueError as error:
        raise InvalidArgumentError(f"{name} cannot be read: {error}") from None


def _moment(message: timetravel.GetRunStateAtRequest | timetravel.GetStepOutputAtRequest) -> int:
    if not message.timestamp:
        raise InvalidArgumentError("timestamp is missing; give the instant to look at, such as 2026-01-02T03:04:05Z")
    return int(message.timestamp)
