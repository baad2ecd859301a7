"""Functions of a lab that works in a namespace."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.lab.naming import Naming
from ironflow_lab.runtime.function import DurableFunction, function


def defined(**options: Any) -> DurableFunction:
    @function("process-order", **options)
    async def process_order(ctx: Any) -> None: ...

    return process_order


def test_ids_triggers_and_what_cancels_are_placed() -> None:
    plain = defined(on=["order.placed", "order.*"], cancel_on=[("order.cancelled", "orderId")])
    placed = Naming("me").placed(plain)
    assert placed.id == "me.process-order"
    assert [one.event for one in placed.triggers] == ["me.order.placed", "me.order.*"]
    assert [(one.event, one.match) for one in placed.cancel_on] == [("me.order.cancelled", "orderId")]
    assert placed.namespace == "me"
    assert (plain.id, plain.namespace, plain.triggers[0].event) == ("process-order", "", "order.placed")
    assert placed.request().id == "me.process-order"


def test_a_schedule_has_no_event_to_place() -> None:
    placed = Naming("me").placed(defined(cron="0 9 * * *"))
    assert [(one.event, one.cron) for one in placed.triggers] == [("", "0 9 * * *")]


def test_without_a_namespace_the_function_is_the_same() -> None:
    plain = defined()
    assert Naming().placed(plain) is plain


def test_placing_twice_is_placing_once() -> None:
    placed = Naming("me").placed(defined())
    assert Naming("me").placed(placed) is placed
    with pytest.raises(DefinitionError, match=r"'me\.process-order' is in the namespace 'me'"):
        Naming("you").placed(placed)


@pytest.mark.parametrize("options", [{}, {"on": "x." + "y" * 250}, {"cancel_on": [("x." + "y" * 250, "a")]}])
def test_what_grows_too_long_is_refused(options: dict[str, Any]) -> None:
    wide = defined(**options)
    if not options:
        wide.id = "x" * 200
    with pytest.raises(DefinitionError, match="characters, the limit is"):
        Naming("me-and-you").placed(wide)


def test_functions_are_named_by_text_or_as_objects() -> None:
    naming, plain = Naming("me"), defined()
    placed = naming.placed(plain)
    for given in ("process-order", "me.process-order", plain, placed):
        assert naming.function(given) == "me.process-order"
    assert Naming("you").function(placed) == "me.process-order"
    assert Naming().function(plain) == "process-order"


def test_events_are_named_by_text() -> None:
    assert Naming("me").event("order.placed") == Naming("me").event("me.order.placed") == "me.order.placed"
    assert Naming("me").event(3) == 3


def test_what_is_in_the_namespace() -> None:
    assert Naming("me").owns("me.f")
    assert not Naming("me").owns("f")
    assert not Naming("me").owns("mentor.f")
    assert Naming().owns("f")
