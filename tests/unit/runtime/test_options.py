"""What a definition may say, and how it is told what is wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.functions import ConcurrencyConfig, RetryConfig, Trigger
from ironflow_lab.runtime import options


@pytest.mark.parametrize(
    ("given", "name", "id"),
    [
        (None, "process_order", "process-order"),
        (None, "_private__thing_", "private-thing"),
        ("billing.charge", "anything", "billing.charge"),
        ("a/b", "anything", "a/b"),
    ],
)
def test_function_id(given: str | None, name: str, id: str) -> None:
    assert options.function_id(given, name) == id


@pytest.mark.parametrize(
    ("given", "name", "why"),
    [
        (None, "<lambda>", "write @function('some-id'"),
        ("", "f", "must not be empty"),
        ("order.*", "f", "wildcard"),
        ("a..b", "f", "empty part"),
        ("a b", "f", "blanks"),
        ("a\x00b", "f", "control characters"),
        ("x" * 201, "f", "201 characters, the limit is 200"),
        (7, "f", "must be text, not int"),
    ],
)
def test_bad_function_id(given: Any, name: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why.replace("(", r"\(")):
        options.function_id(given, name)


def test_triggers() -> None:
    assert options.triggers(None) == ()
    assert [one.event for one in options.triggers("order.placed")] == ["order.placed"]
    assert [one.event for one in options.triggers(["order.*", "audit.>"])] == ["order.*", "audit.>"]
    large, small = (Trigger(event="a", expression=f"data.total {sign} 100") for sign in "><")
    assert options.triggers(large) == (large,)
    assert options.triggers([large, small, "a"]) == (large, small, Trigger(event="a"))


@pytest.mark.parametrize(
    ("on", "why"),
    [
        ([], "names no event"),
        ("", "must not be empty"),
        ("order.pl*", "whole parts"),
        ("order.>.x", "last part"),
        ([7], "is not an event name"),
        (["a", "b", "a"], "names 'a' twice"),
        ([Trigger(event="a", expression="true")] * 2, "names 'a' twice"),
        (Trigger(event="a", expression=" "), "expression is blank"),
        (Trigger(event="a..b", expression="true"), "empty part"),
        (Trigger(expression="true"), "must not be empty"),
        (Trigger(cron="* * * * *"), "is not an event name"),
    ],
)
def test_bad_triggers(on: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        options.triggers(on)


def test_retry_of_a_number_and_of_nothing() -> None:
    assert options.retry(None) is None
    assert options.retry(3) == RetryConfig(max_attempts=3)


def test_retry_of_a_dict() -> None:
    given = {
        "max_attempts": 5,
        "initial_delay": "500ms",
        "max_delay": timedelta(minutes=1),
        "backoff_factor": 3,
        "on_exhausted": "fail",
    }
    assert options.retry(given) == RetryConfig(
        max_attempts=5, initial_delay_ms=500, max_delay_ms=60_000, backoff_factor=3.0, on_exhausted="fail"
    )


def test_a_ready_policy_is_taken_as_it_is() -> None:
    policy = RetryConfig(max_attempts=2)
    assert options.retry(policy) is policy


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (True, "number of attempts"),
        ("3", "number of attempts"),
        (0, "max_attempts=0 must be a whole number from 1 on"),
        (-1, "from 1 on"),
        ({"max_attempts": 2.5}, "max_attempts=2.5"),
        ({"attempts": 2}, "has no 'attempts'; it takes max_attempts, initial_delay"),
        ({"backoff_factor": 0.5}, "backoff_factor=0.5"),
        ({"backoff_factor": float("nan")}, "backoff_factor=nan"),
        ({"backoff_factor": float("inf")}, "finite"),
        ({"backoff_factor": "2"}, "backoff_factor='2'"),
        ({"initial_delay": -1}, "retry: initial_delay: -1 is not a duration"),
        ({"initial_delay": "2s", "max_delay": "1s"}, "above max_delay"),
        ({"on_exhausted": "stop"}, "must be 'fail' or 'pause'"),
        (RetryConfig(max_attempts=-1), "max_attempts=-1"),
        (RetryConfig(initial_delay_ms=-5), "must not be negative"),
    ],
)
def test_bad_retry(given: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        options.retry(given)


def test_timeout() -> None:
    assert options.timeout_ms(None) == 0
    assert options.timeout_ms("10m") == 600_000
    for bad in (0, "0s"):
        with pytest.raises(DefinitionError, match="longer than zero"):
            options.timeout_ms(bad)
    with pytest.raises(DefinitionError, match="timeout: 'soon' is not a duration"):
        options.timeout_ms("soon")


def test_metadata() -> None:
    assert options.metadata(None) == {}
    given = {"team": "ops", "tags": ("a", "b")}
    assert options.metadata(given) == {"team": "ops", "tags": ["a", "b"]}
    with pytest.raises(DefinitionError, match="must be a dict, not list"):
        options.metadata([1])  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(DefinitionError, match=r"\$\.x is a set"):
        options.metadata({"x": {1}})


@pytest.mark.parametrize("given", [None, True, False, "all", "steps", "run_lifecycle"])
def test_recording(given: Any) -> None:
    assert options.recording(given) is given


@pytest.mark.parametrize("given", ["", "none", "ALL", 1, 0, ["all"], object()])
def test_bad_recording(given: Any) -> None:
    with pytest.raises(DefinitionError, match=r"must be True, False or one of all, run_lifecycle, steps"):
        options.recording(given)


@pytest.mark.parametrize(
    ("given", "limit", "key"),
    [
        (3, 3, ""),
        ({"limit": 3}, 3, ""),
        ({"limit": 1, "key": "customer.id"}, 1, "customer.id"),
        (ConcurrencyConfig(limit=2, key="$.a"), 2, "$.a"),
    ],
)
def test_concurrency(given: Any, limit: int, key: str) -> None:
    assert options.concurrency(given) == ConcurrencyConfig(limit=limit, key=key)
    assert options.concurrency(None) is None


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
        options.concurrency(given)


def test_pause_behavior() -> None:
    assert [options.pause_behavior(one) for one in (None, "hold", "release")] == ["", "hold", "release"]
    for wrong in ("keep", "", 5):
        with pytest.raises(DefinitionError, match="'hold' or 'release'"):
            options.pause_behavior(wrong)  # type: ignore[arg-type]
