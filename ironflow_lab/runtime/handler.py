"""Handlers of one event in their short form: `def on_order(event: Order)`, the event's data as it is typed."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar, Unpack

import msgspec

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.functions import Trigger
from ironflow_lab.models.instant import Instant
from ironflow_lab.runtime import flow, options, schemas
from ironflow_lab.runtime.context import Context, RunInfo
from ironflow_lab.runtime.definition import Further, settled
from ironflow_lab.runtime.function import DurableFunction, check_callable
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.secrets import Secrets
from ironflow_lab.runtime.step import Step

T = TypeVar("T")
S = TypeVar("S", Step, PlainStep)


class EventMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an event besides its data; `version` is that of the data as it was given."""

    id: str
    name: str
    version: int
    timestamp: Instant
    source: str


class HandlerContext(Generic[T, S]):
    """What a handler of the short form is given besides its event's data.

    `event` is that data again, as it is typed; `event_meta` the event's id, name, version, timestamp and
    source; `run`, `step`, `secrets` and `logger` are those of `Context`.
    """

    __slots__ = ("_context", "event", "event_meta")

    def __init__(self, context: Context[S]) -> None:
        self._context: Context[S] = context
        event = context.event
        self.event: T = event.data
        self.event_meta = EventMeta(
            id=event.id, name=event.name, version=event.version, timestamp=event.timestamp, source=event.source
        )

    @property
    def run(self) -> RunInfo:
        """The run being executed: its id, function, attempt and start."""
        return self._context.run

    @property
    def step(self) -> S:
        """The durable operations: awaited in an `async def` handler, called in a plain one."""
        return self._context.step

    @property
    def secrets(self) -> Secrets:
        """The values of the secrets that the function names."""
        return self._context.secrets

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that puts function, run and attempt on each record."""
        return self._context.logger

    def __repr__(self) -> str:
        """Return the run and its event, without the payload."""
        return f"<handler context of {self.run.id}, attempt {self.run.attempt}, event {self.event_meta.name!r}>"


class TypedFunction(DurableFunction):
    """A durable function whose handler takes the event's data first, and the context if it wants it."""

    def call(self, ctx: Any) -> Any:
        """Return what the handler returns for a context; for an `async def`, its coroutine."""
        if _takes_context(self.handler):
            return self.handler(ctx.event.data, HandlerContext(ctx))
        return self.handler(ctx.event.data)


def handler(
    event: str,
    *,
    id: str | None = None,
    filter: str | None = None,
    schema: Any = None,
    retry: options.Retry | None = None,
    concurrency: flow.Concurrency | None = None,
    **given: Unpack[Further],
) -> Callable[[Callable[..., Any]], TypedFunction]:
    """Return a decorator for `def handle(event)` or `def handle(event, ctx)`, plain or async, of one event.

    The first argument is the event's data, read as its annotation or `schema` says (a dataclass, a
    msgspec.Struct, a pydantic model or a TypedDict); without either it is plain JSON. The second is a
    `HandlerContext`. `id` is `order-placed-handler` for "order.placed" unless it is given; `filter` is a
    CEL expression on the event, "data.total > 1000". The other options are those of `function`. Raises
    `DefinitionError` at once.
    """
    _check_words(event, filter, given)
    chosen = options.function_id(_default_id(event) if id is None else id, "")
    trigger = Trigger(event=event, expression=filter or "")
    kept = settled(
        {**given, "on": trigger, "cron": None, "schema": None, "retry": retry, "concurrency": concurrency},
    )

    def define(handle: Callable[..., Any]) -> TypedFunction:
        check_callable(handle)
        _check_arguments(handle)
        return TypedFunction(handle, id=chosen, **{**kept, "schema": schemas.of_parameter(handle, schema)})

    return define


def _check_words(event: Any, filter: Any, given: Any) -> None:
    if not isinstance(event, str):
        raise DefinitionError("handler needs the event's name first: @handler('order.placed')")
    for name in ("on", "cron"):
        if name in given:
            raise DefinitionError(f"handler has no {name!r}: its event starts it; use `function` for other triggers")
    unknown = sorted(given.keys() - Further.__annotations__.keys())
    if unknown:
        raise TypeError(f"handler() got an unexpected keyword argument {unknown[0]!r}")
    if filter is not None and not (isinstance(filter, str) and filter.strip()):
        raise DefinitionError(f"filter={filter!r:.80} must be a CEL expression, such as 'data.total > 1000'")


def _default_id(event: str) -> str:
    words = re.sub(r"[^0-9A-Za-z]+", "-", event).strip("-")
    if not words:
        raise DefinitionError(f"event {event!r:.80} gives no id; write @handler({event!r:.80}, id='some-id')")
    return f"{words}-handler"


def _takes_context(handle: Callable[..., Any]) -> bool:
    """Return whether the handler has a second place; keyword-only arguments are its own."""
    places = [one for one in inspect.signature(handle).parameters.values() if one.kind != one.KEYWORD_ONLY]
    return len(places) > 1 or any(one.kind == one.VAR_POSITIONAL for one in places)


def _check_arguments(handle: Callable[..., Any]) -> None:
    name = getattr(handle, "__qualname__", f"{handle!r:.80}")
    try:
        signature = inspect.signature(handle)
        signature.bind(None, None) if _takes_context(handle) else signature.bind(None)
    except TypeError:
        raise DefinitionError(
            f"{name} must take the event and, if it wants it, the context: def {name}(event) or def {name}(event, ctx)"
        ) from None
