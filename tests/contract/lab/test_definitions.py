"""Options, typed events, upcasters and secrets through a real server and worker."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError, RunFailedError, StepTimeoutError, UnimplementedError


@dataclasses.dataclass
class Parcel:
    """What `parcel.sent` carries in version 2."""

    grams: int
    to: str = ""


@pytest.fixture(scope="module")
def parcels(lab: il.Lab) -> Iterator[il.Lab]:
    """The lab with a typed handler, and an upcaster for its event."""
    lab.upcasters.register("parcel.sent", 1, 2, lambda data: {"grams": data["kilos"] * 1000, "to": data["to"]})

    @lab.handler("parcel.sent", filter="data.to != 'nowhere'", retry=3)
    async def sent(event: Parcel, ctx: il.HandlerContext[Parcel, Any]) -> Any:
        weighed = await ctx.step.run("weigh", lambda: event.grams + 1)
        meta = ctx.event_meta
        return [type(event).__name__, weighed, meta.name, meta.version, meta.source, ctx.run.function_id]

    yield lab
    lab.client.functions.delete("parcel-sent-handler")


def failure(lab: il.Lab, event: str, data: Any, version: int) -> Any:
    """Return the error of the one run that an event starts, once it has failed."""
    with pytest.raises(RunFailedError):
        _ = (emission := lab.emit(event, data, version=version)).result
    (run,) = emission.runs
    found = lab.client.runs.get(run.id)
    assert found.attempt == 1, "no second attempt"
    return found.error


def test_a_handler_gets_old_and_new_events_as_its_type(parcels: il.Lab) -> None:
    expected = ["Parcel", 2001, "parcel.sent", 2, "api", "parcel-sent-handler"]
    assert parcels.emit_sync("parcel.sent", {"kilos": 2, "to": "x"}).result == expected
    assert parcels.emit_sync("parcel.sent", {"grams": 2000, "to": "y"}, version=2).result == expected
    assert not parcels.emit("parcel.sent", {"kilos": 2, "to": "nowhere"}).runs


def test_an_event_that_does_not_fit_fails_the_run_at_once(parcels: il.Lab) -> None:
    error = failure(parcels, "parcel.sent", {"grams": "4111", "to": "x"}, 2)
    assert error.code == "VALIDATION_ERROR"
    assert "'parcel-sent-handler' takes Parcel" in error.message
    assert "event 'parcel.sent' is not: $.grams is str and should be int" in error.message
    assert "4111" not in error.message
    error = failure(parcels, "parcel.sent", {"to": "x"}, 1)
    assert error.code == "NON_RETRYABLE"
    assert "cannot be brought from version 1 to 2: the upcaster from 1 to 2 raised KeyError: 'kilos'" in error.message


def test_a_function_has_its_own_upcasters_and_types_the_data(lab: il.Lab) -> None:
    own = il.Upcasters()

    @own.register("parcel.lost", 1, 3)
    def renamed(data: Any) -> Any:
        return {"grams": data["weight"]}

    @lab.function("lost", on="parcel.lost", schema=Parcel, upcasters=own)
    def lost(ctx: Any) -> Any:
        return [ctx.event.data.grams, ctx.event.version]

    assert lab.emit_sync("parcel.lost", {"weight": 7}).result == [7, 3]


def test_steps_have_the_timeout_of_their_function(lab: il.Lab) -> None:
    never = threading.Event()

    @lab.function("patient", step_timeout="50ms")
    async def patient(ctx: Any) -> Any:
        try:
            await ctx.step.run("nap", asyncio.Event().wait)
        except StepTimeoutError as error:
            return [error.step_name, error.step_id.endswith(":nap:0"), error.timeout, ctx.run.started_at > 0]

    @lab.function("patient-too", step_timeout="50ms")
    def patient_too(ctx: Any) -> Any:
        try:
            ctx.step.run("nap", never.wait)
        except StepTimeoutError as error:
            return [error.step_name, error.step_id.endswith(":nap:0"), error.timeout, ctx.run.started_at > 0]
        finally:
            never.set()

    assert lab.invoke(patient, trace=False) == ["nap", True, 0.05, True]
    assert lab.invoke(patient_too, trace=False) == ["nap", True, 0.05, True]


def test_secrets_reach_the_handler_and_a_missing_one_says_what_to_do(lab: il.Lab) -> None:
    @lab.function("charge", secrets=["STRIPE_KEY", "OPTIONAL_KEY"], retry=3)
    async def charge(ctx: Any) -> Any:
        assert not ctx.secrets.has("OPTIONAL_KEY")
        return [ctx.secrets.get("STRIPE_KEY")[:3], repr(ctx.secrets)]

    with pytest.raises(RunFailedError, match=r"secret 'STRIPE_KEY': it is declared, .*secrets.create\('STRIPE_KEY'"):
        lab.invoke(charge, trace=False)
    lab.client.secrets.create("STRIPE_KEY", "sk_live_1")
    try:
        assert lab.invoke(charge, trace=False) == ["sk_", "<secrets STRIPE_KEY>"]
    finally:
        lab.client.secrets.delete("STRIPE_KEY")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"debounce": {"period": "5s"}}, "debounce"),
        ({"throttle": {"limit": 1, "period": "5s"}}, "throttle"),
        ({"cancel_on": [("parcel.lost", "id")]}, "cancel_on"),
        ({"cron": "*/5 * * * *"}, "cron"),
        ({"actor_key": "data.id"}, "actor_key"),
    ],
)
def test_what_the_embedded_server_lacks_is_refused_in_the_cell(lab: il.Lab, options: Any, word: str) -> None:
    with pytest.raises(UnimplementedError, match=word):

        @lab.function("lacking", **options)
        async def lacking(ctx: Any) -> None: ...

    assert "lacking" not in [one.id for one in lab.client.functions.list().functions]


def test_an_expression_that_the_server_cannot_read_is_refused_in_the_cell(lab: il.Lab) -> None:
    with pytest.raises(DefinitionError, match="single '='"):
        lab.handler("parcel.sent", filter="data.n = 1")
    with pytest.raises(il.errors.InvalidArgumentError, match="lacking"):

        @lab.function("lacking", on=il.Trigger(event="parcel.sent", expression="data.n +* 1"))
        async def lacking(ctx: Any) -> None: ...
