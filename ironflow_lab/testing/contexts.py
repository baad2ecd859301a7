"""A handler's context without any engine: memoised steps are read, others execute in place, waits are over at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import msgspec

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.instant import Instant, format_instant
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.models.workers import UNSET, Assignment, CompletedStep, JobContext, JobEvent, Yield
from ironflow_lab.runtime import entry
from ironflow_lab.runtime.attempt import check_place
from ironflow_lab.runtime.compensation import Undos
from ironflow_lab.runtime.context import Context
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.handler import HandlerContext, TypedFunction
from ironflow_lab.runtime.journal import Scope
from ironflow_lab.runtime.looped import LoopedCore
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.pool import DaemonPool
from ironflow_lab.runtime.publishing import Message
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.step import Step
from ironflow_lab.runtime.threaded import ThreadedCore
from ironflow_lab.runtime.tools import Tools
from ironflow_lab.testing.fakes import FakeClock
from ironflow_lab.testing.running import Given, durable
from ironflow_lab.testing.world import event_of
from ironflow_lab.wire import codec, stepid

_FIELDS = ("run_id", "function_id", "attempt", "max_attempts", "on_exhausted", "event", "steps", "resume", "secrets")
_EVENT_FIELDS = ("id", "name", "data", "version", "timestamp", "source", "idempotency_key", "metadata")
_RUN_ID = "test-run-1"
_IDLE = 0.1


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler asked of its steps.

    `kind` is run, sleep, wait_for_event, invoke, invoke_async, publish or compensate. `data` is what it was
    given: the instant a sleep would end, the name of an event, a child's input, a message; `output` what came
    back. Steps that were memoised are not among them.
    """

    kind: str
    name: str
    data: Any = None
    output: Any = None


class TestContext(Context[Any]):
    """A context whose steps need no engine; `recorded` is what the handler asked of them, in order."""

    __slots__ = ("recorded",)
    __test__ = False
    recorded: list[Recorded]


class TestHandlerContext(HandlerContext[Any, Any]):
    """The context of a handler in its short form; `recorded` is as in `TestContext`."""

    __slots__ = ("recorded",)
    __test__ = False
    recorded: list[Recorded]


def context(
    fn: Given | None = None,
    request: Mapping[str, Any] | None = None,
    *,
    run_id: str = _RUN_ID,
    event: Mapping[str, Any] | str | None = None,
    data: Any = None,
    steps: Iterable[Mapping[str, Any]] = (),
    secrets: Mapping[str, str] | None = None,
    attempt: int = 1,
    max_attempts: int = 0,
    events: Mapping[str, Any] | None = None,
    invokes: Mapping[str, Any] | None = None,
    plain: bool = False,
) -> Any:
    """Return a context to call a handler with, made of a push request (worker.md section 6).

    It is a `Context` with `recorded`, a list of `Recorded`; for what `handler` made it is a `HandlerContext`
    with the same. Steps that are given as completed return their outputs; the others execute in place, and a
    sleep is over at once. Nothing is retried: what a step raises, the handler sees.

    fn: the function it is for; it decides whether the steps are awaited, and reads the event by its schema.
        Without it they are awaited, or called where `plain` is set.
    request: the push request as a dict; the other arguments say the same one by one and are left out then.
    event: a dict with name, data, id, version, timestamp, source, idempotency_key and metadata, or the name;
        `data` is the event's data.
    steps: [{"name": "charge", "output": 1}], with `id` where it is not the first step of that name, and
        `status` "failed" and `error` for an invoke that failed.
    events: what waits get, by the event's name: {"order.approved": {"by": "ann"}}.
    invokes: what invoked functions return, by their id.

    Raises `DefinitionError` for a request that has other fields, and in the handler for an event or an invoke
    that is not given.

    >>> import asyncio
    >>> async def ship(ctx):
    ...     paid = await ctx.step.run("charge", lambda: 1 / 0)
    ...     await ctx.step.sleep("cool-off", "7d")
    ...     answer = await ctx.step.wait_for_event("answer", "order.approved")
    ...     return {"paid": paid, "by": answer.data["by"]}
    >>> ctx = context(ship, data={"id": 7}, steps=[{"name": "charge", "output": 99}],
    ...               events={"order.approved": {"by": "ann"}})
    >>> asyncio.run(ship(ctx))
    {'paid': 99, 'by': 'ann'}
    >>> [(one.kind, one.name) for one in ctx.recorded]
    [('sleep', 'cool-off'), ('wait_for_event', 'answer')]
    """
    if request is None:
        request = {
            "run_id": run_id,
            "event": _event(event, data),
            "steps": list(steps),
            "secrets": dict(secrets or {}),
            "attempt": attempt,
            "max_attempts": max_attempts,
        }
    function = _for(fn, request, plain)
    clock = FakeClock()
    assignment = _assignment(request, function, clock.now())
    recorded: list[Recorded] = []
    segment = Segment(assignment, function, announce=_forget)
    # Nothing is saved, so nothing waits for it.
    segment.saved()
    desk = _Desk(recorded, dict(events or {}), dict(invokes or {}), clock)
    core: Any = AwaitedCore(segment, desk.tools()) if function.is_async else CalledCore(segment, desk.tools())
    core.desk, core.undos = desk, _Undos(recorded)
    step = Step(core) if function.is_async else PlainStep(core)
    made = TestContext(
        assignment,
        step,
        event=entry.event_of(function, assignment.event),
        declared=function.secrets or tuple(assignment.context.secrets if assignment.context is not UNSET else ()),
        started_at=clock.now(),
    )
    made.recorded = recorded
    if isinstance(function, TypedFunction):
        typed = TestHandlerContext(made)
        typed.recorded = recorded
        return typed
    return made


class _Desk:
    """What answers steps in the place of an engine."""

    def __init__(
        self, recorded: list[Recorded], events: dict[str, Any], invokes: dict[str, Any], clock: FakeClock
    ) -> None:
        self.recorded = recorded
        self._events, self._invokes, self._clock = events, invokes, clock
        self._messages = 0

    def tools(self) -> Tools:
        """Return what steps need from outside."""
        return Tools(
            pool=DaemonPool("ironflow-test-step", idle=_IDLE),
            threads=DaemonPool("ironflow-test-branch", idle=_IDLE),
            clock=self._clock,
            publish=self._publish,
        )

    def settle(self, wanted: Yield) -> CompletedStep:
        """Return the record of a wait, as if it were over; raises `DefinitionError` for one without an answer."""
        name = stepid.step_name(wanted.step_id)
        match wanted.type:
            case "sleep":
                output, data = None, wanted.until
                if isinstance(wanted.until, int):
                    self._clock.jump(wanted.until)
            case "wait_for_event":
                data = wanted.event_filter["event"]
                output = self._arrived(data)
            case _:
                data = msgspec.json.decode(wanted.input)
                output = self._invoked(str(wanted.function_id), wanted.type == "invoke_function_async")
        kind = {"invoke_function": "invoke", "invoke_function_async": "invoke_async"}.get(wanted.type, wanted.type)
        self.recorded.append(Recorded(kind=kind, name=name, data=data, output=output))
        return CompletedStep(step_id=wanted.step_id, name=name, output=output)

    def ran(self, name: str, output: Any) -> None:
        """Note a step that was executed."""
        self.recorded.append(Recorded(kind="run", name=name, output=output))

    def _arrived(self, event: str) -> dict[str, Any]:
        if event not in self._events:
            raise DefinitionError(
                f"the handler waits for {event!r} and none is given; testing.context(..., events={{{event!r}: data}})"
            )
        timestamp = format_instant(self._clock.now())
        return {"id": f"evt-{event}", "name": event, "data": self._events[event], "timestamp": timestamp}

    def _invoked(self, function_id: str, only_started: bool) -> Any:
        if only_started:
            return {"run_id": f"{_RUN_ID}-{function_id}"}
        if function_id not in self._invokes:
            raise DefinitionError(
                f"the handler invokes {function_id!r} and no output is given;"
                f" testing.context(..., invokes={{{function_id!r}: output}})"
            )
        return self._invokes[function_id]

    def _publish(self, message: Message) -> Future[PublishResponse]:
        self._messages += 1
        answer: Future[PublishResponse] = Future()
        event_id = f"msg-{self._messages}"
        answer.set_result(
            codec.decode(codec.encode({"eventId": event_id, "sequence": self._messages}), PublishResponse)
        )
        self.recorded.append(Recorded(kind="publish", name=message.topic, data=message.data, output=event_id))
        return answer


class _Undos(Undos):
    """Compensations that are noted; nothing runs them."""

    __slots__ = ("_recorded",)

    def __init__(self, recorded: list[Recorded]) -> None:
        super().__init__()
        self._recorded = recorded

    def register(self, scope: Scope, step_name: Any, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note one."""
        super().register(scope, step_name, fn, args, kwargs)
        self._recorded.append(Recorded(kind="compensate", name=step_name, data=list(args)))


class AwaitedCore(LoopedCore):
    """Steps of an `async def` handler that need no engine; in whatever loop they are awaited."""

    __slots__ = ("desk",)
    desk: _Desk

    def check(self, scope: Scope, name: object) -> None:
        """Raise `NonRetryableError` inside a step's body or another branch."""
        check_place(self.segment, scope, name)

    async def run(
        self,
        scope: Scope,
        step_id: str,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        limit: float | None,
    ) -> Any:
        """Return a step's output."""
        known = self.segment.journal.recall(step_id) is not None
        output = await super().run(scope, step_id, name, fn, args, kwargs, limit)
        if not known and not name.startswith("publish:"):
            self.desk.ran(name, output)
        return output

    async def wait(self, scope: Scope, wanted: Yield) -> CompletedStep:
        """Return the record of a wait at once."""
        self.unbegun.pop(wanted.step_id, None)
        return self.segment.journal.settled(wanted.step_id) or self.desk.settle(wanted)


class CalledCore(ThreadedCore):
    """Steps of a plain handler that need no engine."""

    __slots__ = ("desk",)
    desk: _Desk

    def run(
        self,
        scope: Scope,
        step_id: str,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        limit: float | None,
    ) -> Any:
        """Return a step's output."""
        known = self.segment.journal.recall(step_id) is not None
        output = super().run(scope, step_id, name, fn, args, kwargs, limit)
        if not known and not name.startswith("publish:"):
            self.desk.ran(name, output)
        return output

    def wait(self, scope: Scope, wanted: Yield) -> CompletedStep:
        """Return the record of a wait at once."""
        return self.segment.journal.settled(wanted.step_id) or self.desk.settle(wanted)


def _forget(segment: Segment) -> None:
    segment.collect()


def _for(fn: Given | None, request: Mapping[str, Any], plain: bool) -> DurableFunction:
    unknown = [field for field in request if field not in _FIELDS]
    if unknown:
        raise DefinitionError(f"a push request has no {unknown[0]!r:.40}; it has {', '.join(_FIELDS)}")
    if fn is not None:
        return durable(fn, secrets=request.get("secrets"))

    def called(ctx: Any) -> None: ...

    async def awaited(ctx: Any) -> None: ...

    return DurableFunction(called if plain else awaited, id=str(request.get("function_id") or "function"))


def _event(event: Mapping[str, Any] | str | None, data: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": event} if isinstance(event, str) else dict(event or {})
    return found if data is None else {**found, "data": data}


def _assignment(request: Mapping[str, Any], function: DurableFunction, now: int) -> Assignment:
    run_id = str(request.get("run_id") or _RUN_ID)
    given = dict(request.get("event") or {})
    unknown = [field for field in given if field not in _EVENT_FIELDS]
    if unknown:
        raise DefinitionError(f"an event has no {unknown[0]!r:.40}; it has {', '.join(_EVENT_FIELDS)}")
    told = {
        "id": "evt-1",
        "name": event_of(function) or "test.event",
        "data": {},
        "timestamp": format_instant(Instant(now)),
        **given,
    }
    return Assignment(
        job_id=f"{run_id}.1",
        run_id=run_id,
        function_id=str(request.get("function_id") or function.id),
        attempt=request.get("attempt") or 1,
        max_attempts=request.get("max_attempts") or 0,
        on_exhausted=request.get("on_exhausted") or UNSET,
        event=codec.decode(codec.encode(told), JobEvent),
        completed_steps=tuple(_row(run_id, row) for row in request.get("steps") or ()),
        execution_seq=1,
        lease_token="",
        context=JobContext(secrets=dict(request.get("secrets") or {})),
    )


def _row(run_id: str, given: Mapping[str, Any]) -> CompletedStep:
    name, step_id = given.get("name") or "", given.get("id") or ""
    if not (name or step_id):
        raise DefinitionError("a step needs its name: steps=[{'name': 'charge', 'output': 1}]")
    row: dict[str, Any] = {
        "step_id": step_id or stepid.step_id(run_id, name, 0),
        "name": name or stepid.step_name(step_id),
        "output": given.get("output"),
    }
    if given.get("status") == "failed":
        row |= {"status": "failed", "error": given.get("error")}
    return codec.decode(codec.encode(row), CompletedStep)
