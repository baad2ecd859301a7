"""What may stand for a moment of a run, and what is said of everything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ironflow_lab.errors import DefinitionError, InvalidArgumentError, NotFoundError
from ironflow_lab.history.fold import History
from ironflow_lab.lab import moments
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant, format_instant

SECOND = 1_000_000_000
T0 = 1_767_323_045 * SECOND + 1
NOW = T0 + 3_600 * SECOND


def event(number: int, kind: str, step: str = "", index: int = 0) -> AuditEvent:
    return AuditEvent(
        id=f"aud_{number}",
        run_id="run_1",
        event_type=kind,
        step_id=f"run_1:{step}:{index}" if step else "",
        payload={"stepName": step},
        created_at=Instant(T0 + number * SECOND),
    )


HISTORY = History(
    "run_1",
    [
        event(0, "run.created"),
        event(1, "step.started", "charge"),
        event(2, "step.completed", "charge"),
        event(3, "step.started", "2h"),
        event(4, "step.started", "charge", 1),
    ],
)


@pytest.mark.parametrize(("given", "position"), [(0, 0), (5, 5), (3, 3), (-1, 5), (-6, 0), (np.int64(3), 3)])
def test_positions_count_from_either_end(given: int, position: int) -> None:
    assert moments.at_position(HISTORY, given) == position


@pytest.mark.parametrize("given", [6, -7, 10**30])
def test_a_position_beyond_the_ends_names_the_range(given: int) -> None:
    with pytest.raises(
        InvalidArgumentError, match=rf"0 \(before it was created\) to 5, or -1 to -6 .* {given} is none"
    ):
        moments.at_position(HISTORY, given)


@pytest.mark.parametrize("given", [True, 1.0, None, [3], object(), np.True_])
def test_what_is_no_moment_is_told_what_is(given: Any) -> None:
    with pytest.raises(DefinitionError, match=r"run\.at\(event=3\)"):
        moments.at_position(HISTORY, given)


@pytest.mark.parametrize(("given", "position"), [(1, 1), (5, 5), (-1, 5), (-5, 1), ("aud_2", 3)])
def test_events_are_counted_from_one_or_named(given: Any, position: int) -> None:
    assert moments.at_event(HISTORY, given) == position


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (0, InvalidArgumentError, "events 1 to 5"),
        (6, InvalidArgumentError, "events 1 to 5"),
        (-6, InvalidArgumentError, "-1 to -5"),
        ("aud_9", NotFoundError, "no event 'aud_9'; see run.audit"),
        ("x" * 500, NotFoundError, "x…'"),
        (True, DefinitionError, "number of an event"),
        (2.0, DefinitionError, "number of an event"),
    ],
)
def test_wrong_events(given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        moments.at_event(HISTORY, given)


@pytest.mark.parametrize(("given", "position"), [("charge", 3), ("charge:1", 5), ("2h", 4), ("run_1:charge:0", 3)])
def test_a_step_means_its_end_or_its_last_event_so_far(given: str, position: int) -> None:
    assert moments.at_step(HISTORY, given) == position


def test_an_unknown_step_names_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"'chrage'.*charge, 2h, charge:1"):
        moments.at_step(HISTORY, "chrage")
    with pytest.raises(DefinitionError, match="name of a step"):
        moments.at_step(HISTORY, 3)


@pytest.mark.parametrize(
    ("given", "position"),
    [
        (Instant(T0), 1),
        (Instant(T0 + SECOND - 1), 1),
        (Instant(T0 + SECOND), 2),
        (datetime(2030, 1, 1, tzinfo=UTC), 5),
        (timedelta(seconds=3_598), 3),
        (pd.Timestamp(T0 + 2 * SECOND, unit="ns", tz="UTC"), 3),
        ("3599s", 2),
    ],
)
def test_a_time_means_all_that_had_happened_by_it(given: Any, position: int) -> None:
    assert moments.at_time(HISTORY, given, NOW)[0] == position


def test_the_time_itself_is_told_too() -> None:
    assert moments.at_time(HISTORY, "1m", NOW) == (5, NOW - 60 * SECOND)


@pytest.mark.parametrize("given", ["2h", datetime(2020, 1, 1, tzinfo=UTC), Instant(T0 - 1)])
def test_a_time_before_the_creation_says_when_that_was(given: Any) -> None:
    with pytest.raises(NotFoundError, match=f"did not exist at .* created at {format_instant(T0)}"):
        moments.at_time(HISTORY, given, NOW)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(DefinitionError, match="no time zone"):
        moments.at_time(HISTORY, datetime.fromisoformat("2026-01-02"), NOW)


def test_a_text_is_a_step_or_a_time() -> None:
    assert moments.at_text(HISTORY, "charge", NOW) == (3, T0 + 2 * SECOND)
    assert moments.at_text(HISTORY, "59m58s", NOW) == (3, T0 + 2 * SECOND)
    assert moments.at_text(HISTORY, format_instant(T0), NOW) == (1, T0)


def test_a_text_that_is_both_is_ambiguous() -> None:
    with pytest.raises(DefinitionError, match=r"run\.at\(step='2h'\) or run\.at\('20"):
        moments.at_text(HISTORY, "2h", NOW)


@pytest.mark.parametrize("text", ["yesterday", "", "2026-01-01", "x" * 10_000])
def test_a_text_that_is_neither_names_the_steps(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"neither a time nor one of the steps charge, 2h, charge:1") as raised:
        moments.at_text(HISTORY, text, NOW)
    assert len(str(raised.value)) < 600


def test_of_many_steps_ten_are_named() -> None:
    many = History("run_1", [event(number, "step.started", f"s{number}") for number in range(12)])
    with pytest.raises(DefinitionError, match=r"s0, .*, s9 and 2 more; give"):
        moments.at_text(many, "nothing", NOW)
    with pytest.raises(DefinitionError, match="it has none"):
        moments.at_text(History("run_1"), "nothing", NOW)
