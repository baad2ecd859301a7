"""What a definition may say, and how it is told what is wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.functions import RetryConfig
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
        (RetryConfig(max_delay_ms=2**31), "at most 24 days"),
        (2**31, "below 2\\^31"),
        ({"max_delay": "25d"}, "max_delay='25d' is longer than the 24 days"),
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
    with pytest.raises(DefinitionError, match="timeout='90d' is longer than the 24 days"):
        options.timeout_ms("90d")


def test_step_timeout_is_in_seconds() -> None:
    assert options.step_timeout(None) is None
    assert options.step_timeout("1500ms") == 1.5
    with pytest.raises(DefinitionError, match="step_timeout=0 must be longer than zero; write '30s', or leave it out"):
        options.step_timeout(0)
    with pytest.raises(DefinitionError, match="step_timeout: 'soon' is not a duration"):
        options.step_timeout("soon")


def test_secrets_are_names() -> None:
    assert options.secrets(None) == ()
    assert options.secrets("STRIPE_KEY") == ("STRIPE_KEY",)
    assert options.secrets(iter(["A", "b-c.d_1", "A"])) == ("A", "b-c.d_1")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"STRIPE_KEY": "sk_live"}, "must be names, secrets=.'STRIPE_KEY'., not dict"),
        (7, "must be names, secrets=.'STRIPE_KEY'., not int"),
        ([b"A"], "and one is bytes"),
        (["A", "sk live"], "one of 7 characters that is no name; give names, not values"),
        ([""], "one of 0 characters"),
        (["x" * 256], "one of 256 characters"),
    ],
)
def test_what_is_no_name_of_a_secret_is_refused_and_not_shown(given: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why) as refused:
        options.secrets(given)
    assert "sk" not in str(refused.value)


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
