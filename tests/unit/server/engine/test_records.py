"""The delay before the next attempt (engine.md section 8)."""

from __future__ import annotations

import pytest

from ironflow_lab.server.engine.records import RetryPolicy

SECONDS_BY_ATTEMPT = [(1, 1_000), (2, 2_000), (3, 4_000), (9, 256_000), (10, 300_000), (11, 300_000), (5_000, 300_000)]


@pytest.mark.parametrize(("attempt", "delay"), SECONDS_BY_ATTEMPT)
def test_the_delay_grows_up_to_the_longest(attempt: int, delay: int) -> None:
    assert RetryPolicy().delay_ms(attempt, None) == delay


@pytest.mark.parametrize(("asked", "delay"), [(0, 0), (1_500, 1_500), (300_001, 300_000), (10**30, 300_000), (-5, 0)])
def test_a_handlers_own_wish_replaces_it_and_is_capped(asked: int, delay: int) -> None:
    assert RetryPolicy().delay_ms(7, asked) == delay


@pytest.mark.parametrize("factor", [1.0, 1.5, 1e10, 1e308])
def test_no_factor_and_attempt_overflow(factor: float) -> None:
    policy = RetryPolicy(backoff_factor=factor, initial_delay_ms=7)
    delays = [policy.delay_ms(attempt, None) for attempt in (1, 2, 3, 40, 70, 100_000)]
    assert delays == sorted(delays)
    assert delays[0] == 7
    assert max(delays) <= 300_000
