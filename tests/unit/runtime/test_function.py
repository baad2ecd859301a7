"""The decorator, what it makes, and what it refuses."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.lab.lab import Lab
from ironflow_lab.models.functions import RetryConfig, Trigger
from ironflow_lab.runtime.definition import Options
from ironflow_lab.runtime.function import DurableFunction, function, is_async
from ironflow_lab.runtime.handler import handler as typed
from ironflow_lab.wire import codec


def test_bare_decorator() -> None:
    @function
    async def process_order(ctx: Any) -> int:
        """Charge the card."""
        return 1

    assert isinstance(process_order, DurableFunction)
    assert (process_order.id, process_order.name, process_order.triggers) == ("process-order", "process-order", ())
    assert process_order.is_async
    assert process_order.__doc__ == "Charge the card."
    assert repr(process_order) == "<function 'process-order' on invoke only>"


def test_every_option_is_registered() -> None:
    @function(
        "billing",
        on=["order.placed", Trigger(event="order.changed", expression="data.total > 100")],
        name="Billing",
        description="Charges cards",
        retry={"max_attempts": 4, "on_exhausted": "fail"},
        timeout="10m",
        concurrency={"limit": 3, "key": "customerId"},
        debounce={"period": "5s", "key": "event.data.customerId", "max_wait": "1m"},
        throttle={"limit": 10, "period": "1m"},
        cancel_on=[("order.cancelled", "data.orderId")],
        cron="*/5 * * * *",
        secrets=["STRIPE_KEY"],
        actor_key="event.data.customerId",
        step_timeout="1s",
        pause_behavior="release",
        metadata={"team": "ops", "__ironflow_code_hash": "mine"},
        durability="step",
        recording="steps",
    )
    def handler(ctx: Any) -> None: ...

    assert not handler.is_async
    assert handler.durability == "step"
    request = codec.decode(codec.encode(handler.request()), dict)
    assert request == {
        "id": "billing",
        "name": "Billing",
        "description": "Charges cards",
        "triggers": [
            {"event": "order.placed"},
            {"event": "order.changed", "expression": "data.total > 100"},
            {"cron": "*/5 * * * *"},
        ],
        "retry": {"maxAttempts": 4, "onExhausted": "fail"},
        "timeoutMs": 600_000,
        "concurrency": {"limit": 3, "key": "customerId"},
        "debounce": {"periodMs": 5_000, "key": "customerId", "maxWaitMs": "60000"},
        "throttle": {"limit": 10, "periodMs": 60_000},
        "cancelOn": [{"event": "order.cancelled", "match": "orderId"}],
        "secrets": ["STRIPE_KEY"],
        "actorKey": "event.data.customerId",
        "pauseBehavior": "release",
        "preferredMode": "EXECUTION_MODE_PULL",
        "recording": True,
        "recordingProfile": "steps",
        "metadata": {"team": "ops", "__ironflow_code_hash": handler.code_hash},
    }


def test_unset_retry_sends_nothing() -> None:
    @function(on="order.placed")
    async def handler(ctx: Any) -> None: ...

    assert b"retry" not in codec.encode(handler.request())
    for name in (b"timeoutMs", b"concurrency", b"pauseBehavior", b"debounce", b"throttle", b"cancelOn", b"secrets"):
        assert name not in codec.encode(handler.request())


@pytest.mark.parametrize(
    ("given", "alone", "in_a_lab"), [(None, None, True), (False, None, None), (True, True, True), ("all", True, True)]
)
def test_recording_is_off_alone_and_on_in_a_lab_unless_said(given: Any, alone: Any, in_a_lab: Any) -> None:
    @function("f", recording=given)
    async def handler(ctx: Any) -> None: ...

    assert codec.decode(codec.encode(handler.request()), dict).get("recording") is alone
    served = handler.recorded()
    assert codec.decode(codec.encode(served.request()), dict).get("recording") is in_a_lab
    assert (served.id, served.handler, served.code_hash) == (handler.id, handler.handler, handler.code_hash)
    assert handler.recording is given, "the function itself stays as it was"


async def test_calling_it_calls_the_handler() -> None:
    @function
    async def later(ctx: Any) -> str:
        return f"got {ctx}"

    @function
    def plain(ctx: Any) -> str:
        return f"got {ctx}"

    assert await later("a context") == "got a context"
    assert plain("a context") == "got a context"


def test_further_arguments_need_defaults() -> None:
    @function
    def fine(ctx: Any, rate: float = 0.2, *rest: Any, flag: bool = False) -> None: ...

    assert fine.id == "fine"


class Callable1:
    async def __call__(self, ctx: Any) -> int:
        return 1


def test_a_callable_object_needs_an_id_of_its_own_only_if_its_class_gives_none() -> None:
    made = function("charger")(Callable1())
    assert made.is_async
    assert function()(Callable1()).id == "Callable1"


def test_is_async() -> None:
    async def asynchronous(x: int) -> int:
        return x

    assert is_async(asynchronous)
    assert is_async(functools.partial(asynchronous, 1))
    assert not is_async(lambda: asynchronous(1))
    assert not is_async(print)


def no_argument() -> None: ...


def two(ctx: Any, order: Any) -> None: ...


def generator(ctx: Any) -> Any:
    yield 1


async def async_generator(ctx: Any) -> Any:
    yield 1


class Klass:
    def __init__(self, ctx: Any) -> None: ...


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (no_argument, r"no_argument must take one argument, the context, .*: def no_argument\(ctx\)"),
        (two, "must take one argument"),
        (generator, "contains `yield`"),
        (async_generator, "contains `yield`"),
        (Klass, "is not a function"),
        (5, "is not a function"),
        (lambda ctx: None, "gives no id"),
    ],
)
def test_what_cannot_be_a_handler_is_refused(handler: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        function()(handler)


def test_twice_durable_is_refused() -> None:
    @function
    def once(ctx: Any) -> None: ...

    with pytest.raises(DefinitionError, match="'once' is durable already"):
        function("again")(once)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"durability": "eventually"}, "must be 'pipelined' or 'step'"),
        ({"name": 5}, "name must be text, not int"),
        ({"description": ["x"]}, "description must be text, not list"),
        ({"on": "order placed"}, "blanks"),
        ({"retry": {"tries": 3}}, "has no 'tries'"),
        ({"timeout": -1}, "timeout"),
        ({"id": "a b"}, "cannot be a function's id"),
    ],
)
def test_bad_options_are_refused_when_the_cell_runs(options: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        function(**options)(two_in_one)


def two_in_one(ctx: Any) -> None: ...


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="retries"):
        function(retries=1)  # type: ignore[call-overload]  # wrong on purpose


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"on": "a..b"}, "on='a..b'"),
        ({"cron": "x"}, "cron='x'"),
        ({"retry": 0}, "retry: max_attempts=0"),
        ({"timeout": 0}, "timeout=0 must be"),
        ({"step_timeout": 0}, "step_timeout=0 must be"),
        ({"concurrency": 0}, "concurrency: limit=0"),
        ({"debounce": 5}, "debounce=5"),
        ({"throttle": 5}, "throttle=5"),
        ({"cancel_on": "x"}, "cancel_on='x'"),
        ({"pause_behavior": "x"}, "pause_behavior='x'"),
        ({"secrets": [5]}, "secrets must be names"),
        ({"actor_key": ""}, "actor_key=''"),
        ({"metadata": 5}, "metadata must be a dict"),
        ({"upcasters": {}}, "upcasters must be an ironflow_lab.Upcasters, not dict; make one"),
        ({"schema": 5}, "schema=5"),
        ({"recording": "x"}, "recording='x'"),
        ({"durability": "x"}, "durability='x'"),
        ({"name": 5}, "name must be text, not int"),
        ({"description": None}, "description must be text, not NoneType"),
    ],
)
def test_a_wrong_option_is_named_when_the_function_is_defined(given: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):

        @function("f", **given)
        async def handler(ctx: Any) -> None: ...


def test_the_lab_takes_the_same_options() -> None:
    def takes(of: Any) -> list[str]:
        return list(inspect.signature(of).parameters)

    assert takes(Lab.function) == ["self", *takes(function)]
    assert takes(Lab.handler) == ["self", *takes(typed)]
    assert sorted(Options.__annotations__) == sorted(set(takes(function)) - {"id"})


def test_a_retry_config_travels_unchanged() -> None:
    made = function("f", retry=RetryConfig(max_attempts=2, initial_delay_ms=10))(two_in_one)
    assert made.request().retry == RetryConfig(max_attempts=2, initial_delay_ms=10)
