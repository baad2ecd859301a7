"""The trace obeys the rules of its format, and says what the run did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from ironflow_lab.history import perfetto
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant, format_instant
from ironflow_lab.models.runs import Error, Run, RunStatus, StepStatus, StepType
from tests.unit.history.carried import SECRET, run, step
from tests.unit.history.chrometrace import check
from tests.unit.history.stories import RUN, T0, Story, approval, charge, trails

MS = 1_000_000
NOW = T0 + 1_000 * MS


def drawn(events: Sequence[AuditEvent], children: Sequence[Run] = (), *, now: int = NOW) -> list[dict[str, Any]]:
    text = perfetto.trace(Recording(run=run(), events=tuple(events)), children, now=now)
    found: list[dict[str, Any]] = check(text)["traceEvents"]
    return found


def track(events: list[dict[str, Any]], name: str) -> int:
    found = [one["tid"] for one in events if one["name"] == "thread_name" and one["args"]["name"] == name]
    assert found, name
    return int(found[0])


def spans(events: list[dict[str, Any]], name: str) -> list[tuple[str, float, float]]:
    wanted = track(events, name)
    found = [one for one in events if one["ph"] == "X" and one["tid"] == wanted]
    return [(one["name"], one["ts"] / 1_000, one["dur"] / 1_000) for one in found]


@given(events=trails())
def test_any_trail_becomes_a_trace_by_the_rules(events: list[AuditEvent]) -> None:
    drawn(events)
    drawn(events, now=0)


def test_a_retried_step_shows_each_attempt_and_the_wait_between() -> None:
    story = Story().created(0).moved(1, "running")
    story.started(2, "pay", attempt=1).failed(4, "pay", {"message": "no"}, attempt=1)
    story.moved(4, "waiting", "retry", attempt=2).moved(10, "waiting_for_capacity").moved(11, "running", attempt=2)
    story.started(12, "pay", attempt=2).completed(15, "pay", {"id": 7}, attempt=2)
    found = drawn(story.moved(16, "completed").events)
    assert spans(found, "pay") == [
        ("pay (failed)", 2, 2),
        ("pay: waiting for the next attempt", 4, 6),
        ("pay, attempt 2", 12, 3),
    ]
    assert [name for name, _, _ in spans(found, "run")] == [
        "queued", "failed", "waiting for the next attempt", "queued", "executing",
    ]  # fmt: skip
    last = [one for one in found if one["ph"] == "X" and one["tid"] == track(found, "pay")][-1]
    assert last["args"] == {
        "attempt": 2, "step_id": f"{RUN}:pay:0", "status": "completed", "output": '{"id":7}',
    }  # fmt: skip


def test_sleeps_waits_and_pauses_are_told_apart() -> None:
    story = Story().created(0).moved(1, "running")
    story.started(2, "rest", kind="sleep").moved(3, "waiting", "sleep").completed(9, "rest", None)
    story.moved(9, "running").started(10, "ok", kind="wait_for_event", event="order.approved")
    story.moved(11, "waiting", "event").completed(20, "ok", {}).moved(20, "running").moved(21, "paused", "injection")
    found = drawn(story.resumed(30, "running").moved(31, "completed").events)
    assert spans(found, "rest") == [("rest: sleeping", 2, 7)]
    assert spans(found, "ok") == [("ok: waiting", 10, 10)]
    assert ("paused", 21, 9) in spans(found, "run")
    marks = [(one["name"], one["ts"] / 1_000) for one in found if one["ph"] == "i"]
    assert marks == [("Run held", 21), ("Run resumed", 30)]


def test_patches_and_injections_are_marks_on_their_step_with_who_and_why() -> None:
    story = Story().created(0).moved(1, "running").started(2, "pay").completed(3, "pay", 1)
    found = drawn(story.patched(5, "pay", 1, 2, patchedBy="ann", reason="typo").injected(6, "pay", 2, 3).events)
    marks = [one for one in found if one["ph"] == "i"]
    assert [(one["name"], one["ts"], one["tid"]) for one in marks] == [
        ("Step pay patched", 5_000, track(found, "pay")),
        ("Step pay injected", 6_000, track(found, "pay")),
    ]
    assert marks[0]["args"] == {"by": "ann", "reason": "typo", "position": 5}


def test_children_are_processes_with_an_arrow_from_their_step() -> None:
    story = Story().created(0).moved(1, "running")
    story.started(2, "kid", kind="invoke_function", childRunId="run_2", functionId="sub")
    story.moved(3, "waiting", "child").completed(9, "kid", 1).moved(9, "running").moved(10, "completed")
    child = Run(
        id="run_2", function_id="sub", status=RunStatus("failed"), error=Error(message="boom"),
        # Its server's clock is behind.
        created_at=Instant(T0 + MS), started_at=Instant(T0 + MS), ended_at=Instant(T0 + 8 * MS),
    )  # fmt: skip
    found = drawn(story.events, [child])
    arrow = {one["ph"]: one for one in found if one["ph"] in "sf"}
    assert arrow["s"]["tid"] == track(found, "kid")
    assert arrow["f"]["pid"] == 2
    assert arrow["s"]["ts"] == 2_000
    (shown,) = [one for one in found if one["ph"] == "X" and one["pid"] == 2]
    assert (shown["name"], shown["args"]["error"], shown["ts"], shown["dur"]) == ("sub", "boom", 2_000, 6_000)
    assert drawn(story.events, []) != found, "a child that has been deleted is not shown"


def test_a_workers_clock_that_is_behind_overlaps_nothing() -> None:
    story = Story().created(0).moved(1, "running").started(2, "pay").completed(10, "pay", 1)
    early = format_instant(T0 + 5 * MS)
    found = drawn(story.started(11, "pay", attempt=2, startedAt=early).completed(20, "pay", 2).events)
    assert spans(found, "pay") == [("pay", 2, 8), ("pay, attempt 2", 10, 10)]


def test_what_goes_on_ends_now_and_says_so() -> None:
    found = drawn(Story().created(0).moved(1, "running").started(2, "pay").events, now=T0 + 50 * MS)
    (pay,) = [one for one in found if one["ph"] == "X" and one["tid"] == track(found, "pay")]
    assert (pay["dur"], pay["args"]["goes_on"]) == (48_000, True)


def test_a_run_that_was_not_recorded_is_drawn_from_its_rows() -> None:
    steps = (step("charge", {"id": 7}), step("rest", step_type=StepType("sleep"), started_at=Instant(T0 + 5 * MS)))
    document = check(perfetto.trace(Recording(run=run(), steps=steps, note="why"), now=NOW))
    assert document["otherData"]["source"].startswith("rows")
    assert document["otherData"]["note"] == "why"
    assert spans(document["traceEvents"], "charge") == [("charge", 2, 3)]


@pytest.mark.parametrize("story", [charge(), approval()], ids=["charge", "approval"])
def test_the_stories_are_drawn_whole(story: Story) -> None:
    found = drawn(story.events)
    labels = {one["args"]["name"] for one in found if one["name"] == "thread_name"}
    assert labels == {"run", *Recording(run=run(), events=tuple(story.events)).history().labels}


def test_payloads_are_redacted_and_cut_and_names_are_only_text() -> None:
    hostile = "<script>" * 100
    story = Story().created(0).started(1, hostile).completed(2, hostile, {"token": SECRET, "text": "x" * 9_000})
    text = perfetto.trace(Recording(run=run(), events=tuple(story.events)), now=NOW)
    assert SECRET not in text
    assert len(text) < 5_000
    check(text)


def test_half_a_surrogate_pair_breaks_nothing() -> None:
    steps = (step("a\ud800", {"b": "\udfff"}, status=StepStatus("completed")),)
    check(perfetto.trace(Recording(run=run(), steps=steps), now=NOW))


def test_a_run_of_two_thousand_steps_is_drawn() -> None:
    story = Story().created(0).moved(1, "running")
    for number in range(2_000):
        story.started(number, "s", index=number).completed(number + 0.5, "s", number, index=number)
    found = drawn(story.events)
    assert sum(one["ph"] == "X" for one in found) == 2_002
