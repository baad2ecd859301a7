"""The registry of upcasters: chains, what breaks them, and what they leave alone."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError, NonRetryableError
from ironflow_lab.runtime.upcasters import Upcasters, redacted

REDACTED = {"$redacted": True, "sha256": "ab", "redactedAt": "2026-01-02T03:04:05Z"}


@pytest.fixture
def upcasters() -> Upcasters:
    """Two steps of one event; the second skips a version."""
    made = Upcasters()

    @made.register("order.placed", 1, 2)
    def named(data: Any) -> Any:
        data["name"] = data.pop("n")
        return data

    made.register("order.placed", 2, 4, lambda data: {**data, "v": 4})
    assert named({"n": 1}) == {"name": 1}, "the decorator returns the function"
    return made


@pytest.mark.parametrize("version", [0, 1])
def test_old_data_goes_through_the_chain_and_stays_as_it_was(upcasters: Upcasters, version: int) -> None:
    data = {"n": "a"}
    assert upcasters.upcast_to_latest("order.placed", data, version) == {"name": "a", "v": 4}
    assert upcasters.upcast("order.placed", data, version) == ({"name": "a", "v": 4}, 4)
    assert data == {"n": "a"}


@pytest.mark.parametrize(
    ("name", "data", "version"),
    [
        ("order.placed", {"n": 1}, 4),
        ("order.placed", {"n": 1}, 9),
        ("order.other", {"n": 1}, 1),
        ("order.placed", REDACTED, 1),
    ],
)
def test_what_needs_nothing_is_left_alone(upcasters: Upcasters, name: str, data: Any, version: int) -> None:
    found, at = upcasters.upcast(name, data, version)
    assert found is data
    assert at == version


def test_latest_version(upcasters: Upcasters) -> None:
    assert upcasters.latest_version("order.placed") == 4
    assert upcasters.latest_version("order.other") == 0
    assert "order.placed" in upcasters
    assert "order.other" not in upcasters
    assert repr(upcasters) == "<upcasters: order.placed 1→2, 2→4>"
    assert repr(Upcasters()) == "<upcasters: none>"


def test_a_missing_link_is_named_with_the_remedy(upcasters: Upcasters) -> None:
    with pytest.raises(NonRetryableError) as broken:
        upcasters.upcast_to_latest("order.placed", {}, 3)
    assert str(broken.value) == (
        "event 'order.placed' cannot be brought from version 3 to 4: no upcaster begins at 3; register one,"
        " upcasters.register('order.placed', 3, 4, fn), and retry the run"
    )
    assert (broken.value.code, broken.value.retryable) == ("NON_RETRYABLE", False)


def test_a_raising_function_ends_the_chain(upcasters: Upcasters) -> None:
    with pytest.raises(NonRetryableError, match="the upcaster from 1 to 2 raised KeyError: 'n'; mend it") as broken:
        upcasters.upcast_to_latest("order.placed", {"name": 1}, 1)
    assert isinstance(broken.value.__cause__, KeyError)
    assert not broken.value.retryable


def test_registering_again_replaces(upcasters: Upcasters) -> None:
    upcasters.register("order.placed", 1, 4, lambda data: "direct")
    assert upcasters.upcast_to_latest("order.placed", {}, 1) == "direct"


async def coroutine(data: Any) -> Any: ...


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("order.*", 1, 2, dict), "is a pattern; an event needs a plain name"),
        (("", 1, 2, dict), "must not be empty"),
        ((5, 1, 2, dict), r"register\(5, ...\): an event name must be text"),
        (("a", 0, 2, dict), "version 0 must be a whole number from 1 on"),
        (("a", 1, 2.0, dict), "version 2.0 must be a whole number"),
        (("a", True, 2, dict), "version True must be a whole number"),
        (("a", 2, 2, dict), r"register\('a', 2, 2\): the second version must be higher"),
        (("a", 2, 1, dict), "data is only brought forward"),
        (("a", 1, 2, coroutine), "must be a plain function of the event's data, not a coroutine function"),
        (("a", 1, 2, {"n": 1}), "must be a plain function"),
    ],
)
def test_a_wrong_registration(given: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        Upcasters().register(*given)


@pytest.mark.parametrize(
    ("data", "expected"), [(REDACTED, True), ({"$redacted": 1}, False), ({}, False), ([], False), (None, False)]
)
def test_redacted(data: Any, expected: bool) -> None:
    assert redacted(data) is expected
