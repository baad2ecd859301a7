"""Sleeps as yields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.instant import Instant
from ironflow_lab.runtime import waits

NOW = 1_767_323_045_000_000_001


def test_sleep_ends_on_a_whole_millisecond_never_early() -> None:
    wanted = waits.sleep("run_01:nap:0", "nap", "1.5s", NOW)
    assert (wanted.step_id, wanted.type) == ("run_01:nap:0", "sleep")
    assert str(wanted.until) == "2026-01-02T03:04:06.501Z"


@pytest.mark.parametrize("given", [0, "0s", timedelta(0)])
def test_a_sleep_of_nothing_is_refused(given: Any) -> None:
    with pytest.raises(DefinitionError, match="sleep 'nap' must be longer than zero"):
        waits.sleep("id", "nap", given, NOW)


@pytest.mark.parametrize("given", [-1, "soon", float("nan"), None, True])
def test_what_is_no_duration_is_refused(given: Any) -> None:
    with pytest.raises(DefinitionError, match="is not a duration"):
        waits.sleep("id", "nap", given, NOW)


@pytest.mark.parametrize(
    "when",
    [
        "2026-01-02T04:04:05+01:00",
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))),
        Instant(1_767_323_045_000_000_000),
    ],
)
def test_sleep_until(when: waits.When) -> None:
    assert str(waits.sleep_until("id", "nap", when).until) == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("when", "why"),
    [
        (datetime(2026, 1, 2), "without a time zone"),  # noqa: DTZ001 - the mistake under test
        ("tomorrow", "sleep_until 'nap': 'tomorrow' is not an RFC 3339 time"),
        ("2026-01-02T03:04:05", "with an offset"),
        (1_767_323_045, "not int"),
    ],
)
def test_bad_instants_are_refused(when: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        waits.sleep_until("id", "nap", when)


def test_step_timeouts() -> None:
    assert waits.seconds("a", None) is None
    assert waits.seconds("a", "250ms") == 0.25
    with pytest.raises(DefinitionError, match="timeout of step 'a' must be longer than zero"):
        waits.seconds("a", 0)
