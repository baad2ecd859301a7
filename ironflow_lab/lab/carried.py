"""A capsule in the place of a server: it answers what the client asks, and refuses the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import cached_property
from typing import NoReturn
from urllib.parse import unquote

from ironflow_lab.errors import FailedPreconditionError, NotFoundError, UnimplementedError
from ironflow_lab.history import redaction
from ironflow_lab.history.capsule import Capsule
from ironflow_lab.lab.session import WANTED
from ironflow_lab.models.audit import AuditEvent, AuditFollow, AuditTrail, GetAuditTrailRequest
from ironflow_lab.models.functions import GetFunctionRequest
from ironflow_lab.models.instant import parse_instant
from ironflow_lab.models.runs import GetRunRequest, GetRunStepsRequest, Step
from ironflow_lab.models.server import Capabilities, Health
from ironflow_lab.wire import codec, connect, rest
from ironflow_lab.wire.message import Request, Response

_LISTED = 100
_PAGE = 1_000
_LONGEST = 300


class Carried:
    """Answers requests out of a capsule; what would change something, or is not in it, is refused."""

    def __init__(self, capsule: Capsule, name: str) -> None:
        self._capsule, self._name = capsule, name
        self._runs = {run.id: run for run in (*capsule.children, capsule.run)}
        self._places = {event.id: index for index, event in enumerate(capsule.recording.events)}

    def send(self, request: Request) -> Response:
        """Return the answer; raises `ApiError` for a refusal."""
        service = request.path.removeprefix(connect.SERVICE)
        answer = self._procedures.get(service) if service != request.path else self._route(request)
        if answer is None or not request.repeatable:
            self.refuse(f"{request.method} {redaction.clip(request.path, limit=_LONGEST)} cannot be answered")
        return Response(status=200, headers={}, body=answer(request))

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    @property
    def _procedures(self) -> dict[str, Callable[[Request], bytes]]:
        return {
            "IronflowService/GetRun": self._run,
            "IronflowService/GetRunSteps": self._steps,
            "IronflowService/GetFunction": self._function,
            "AuditService/GetAuditTrail": self._trail,
        }

    def _route(self, request: Request) -> Callable[[Request], bytes] | None:
        fixed = {
            "/health": lambda _: codec.encode(Health(status="ok", version=self._capsule.origin.version)),
            "/api/v1/capabilities": lambda _: codec.encode(
                Capabilities(lab=tuple(one for one in WANTED if one not in self._capsule.origin.missing))
            ),
        }
        for template, answer in (
            (rest.LAB_AUDIT, self._follow),
            (rest.LAB_WHY, self._why),
            (rest.EVENTS + "/{}", self._event),
        ):
            if _in_path(template, request.path):
                return answer
        return fixed.get(request.path)

    def _run(self, request: Request) -> bytes:
        wanted = codec.decode(request.body or b"", GetRunRequest).id
        if wanted not in self._runs:
            self._not_here(f"a run {wanted!r:.80}")
        return codec.encode(self._runs[wanted])

    def _steps(self, request: Request) -> bytes:
        self._own(codec.decode(request.body or b"", GetRunStepsRequest).run_id)
        return self._all_steps

    @cached_property
    def _all_steps(self) -> bytes:
        return b'{"steps":[' + b",".join(map(_step, self._capsule.recording.steps)) + b"]}"

    def _function(self, request: Request) -> bytes:
        wanted = codec.decode(request.body or b"", GetFunctionRequest).id
        function = self._capsule.function
        if function is None or function.id != wanted:
            self._not_here(f"the function {wanted!r:.80}")
        return codec.encode(function)

    def _trail(self, request: Request) -> bytes:
        asked = codec.decode(request.body or b"", GetAuditTrailRequest)
        self._own(asked.run_id)
        first = parse_instant(asked.from_timestamp) if asked.from_timestamp else None
        last = parse_instant(asked.to_timestamp) if asked.to_timestamp else None
        events = [
            event
            for event in self._capsule.recording.events
            if (not asked.event_type or event.event_type == asked.event_type)
            and (first is None or event.created_at >= first)
            and (last is None or event.created_at <= last)
        ]
        start = self._after(events, asked.cursor)
        page = events[start : start + (asked.limit or _LISTED)]
        more = start + len(page) < len(events)
        return codec.encode(
            AuditTrail(events=tuple(page), total_count=len(events), next_cursor=page[-1].id if more else "")
        )

    def _follow(self, request: Request) -> bytes:
        self._own(_in_path(rest.LAB_AUDIT, request.path))
        query, events = dict(request.query), self._capsule.recording.events
        start = self._after(events, query.get("cursor", ""))
        page = events[start : start + (int(query.get("limit", "0")) or _PAGE)]
        cursor = page[-1].id if page else query.get("cursor", "")
        # What follows is not in the capsule, whether the run had ended or not.
        ended = start + len(page) == len(events)
        return codec.encode(AuditFollow(events=page, total_count=len(events), next_cursor=cursor, ended=ended))

    def _why(self, request: Request) -> bytes:
        self._own(_in_path(rest.LAB_WHY, request.path))
        if self._capsule.why is None:
            raise UnimplementedError(f"{described(self._capsule, self._name)}: its server did not say why it stood")
        return codec.encode(self._capsule.why)

    def _event(self, request: Request) -> bytes:
        event = self._capsule.event
        if event is None or event.id != _in_path(rest.EVENTS + "/{}", request.path):
            self._not_here("the event")
        return codec.encode(event)

    def _after(self, events: Sequence[AuditEvent], cursor: str) -> int:
        if not cursor:
            return 0
        place = self._places.get(cursor)
        if place is None:
            self._not_here(f"an event {cursor!r:.80}")
        if len(events) == len(self._places):
            return place + 1
        return sum(self._places[event.id] <= place for event in events)

    def _own(self, run_id: str) -> None:
        if run_id != self._capsule.run.id:
            self._not_here(f"what run {run_id!r:.80} did")

    def _not_here(self, what: str) -> NoReturn:
        raise NotFoundError(f"{what} is not in it: {described(self._capsule, self._name)}. {remedy(self._capsule)}")

    def refuse(self, what: str) -> NoReturn:
        """Raise `FailedPreconditionError` that names the capsule, what it cannot do, and the remedy."""
        raise FailedPreconditionError(f"{described(self._capsule, self._name)}: {what}. {remedy(self._capsule)}")


class AsyncCarried:
    """The same for an awaited client."""

    def __init__(self, inner: Carried) -> None:
        self._inner = inner

    async def send(self, request: Request) -> Response:
        """Return the answer; raises `ApiError` for a refusal."""
        return self._inner.send(request)

    async def lines(self, request: Request) -> AsyncIterator[bytes]:
        """Refuse: no answer of a capsule stays open."""
        yield self._inner.send(request).body

    async def aclose(self) -> None:
        """Do nothing: there is nothing open."""


def described(capsule: Capsule, name: str) -> str:
    """Return what the capsule is."""
    return f"capsule {name} is a copy of run {capsule.run.id} as it was"


def remedy(capsule: Capsule) -> str:
    """Return how to get at the run itself."""
    at = f" at {capsule.origin.server}" if capsule.origin.server else ""
    return f"For the run itself, join its server{at}: il.connect(...).run({capsule.run.id!r})"


def _step(step: Step) -> bytes:
    text = codec.encode(step)
    # The record cannot tell "null" from "none"; a server says null of a step that has ended so.
    return text[:-1] + b',"outputValue":null}' if step.status == "completed" and step.output is None else text


def _in_path(template: str, path: str) -> str:
    """Return the id that stands in the path of a route, "" for another route."""
    before, after = template.split("{}")
    inner = path.removeprefix(before).removesuffix(after)
    return unquote(inner) if path == before + inner + after and inner and "/" not in inner else ""
