"""A durable function: a Python function with an id, triggers and a policy, checked when defined."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, Unpack, overload

from ironflow_lab.errors import DefinitionError
from ironflow_lab.kernel.output import here
from ironflow_lab.models.functions import (
    CancelOn,
    ConcurrencyConfig,
    DebounceConfig,
    RegisterFunctionRequest,
    RetryConfig,
    ThrottleConfig,
    Trigger,
)
from ironflow_lab.models.runs import ExecutionMode
from ironflow_lab.runtime import codehash, flow, options, sources, triggers
from ironflow_lab.runtime.definition import Durability, Options, settled
from ironflow_lab.runtime.schemas import Schema
from ironflow_lab.runtime.sources import Source
from ironflow_lab.runtime.upcasters import Upcasters
from ironflow_lab.wire.duration import Duration

Handler = Callable[[Any], Any]

CODE_HASH = "__ironflow_code_hash"


class DurableFunction:
    """What `@function` makes: the handler and what a server is told of it. Calling it calls the handler.

    `code_hash` is the fingerprint of the handler's code, `is_async` whether it is an `async def`,
    `durability` when its steps are saved: "pipelined" (as they finish, without waiting) or "step"
    (each is saved before the next begins), `recording` what is kept of its runs for time travel (None:
    not said), `step_timeout` how long a step's body may take, in seconds, where it does not say so
    itself; `namespace` is what its id and its events begin with on the server (see `lab.naming`).
    `place` is the cell it was defined in, for its output; `source` its text, None when it cannot be found.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        id: str,
        name: str = "",
        description: str = "",
        triggers: tuple[Trigger, ...] = (),
        schema: Schema | None = None,
        retry: RetryConfig | None = None,
        timeout_ms: int = 0,
        step_timeout: float | None = None,
        concurrency: ConcurrencyConfig | None = None,
        debounce: DebounceConfig | None = None,
        throttle: ThrottleConfig | None = None,
        cancel_on: tuple[CancelOn, ...] = (),
        pause_behavior: str = "",
        secrets: tuple[str, ...] = (),
        actor_key: str = "",
        metadata: Mapping[str, Any] | None = None,
        upcasters: Upcasters | None = None,
        durability: Durability = "pipelined",
        recording: options.Recording | None = None,
    ) -> None:
        self.handler = handler
        self.id = id
        self.name = name or id
        self.description = description
        self.triggers = triggers
        self.schema = schema
        self.retry = retry
        self.timeout_ms = timeout_ms
        self.step_timeout = step_timeout
        self.concurrency = concurrency
        self.debounce = debounce
        self.throttle = throttle
        self.cancel_on = cancel_on
        self.pause_behavior = pause_behavior
        self.secrets = secrets
        self.actor_key = actor_key
        self.metadata = dict(metadata or {})
        self.upcasters = upcasters
        self.durability = durability
        self.recording = recording
        self.namespace = ""
        self.is_async = is_async(handler)
        self.code_hash = codehash.of(handler)
        self.source = sources.of(handler, self.code_hash)
        self.place = here()
        functools.update_wrapper(self, handler)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the handler returns for these arguments; for an `async def`, its coroutine."""
        return self.handler(*args, **kwargs)

    def call(self, ctx: Any) -> Any:
        """Return what the handler returns for a context; for an `async def`, its coroutine."""
        return self.handler(ctx)

    def __repr__(self) -> str:
        """Return the id and what starts it."""
        on = ", ".join(trigger.event or trigger.cron for trigger in self.triggers) or "invoke only"
        return f"<function {self.id!r} on {on}>"

    def with_handler(self, handler: Handler, source: Source) -> Self:
        """Return the function with the handler of another version, which `source` made."""
        found = copy.copy(self)
        found.handler, found.source, found.code_hash = handler, source, source.code_hash
        found.is_async = is_async(handler)
        return found

    def recorded(self) -> Self:
        """Return the function with recording on, itself when it says already whether its runs are recorded."""
        if self.recording is not None:
            return self
        found = copy.copy(self)
        found.recording = True
        return found

    def upcast_by(self, upcasters: Upcasters) -> Self:
        """Return the function with these upcasters, itself when it has some of its own."""
        if self.upcasters is not None:
            return self
        found = copy.copy(self)
        found.upcasters = upcasters
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
            debounce=self.debounce,
            throttle=self.throttle,
            cancel_on=self.cancel_on,
            pause_behavior=self.pause_behavior,
            secrets=self.secrets,
            actor_key=self.actor_key,
            preferred_mode=ExecutionMode("pull"),
            recording=bool(self.recording),
            recording_profile=self.recording if isinstance(self.recording, str) else "",
            metadata={**self.metadata, CODE_HASH: self.code_hash},
        )


@overload
def function(id: Handler, /) -> DurableFunction: ...
@overload
def function(id: str | None = None, **given: Unpack[Options]) -> Callable[[Handler], DurableFunction]: ...
def function(
    id: Handler | str | None = None,
    *,
    on: triggers.On | None = None,
    cron: triggers.Cron | None = None,
    name: str = "",
    description: str = "",
    schema: Any = None,
    retry: options.Retry | None = None,
    timeout: Duration | None = None,
    step_timeout: Duration | None = None,
    concurrency: flow.Concurrency | None = None,
    debounce: flow.Debounce | None = None,
    throttle: flow.Throttle | None = None,
    cancel_on: flow.CancelsOn | None = None,
    pause_behavior: flow.PauseBehavior | None = None,
    secrets: Iterable[str] | None = None,
    actor_key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    upcasters: Upcasters | None = None,
    durability: Durability = "pipelined",
    recording: options.Recording | None = None,
) -> DurableFunction | Callable[[Handler], DurableFunction]:
    """Return a decorator that makes a function durable; also used bare, as `@function`.

    The handler takes one argument, the context. Unset options are the server's defaults. Raises
    `DefinitionError` at once, naming the option that is wrong.

    id: how the server knows it; by default the Python name with dashes.
    on: the events that start it: names, patterns ("order.*") and `Trigger(event=..., expression="data.total > 100")`
        for those that the CEL expression is true of. With neither `on` nor `cron` it is only invoked.
    cron: the times that start it, in five fields: "*/5 * * * *", or several such lines.
    schema: the type of the event's data (a dataclass, msgspec.Struct, pydantic model or TypedDict); `ctx.event.data`
        is one then. A run whose event does not fit fails and is not tried again. Events of `cron` are not read.
    retry: a number of attempts, a `RetryConfig`, or a dict with max_attempts, initial_delay, backoff_factor,
        max_delay, and on_exhausted ("fail" or "pause").
    timeout: bounds the executing time of a run; step_timeout that of each `ctx.step.run` without a timeout.
    concurrency: how many of its runs execute at once: a number, or `{"limit": 3, "key": "customerId"}` for each
        value of that path in the event's data.
    debounce: `{"period": "5s", "key": "customerId", "max_wait": "1m"}`: one run with the last event, once it is quiet.
    throttle: `{"limit": 10, "period": "1m", "key": "customerId"}`: so many runs start in a period, the others wait.
    cancel_on: `[("order.cancelled", "orderId")]`: events that cancel a run with the same value at that path.
    pause_behavior: "release" lets the next run have the place of a paused one, "hold" keeps it.
    secrets: names of secrets; `ctx.secrets["STRIPE_KEY"]` is the value.
    actor_key: the path of the value that says who a run is for.
    metadata: JSON kept with the function.
    upcasters: what brings old events up to date before the schema, in place of those of the lab.
    durability: "pipelined" saves steps as they finish, "step" each before the next begins.
    recording: keeps every change of its runs for time travel: True, False or a profile ("all", "steps",
        "run_lifecycle"); not given, it is on when a lab serves the function and off elsewhere.
    """
    given: Options = {
        "on": on,
        "cron": cron,
        "name": name,
        "description": description,
        "schema": schema,
        "retry": retry,
        "timeout": timeout,
        "step_timeout": step_timeout,
        "concurrency": concurrency,
        "debounce": debounce,
        "throttle": throttle,
        "cancel_on": cancel_on,
        "pause_behavior": pause_behavior,
        "secrets": secrets,
        "actor_key": actor_key,
        "metadata": metadata,
        "upcasters": upcasters,
        "durability": durability,
        "recording": recording,
    }

    def define(handler: Handler) -> DurableFunction:
        check_callable(handler)
        _check_arguments(handler)
        chosen = None if callable(id) else id
        return DurableFunction(handler, id=options.function_id(chosen, python_name(handler)), **settled(given))

    return define(id) if callable(id) else define


def is_async(code: Callable[..., Any]) -> bool:
    """Return whether calling this gives a coroutine by its definition."""
    flags = getattr(getattr(code, "__code__", None), "co_flags", None)
    if flags is not None:
        return bool(flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(code) or inspect.iscoroutinefunction(type(code).__call__)


def python_name(handler: Callable[..., Any]) -> str:
    """Return the name a handler has in Python, that of its class when it has none."""
    return getattr(handler, "__name__", type(handler).__name__)


def check_callable(handler: Any) -> None:
    """Raise `DefinitionError` unless this can be the code of a durable function."""
    name = getattr(handler, "__qualname__", f"{handler!r:.80}")
    if isinstance(handler, DurableFunction):
        raise DefinitionError(f"{handler.id!r} is durable already; decorate the plain function once")
    if not callable(handler) or inspect.isclass(handler):
        raise DefinitionError(f"{name} is not a function; decorate a `def` or an `async def`")
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise DefinitionError(f"{name} contains `yield`; a handler returns its result instead")
    try:
        inspect.signature(handler)
    except ValueError:
        raise DefinitionError(f"{name} has no signature; wrap it in a `def`") from None


def _check_arguments(handler: Callable[..., Any]) -> None:
    name = getattr(handler, "__qualname__", f"{handler!r:.80}")
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise DefinitionError(
            f"{name} must take one argument, the context, and no other without a default: def {name}(ctx)"
        ) from None
