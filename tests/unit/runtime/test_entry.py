"""What a handler is given of an event: brought up to date, then typed."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from ironflow_lab.errors import NonRetryableError
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import JobEvent
from ironflow_lab.runtime import entry
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.upcasters import Upcasters
from tests.unit.runtime.faketime import START

REDACTED = {"$redacted": True, "sha256": "ab", "redactedAt": "2026-01-02T03:04:05Z"}


@dataclasses.dataclass
class Order:
    total: int


def job(data: Any, **changes: Any) -> JobEvent:
    return JobEvent(**{"id": "e", "name": "order.placed", "data": data, "timestamp": Instant(START), **changes})


def made(**options: Any) -> DurableFunction:
    @function("f", **options)
    async def handler(ctx: Any) -> None: ...

    return handler


@pytest.fixture
def upcasters() -> Upcasters:
    found = Upcasters()
    found.register("order.placed", 1, 2, lambda data: {"total": data["sum"]})
    return found


def test_old_events_are_brought_up_to_date_before_the_schema_reads_them(upcasters: Upcasters) -> None:
    defined = made(schema=Order, upcasters=upcasters)
    given = job({"sum": 5})
    event = entry.event_of(defined, given)
    assert (event.data, event.version, event.name, event.id) == (Order(5), 2, "order.placed", "e")
    assert given.data == {"sum": 5}
    assert entry.event_of(defined, job({"total": 6}, version=2)).data == Order(6)
    assert entry.event_of(made(upcasters=upcasters), given).data == {"total": 5}
    assert entry.event_of(made(), given).data == {"sum": 5}


def test_a_mismatch_names_the_function_the_event_and_the_path(upcasters: Upcasters) -> None:
    with pytest.raises(NonRetryableError) as refused:
        entry.event_of(made(schema=Order, upcasters=upcasters), job({"sum": "4111"}))
    assert str(refused.value) == (
        "function 'f' takes Order, which the data of event 'order.placed' is not: $.total is str and should be int;"
        " emit data that fits, or change the schema"
    )
    assert refused.value.code == "VALIDATION_ERROR"


def test_events_of_cron_are_not_read_by_the_schema() -> None:
    assert entry.event_of(made(schema=Order), job(None, source="cron")).data is None


def test_a_redacted_payload_passes_the_upcasters_and_is_refused_by_a_schema(upcasters: Upcasters) -> None:
    assert entry.event_of(made(upcasters=upcasters), job(REDACTED)).data == REDACTED
    with pytest.raises(NonRetryableError, match="is not: it was redacted") as refused:
        entry.event_of(made(schema=dict, upcasters=upcasters), job(REDACTED))
    assert refused.value.code == "VALIDATION_ERROR"


def test_a_lab_lends_its_upcasters_to_functions_without_their_own(upcasters: Upcasters) -> None:
    own, bare = made(upcasters=Upcasters()), made()
    assert own.upcast_by(upcasters) is own
    assert bare.upcast_by(upcasters).upcasters is upcasters
    assert bare.upcasters is None


def test_upcasters_know_events_by_their_names_in_the_code(upcasters: Upcasters) -> None:
    defined = copy.copy(made(upcasters=upcasters))
    defined.namespace = "me"
    event = entry.event_of(defined, job({"sum": 5}, name="me.order.placed"))
    assert (event.name, event.data) == ("order.placed", {"total": 5})
