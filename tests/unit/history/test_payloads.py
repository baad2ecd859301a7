"""A field of a wrong type counts as not given."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.history.payloads import instant, number, payload_of, text, value
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import parse_instant


def test_a_payload_may_come_in_either_field_and_is_nothing_unless_an_object() -> None:
    assert payload_of(AuditEvent(id="1", payload={"a": 1})) == {"a": 1}
    assert payload_of(AuditEvent(id="1", payload_value={"a": 1})) == {"a": 1}
    others: tuple[Any, ...] = (None, [], "x", 5)
    for other in others:
        assert payload_of(AuditEvent(id="1", payload=other)) == {}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (5, 5),
        (5.0, 5),
        ("5", 5),
        ("-5", -5),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (1e300, None),
        (float("inf"), None),
        (5.5, None),
        ("5x", None),
        ("\u0665", None),
        ("-", None),
        ("9" * 5_000, None),
        (True, None),
        (None, None),
        ([5], None),
    ],
)
def test_a_number_is_whole_and_of_64_bits(given: Any, found: int | None) -> None:
    assert number({"n": given}, "n") == found
    assert number({}, "n") is None


def test_a_text_is_not_empty() -> None:
    assert text({"t": "x"}, "t", "y") == "x"
    for given in ("", None, 5, ["x"]):
        assert text({"t": given}, "t", "y") == "y"
    assert text({}, "t") == ""


def test_an_instant_is_rfc_3339() -> None:
    told = "2026-01-02T03:04:05.000000001Z"
    assert instant({"at": told}, "at", 7) == parse_instant(told)
    for given in ("", "yesterday", "2026-99-01T00:00:00Z", 5, None):
        assert instant({"at": given}, "at", 7) == 7


def test_a_value_that_is_null_is_there() -> None:
    assert value({"v": None}, "v") is None
    assert value({}, "v") is msgspec.UNSET
