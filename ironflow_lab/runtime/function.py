"""A durable function: a Python function with an id, triggers and a policy, checked when defined."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, overload

from ironflow_lab.errors import DefinitionError
from ironflow_lab.kernel.output import here
from ironflow_lab.models.functions import ConcurrencyConfig, RegisterFunctionRequest, RetryConfig, Trigger
from ironflow_lab.models.runs import ExecutionMode
from ironflow_lab.runtime import codehash, options
from ironflow_lab.wire.duration import Duration

Handler = Callable[[Any], Any]
Durability = Literal["pipelined", "step"]

CODE_HASH = "__ironflow_code_hash"
_DURABILITIES = ("pipelined", "step")


class DurableFunction:
    """What `@function` makes: the handler and what a server is told of it. Calling it calls the handler.

    `code_hash` is the fingerprint of the handler's code, `is_async` whether it is an `async def`,
    `durability` when its steps are saved: "pipelined" (as they finish, without waiting) or "step"
    (each is saved before the next begins), `recording` what is kept of its runs for time travel (None:
    not said). `place` is the cell it was defined in, for its output.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        id: str,
        name: str = "",
        description: str = "",
        triggers: tuple[Trigger, ...] = (),
        retry: RetryConfig | None = None,
        timeout_ms: int = 0,
        concurrency: ConcurrencyConfig | None = None,
        pause_behavior: str = "",
        metadata: Mapping[str, Any] | None = None,
        durability: Durability = "pipelined",
        recording: options.Recording | None = None,
    ) -> None:
        self.handler = handler
        self.id = id
        self.name = name or id
        self.description = description
        self.triggers = triggers
        self.retry = retry
        self.timeout_ms = timeout_ms
        self.concurrency = concurrency
        self.pause_behavior = pause_behavior
        self.metadata = dict(metadata or {})
        self.durability = durability
        self.recording = recording
        self.is_async = is_async(handler)
        self.code_hash = codehash.of(handler)
        self.place = here()
        functools.update_wrapper(self, handler)

    def __call__(self, ctx: Any) -> Any:
        """Return what the handler returns for this context; for an `async def`, its coroutine."""
        return self.handler(ctx)

    def __repr__(self) -> str:
        """Return the id and what starts it."""
        on = ", ".join(trigger.event for trigger in self.triggers) or "invoke only"
        return f"<function {self.id!r} on {on}>"

    def recorded(self) -> Self:
        """Return the function with recording on, itself when it says already whether its runs are recorded."""
        if self.recording is not None:
            return self
        found = copy.copy(self)
        found.recording = True
        return found

    def request(self) -> RegisterFunctionRequest:
        """Return the registration (worker.md section 2): a pull function with its code's hash."""
        return RegisterFunctionRequest(
            id=self.id,
            name=self.name,
            description=self.description,
            triggers=self.triggers,
            retry=self.retry,
            timeout_ms=self.timeout_ms,
            concurrency=self.concurrency,
            pause_behavior=self.pause_behavior,
            preferred_mode=ExecutionMode("pull"),
            recording=bool(self.recording),
            recording_profile=self.recording if isinstance(self.recording, str) else "",
            metadata={**self.metadata, CODE_HASH: self.code_hash},
        )


@overload
def function(id: Handler, /) -> DurableFunction: ...
@overload
def function(
    id: str | None = None,
    *,
    on: options.On | None = None,
    name: str = "",
    description: str = "",
    retry: options.Retry | None = None,
    timeout: Duration | None = None,
    concurrency: options.Concurrency | None = None,
    pause_behavior: options.PauseBehavior | None = None,
    metadata: Mapping[str, Any] | None = None,
    durability: Durability = "pipelined",
    recording: options.Recording | None = None,
) -> Callable[[Handler], DurableFunction]: ...
def function(
    id: Handler | str | None = None,
    *,
    on: options.On | None = None,
    name: str = "",
    description: str = "",
    retry: options.Retry | None = None,
    timeout: Duration | None = None,
    concurrency: options.Concurrency | None = None,
    pause_behavior: options.PauseBehavior | None = None,
    metadata: Mapping[str, Any] | None = None,
    durability: Durability = "pipelined",
    recording: options.Recording | None = None,
) -> DurableFunction | Callable[[Handler], DurableFunction]:
    """Return a decorator that makes a function durable; also used bare, as `@function`.

    `id` defaults to the Python name with dashes; `on` names the events (wildcards allowed) that
    start it, with a `Trigger(event=..., expression="data.total > 100")` those that the expression is
    true of; None leaves it to be invoked; `retry` is a number of attempts, a dict or a
    `RetryConfig`; `timeout` bounds the executing time of a run; `concurrency` how many of its runs
    execute at once: a number, or `{"limit": 3, "key": "customerId"}` for each value of that path in the
    event's data; with `pause_behavior` "release" a paused run gives its place to the next, with "hold"
    it keeps it; unset options are the server's defaults. `recording` keeps every change of its runs for
    time travel: True, False or a profile ("all", "steps", "run_lifecycle"); not given, it is on when a
    lab serves the function and off elsewhere. The handler takes one argument, the context. Raises
    `DefinitionError` at once.
    """
    given = None if callable(id) else id

    def define(handler: Handler) -> DurableFunction:
        _check_handler(handler)
        if durability not in _DURABILITIES:
            raise DefinitionError(f"durability={durability!r:.40} must be 'pipelined' or 'step'")
        for option, value in (("name", name), ("description", description)):
            if not isinstance(value, str):
                raise DefinitionError(f"{option} must be text, not {type(value).__name__}")
        return DurableFunction(
            handler,
            id=options.function_id(given, getattr(handler, "__name__", type(handler).__name__)),
            name=name,
            description=description,
            triggers=options.triggers(on),
            retry=options.retry(retry),
            timeout_ms=options.timeout_ms(timeout),
            concurrency=options.concurrency(concurrency),
            pause_behavior=options.pause_behavior(pause_behavior),
            metadata=options.metadata(metadata),
            durability=durability,
            recording=options.recording(recording),
        )

    return define(id) if callable(id) else define


def is_async(code: Callable[..., Any]) -> bool:
    """Return whether calling this gives a coroutine by its definition."""
    flags = getattr(getattr(code, "__code__", None), "co_flags", None)
    if flags is not None:
        return bool(flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(code) or inspect.iscoroutinefunction(type(code).__call__)


def _check_handler(handler: Any) -> None:
    name = getattr(handler, "__qualname__", repr(handler))
    if isinstance(handler, DurableFunction):
        raise DefinitionError(f"{handler.id!r} is durable already; decorate the plain function once")
    if not callable(handler) or inspect.isclass(handler):
        raise DefinitionError(f"{name} is not a function; decorate a `def` or an `async def`")
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise DefinitionError(f"{name} contains `yield`; a handler returns its result instead")
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise DefinitionError(
            f"{name} must take one argument, the context, and no other without a default: def {name}(ctx)"
        ) from None
    except ValueError:
        raise DefinitionError(f"{name} has no signature; wrap it in a `def`") from None
