"""When a call is sent again, and after how long."""

from __future__ import annotations

import pytest

from ironflow_lab.errors import (
    ApiError,
    DeadlineExceededError,
    InternalError,
    ResourceExhaustedError,
    UnavailableError,
)
from ironflow_lab.wire.retry import NO_RETRY, RetryPolicy

POLICY = RetryPolicy(attempts=9, initial=0.1, factor=2.0, longest=1.0)


@pytest.mark.parametrize(
    ("error", "repeatable", "again"),
    [
        (UnavailableError("x"), True, True),
        (UnavailableError("x"), False, False),
        (ResourceExhaustedError("x"), True, True),
        (ResourceExhaustedError("x"), False, True),
        (InternalError("x", retryable=True), True, False),
        (DeadlineExceededError("x"), True, False),
    ],
)
def test_who_is_sent_again(error: ApiError, repeatable: bool, again: bool) -> None:
    assert (POLICY.delay(1, error, repeatable=repeatable) is not None) is again


def test_waits_grow_to_their_longest() -> None:
    error = UnavailableError("x")
    waits = [POLICY.delay(attempt, error, repeatable=True) for attempt in range(1, 10)]
    assert waits == [pytest.approx(wait) for wait in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0)] + [None]


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 0.0), (0.5, 0.5), (60.0, 1.0)])
def test_the_servers_wish_counts_up_to_the_longest(asked: float, waited: float) -> None:
    error = ResourceExhaustedError("x", retry_after=asked)
    assert POLICY.delay(1, error, repeatable=False) == waited


def test_no_retry() -> None:
    assert NO_RETRY.delay(1, ResourceExhaustedError("x"), repeatable=True) is None
