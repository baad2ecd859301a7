"""Lanes, debounce, throttle and cancelling events: what may be said, and how a wrong one is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.functions import CancelOn, ConcurrencyConfig, DebounceConfig, ThrottleConfig
from ironflow_lab.models.instant import Int64
from ironflow_lab.runtime import flow


@pytest.mark.parametrize(
    ("given", "limit", "key"),
    [
        (3, 3, ""),
        ({"limit": 3}, 3, ""),
        ({"limit": 1, "key": "customer.id"}, 1, "customer.id"),
        ({"limit": 1, "key": "event.data.customerId"}, 1, "customerId"),
        ({"limit": 1, "key": "$.data.data.id"}, 1, "data.id"),
        ({"limit": 1, "key": None}, 1, ""),
        (ConcurrencyConfig(limit=2, key="$.a"), 2, "a"),
    ],
)
def test_concurrency(given: Any, limit: int, key: str) -> None:
    assert flow.concurrency(given) == ConcurrencyConfig(limit=limit, key=key)
    assert flow.concurrency(None) is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (0, "whole number from 1 on"),
        (-1, "whole number from 1 on"),
        (2**31, "whole number from 1 on"),
        (True, "write a number"),
        (1.5, "write a number"),
        ("3", "write a number"),
        ({}, "limit=None must be"),
        ({"limit": True}, "limit=True must be"),
        ({"key": "a"}, "limit=None must be"),
        ({"limit": 1, "keys": "a"}, "has no 'keys'; it takes limit and key"),
        ({"limit": 1, "key": 5}, "key must be text, not int"),
        ({"limit": 1, "key": "a..b"}, "empty part between dots"),
        (ConcurrencyConfig(), "limit=0 must be"),
    ],
)
def test_bad_concurrency(given: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        flow.concurrency(given)


def test_pause_behavior() -> None:
    assert [flow.pause_behavior(one) for one in (None, "hold", "release")] == ["", "hold", "release"]
    for wrong in ("keep", "", 5):
        with pytest.raises(DefinitionError, match="'hold' or 'release'"):
            flow.pause_behavior(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "period", "key", "longest"),
    [
        ({"period": "5s"}, 5_000, "", 0),
        ({"period": 1}, 1_000, "", 0),
        ({"period": timedelta(seconds=2), "key": "data.customerId", "max_wait": "1m"}, 2_000, "customerId", 60_000),
        ({"period": "5s", "max_wait": "5s"}, 5_000, "", 5_000),
        (DebounceConfig(period_ms=1_000, key="$.a", max_wait_ms=Int64(2**40)), 1_000, "a", 2**40),
    ],
)
def test_debounce(given: Any, period: int, key: str, longest: int) -> None:
    assert flow.debounce(None) is None
    assert flow.debounce(given) == DebounceConfig(period_ms=period, key=key, max_wait_ms=Int64(longest))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("5s", "debounce='5s': write {'period': '5s'"),
        ({}, "says no period; write"),
        ({"key": "a"}, "says no period"),
        ({"period": "999ms"}, r"debounce: period \(999ms\) must be from 1 s to 24 days"),
        ({"period": "30d"}, "from 1 s to 24 days"),
        ({"period": "soon"}, "debounce: period: 'soon' is not a duration"),
        ({"period": "5s", "max_wait": "4s"}, r"max_wait is below period \(5s\); make it longer"),
        ({"period": "5s", "max_wait": "x"}, "debounce: max_wait: 'x' is not a duration"),
        ({"period": "5s", "max_wait": 0}, "max_wait is below period"),
        ({"period": "5s", "wait": 1}, "debounce has no 'wait'; it takes period, key and max_wait"),
        ({"period": "5s", "key": "a b"}, "debounce: key path 'a b' has blanks"),
        (DebounceConfig(), "from 1 s to 24 days"),
    ],
)
def test_bad_debounce(given: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        flow.debounce(given)


@pytest.mark.parametrize(
    ("given", "limit", "period", "key"),
    [
        ({"limit": 10, "period": "1m"}, 10, 60_000, ""),
        ({"limit": 1, "period": 2, "key": "data.region"}, 1, 2_000, "region"),
        (ThrottleConfig(limit=1, period_ms=1_000, key="$.a.b"), 1, 1_000, "a.b"),
    ],
)
def test_throttle(given: Any, limit: int, period: int, key: str) -> None:
    assert flow.throttle(None) is None
    assert flow.throttle(given) == ThrottleConfig(limit=limit, period_ms=period, key=key)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (10, "throttle=10: write {'limit': 10, 'period': '1m'"),
        ({"limit": 1}, "says no period"),
        ({"period": "1m"}, "throttle: limit=None must be a whole number from 1 on"),
        ({"limit": 0, "period": "1m"}, "throttle: limit=0 must be"),
        ({"limit": True, "period": "1m"}, "throttle: limit=True must be"),
        ({"limit": 1, "period": 0.5}, r"throttle: period \(500ms\) must be from 1 s"),
        ({"limit": 1, "period": "1m", "burst": 2}, "throttle has no 'burst'; it takes limit, period and key"),
        ({"limit": 1, "period": "1m", "key": ".a"}, "throttle: key path '.a' has an empty part"),
    ],
)
def test_bad_throttle(given: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        flow.throttle(given)


@pytest.mark.parametrize(
    "given",
    [
        ("order.cancelled", "orderId"),
        [("order.cancelled", "$.data.orderId")],
        [{"event": "order.cancelled", "match": "event.data.orderId"}],
        CancelOn(event="order.cancelled", match="orderId"),
        iter([CancelOn(event="order.cancelled", match="data.orderId")]),
        [["order.cancelled", "orderId"]],
    ],
)
def test_cancel_on(given: Any) -> None:
    assert flow.cancel_on(None) == ()
    assert flow.cancel_on(given) == (CancelOn(event="order.cancelled", match="orderId"),)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("order.cancelled", r"cancel_on='order.cancelled': write \[\('order.cancelled', 'orderId'\)\]"),
        (7, "cancel_on=7: write"),
        ({"order.cancelled": "orderId"}, "write "),
        ([], "names no event; leave it out"),
        (["order.cancelled"], "'order.cancelled', which is no event with a path"),
        ([("a", "b", "c")], "which is no event with a path"),
        ([("a", 7)], "event and match must be text"),
        ([{"event": "a"}], "event and match must be text"),
        ([{"event": "a", "path": "b"}], "cancel_on has no 'path'; it takes event and match"),
        ([("order.*", "id")], "event='order.\\*': .*is a pattern; an event needs a plain name"),
        ([("a", "b..c")], "match='b..c' for 'a': key path 'b..c' has an empty part"),
        ([("a", "b"), ("a", "data.b")], "names 'a' with 'b' twice"),
    ],
)
def test_bad_cancel_on(given: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        flow.cancel_on(given)


def test_actor_key_travels_as_it_is_written() -> None:
    assert [flow.actor_key(one) for one in (None, "event.data.x", "$.x")] == ["", "event.data.x", "$.x"]
    for wrong, why in ((7, "must be text"), ("", "must not be empty"), ("a..b", "empty part")):
        with pytest.raises(DefinitionError, match=f"actor_key={wrong!r}: .*{why}"):
            flow.actor_key(wrong)
