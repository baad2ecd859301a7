"""Every stretch of a run's time is of the right kind, and the run's own lane has no hole."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given

from ironflow_lab.history.pack import Packer
from ironflow_lab.history.spans import EXECUTING, FAILED, PAUSED, QUEUED, RETRYING, SLEEPING, WAITING
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import format_instant
from tests.unit.history.reader import Reader
from tests.unit.history.stories import RUN, T0, Story, approval, charge, trails

OPEN = "open"
Told = list[tuple[float, float | str, int]]


def spans(story: Story) -> dict[str, Told]:
    """Return start, end and kind of every span by lane."""
    reader = Reader().take(Packer(RUN, events=story.events).chunk().jsonable())
    found: dict[str, Told] = {lane["name"]: [] for lane in reader.lanes}
    for start, end, lane, kind, _ in reader.spans:
        found[reader.lanes[lane]["name"]].append((start, OPEN if math.isnan(end) else end, kind))
    return found


def test_a_run_with_a_retry_a_sleep_and_a_patch_tells_all_its_kinds_of_time() -> None:
    assert spans(charge()) == {
        "run": [
            (0, 1, QUEUED),
            (1, 10, FAILED),
            (10, 1010, RETRYING),
            (1010, 1011, QUEUED),
            (1011, 1022, EXECUTING),
            (1022, 6022, SLEEPING),
            (6022, 6024, QUEUED),
            (6024, 6030, EXECUTING),
        ],
        "validate": [(2, 3, EXECUTING)],
        "charge": [(4, 9, FAILED), (10, 1010, RETRYING), (1012, 1020, EXECUTING)],
        "cool-off": [(1021, 6021, SLEEPING)],
    }


def test_what_goes_on_is_open() -> None:
    story = Story().created().moved(1, "running").started(2, "a")
    assert spans(story) == {"run": [(0, 1, QUEUED), (1, OPEN, EXECUTING)], "a": [(2, OPEN, EXECUTING)]}


def test_a_pause_is_a_kind_of_its_own_and_after_an_error_the_attempt_has_failed() -> None:
    story = Story().created().moved(1, "running").moved(4, "paused", "retries_exhausted", error={"message": "no"})
    story.tell(9, "run.resumed", {"newStatus": "waiting_for_capacity"}).moved(10, "running").moved(
        11, "paused", "asked"
    )
    assert spans(story)["run"] == [
        (0, 1, QUEUED),
        (1, 4, FAILED),
        (4, 9, PAUSED),
        (9, 10, QUEUED),
        (10, 11, EXECUTING),
        (11, OPEN, PAUSED),
    ]


def test_waiting_for_an_event_or_a_child_is_not_sleeping() -> None:
    story = Story().created().moved(1, "running").started(2, "approval", kind="wait_for_event").moved(2, "waiting")
    story.completed(8, "approval", {}).moved(8, "running").started(9, "child", kind="invoke_function")
    assert spans(story) == {
        "run": [(0, 1, QUEUED), (1, 2, EXECUTING), (2, 8, WAITING), (8, OPEN, EXECUTING)],
        "approval": [(2, 8, WAITING)],
        "child": [(9, OPEN, WAITING)],
    }


def test_without_reasons_the_kind_of_waiting_is_told_by_the_steps() -> None:
    asleep = Story().created().moved(1, "running").started(2, "nap", kind="sleep").moved(3, "waiting")
    assert spans(asleep)["run"][-1] == (3, OPEN, SLEEPING)
    failed = Story().created().moved(1, "running").started(2, "a").failed(3, "a", "no").moved(4, "waiting")
    assert spans(failed)["run"][-1] == (4, OPEN, RETRYING)
    assert spans(failed)["a"] == [(2, 3, FAILED), (4, OPEN, RETRYING)]


def test_all_that_a_run_can_go_through_tells_its_kinds_of_time() -> None:
    found = spans(approval())
    assert found["run"] == [
        (0, 1, QUEUED),
        (1, 5, EXECUTING),
        (5, 7, WAITING),
        (7, 8, QUEUED),
        (8, 10, EXECUTING),
        (10, 11, WAITING),
        (11, 15, PAUSED),
        (15, 16, QUEUED),
        (16, 19, EXECUTING),
        (19, 25, WAITING),
    ]
    assert found["approve"] == [(4, 6, WAITING), (18, 20, WAITING)]
    assert found["ship"] == [(9, 13, WAITING)]
    assert found["compensate:charge"] == [(21, 22, EXECUTING)]
    assert found["compensate:approve"] == [(23, 24, FAILED)]


def test_what_is_discarded_while_it_goes_on_ends() -> None:
    story = Story().created().started(2, "a", kind="sleep").moved(3, "paused", "injection").discarded(5, "a")
    assert spans(story)["a"] == [(2, 5, SLEEPING)]


def test_a_wait_after_a_failed_step_is_no_retry() -> None:
    story = Story().created().moved(1, "running").started(2, "a").failed(3, "a", {"message": "no"})
    story.started(4, "b", kind="wait_for_event").moved(5, "waiting", "event")
    assert spans(story)["run"][-1] == (5, OPEN, WAITING)
    assert spans(story)["a"] == [(2, 3, FAILED)]


def test_a_failed_step_that_was_discarded_is_not_retried() -> None:
    story = Story().created().moved(1, "running").started(2, "a").failed(3, "a", {"message": "no"})
    story.moved(4, "failed", error={}).resumed(6, "paused").discarded(7, "a").moved(8, "waiting")
    assert spans(story)["a"] == [(2, 3, FAILED)]


def test_nothing_executes_once_the_worker_is_lost() -> None:
    story = Story().created().moved(1, "running").started(2, "a").started(3, "nap", kind="sleep")
    story.moved(5, "waiting_for_capacity", "worker_lost")
    found = spans(story)
    assert found["a"] == [(2, 5, EXECUTING)]
    assert found["nap"] == [(3, OPEN, SLEEPING)]


def test_the_end_of_a_run_ends_everything() -> None:
    story = Story().created().moved(1, "running").started(2, "nap", kind="sleep").moved(3, "waiting", "sleep")
    story.moved(4, "cancelled", "cancelled")
    assert spans(story) == {
        "run": [(0, 1, QUEUED), (1, 3, EXECUTING), (3, 4, SLEEPING)],
        "nap": [(2, 4, SLEEPING)],
    }


def test_a_step_that_starts_again_without_an_end_has_two_spans() -> None:
    story = Story().created().started(2, "a", attempt=1).started(5, "a", attempt=2)
    reader = Reader().take(Packer(RUN, events=story.events).chunk().jsonable())
    assert [(start, attempt) for start, _, lane, _, attempt in reader.spans if lane == 1] == [(2, 1), (5, 2)]
    assert spans(story)["a"] == [(2, 5, EXECUTING), (5, OPEN, EXECUTING)]


def test_a_workers_clock_decides_about_its_steps_and_never_turns_a_span_around() -> None:
    began, ended = format_instant(T0 + 40_000_000), format_instant(T0 + 30_000_000)
    story = Story().created().started(1, "a", startedAt=began).completed(2, "a", 1, endedAt=ended)
    assert spans(story)["a"] == [(40, 40, EXECUTING)]


@given(trails(backwards=True))
def test_the_runs_lane_has_no_hole_and_no_overlap(events: list[AuditEvent]) -> None:
    reader = Reader().take(Packer(RUN, events=events).chunk().jsonable())
    moved = [index for index, event in enumerate(events) if event.event_type.startswith("run.")]
    own = [span for span in reader.spans if span[2] == 0]
    for former, latter in pairwise(own):
        assert former[1] <= latter[0]
        # Between an end and another beginning nothing was to do: the run had ended.
        if former[1] < latter[0]:
            ended = [index for index in moved if reader.events[index][0] == former[1]]
            assert any(reader.document(index + 1)["run"]["status"] in ENDED for index in ended)
    status = reader.document(len(events))["run"]["status"]
    assert [math.isnan(span[1]) for span in own[-1:]] == [status not in ENDED]


ENDED = ("completed", "failed", "cancelled")


@given(trails())
def test_at_most_one_span_of_a_lane_is_open_and_spans_begin_where_they_may(events: list[AuditEvent]) -> None:
    reader = Reader().take(Packer(RUN, events=events).chunk().jsonable())
    for lane in range(len(reader.lanes)):
        own = [span for span in reader.spans if span[2] == lane]
        assert [math.isnan(span[1]) for span in own[:-1]].count(True) == 0
        assert all(math.isnan(end) or start <= end for start, end, *_ in own)
    assert all(kind <= FAILED for _, _, _, kind, _ in reader.spans)
