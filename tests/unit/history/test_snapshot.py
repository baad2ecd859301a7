"""A snapshot finds its steps, and its document leaves out what is not there and nothing else."""

from __future__ import annotations

import pytest

from ironflow_lab.errors import NotFoundError
from ironflow_lab.history.fold import History
from ironflow_lab.history.snapshot import RunState, StepState
from ironflow_lab.models.instant import Instant
from tests.unit.history.stories import RUN, T0, Story, charge


def test_a_step_is_found_by_id_label_or_name() -> None:
    story = Story().created().started(1, "a").started(2, "a", index=1)
    state = History(RUN, story.events).at_position(3)
    assert [state.step(one).sequence for one in ("a", "a:1", f"{RUN}:a:1")] == [0, 1, 1]


def test_a_step_that_had_not_started_is_refused_and_those_that_had_are_named() -> None:
    history = History(RUN, charge().events)
    with pytest.raises(NotFoundError, match=r"no step 'cool-off' at position 5; the steps are: validate, charge$"):
        history.at_position(5).step("cool-off")
    with pytest.raises(NotFoundError, match="the steps are: none"):
        history.at_position(1).step("charge")


def test_of_many_steps_ten_are_named_and_long_names_cut() -> None:
    story = Story().created()
    for number in range(13):
        story.started(number, f"{'n' * 9_000}-{number}")
    with pytest.raises(NotFoundError, match="and 3 more") as refused:
        History(RUN, story.events).at_position(14).step("x" * 9_000)
    assert len(str(refused.value)) < 2_000


def test_a_document_keeps_null_false_and_zero_payloads() -> None:
    run = RunState(status="completed", attempt=2, input=None, output=False, error="")
    assert run.document() == {"status": "completed", "attempt": 2, "input": None, "output": False, "error": ""}
    step = StepState(
        step_id="s",
        name="a",
        type="sleep",
        status="completed",
        output=0,
        started_at=Instant(T0),
        completed_at=Instant(T0 + 1_500_000),
        duration_ms=0,
    )
    assert step.document(t0=T0) == {
        "name": "a",
        "type": "sleep",
        "status": "completed",
        "output": 0,
        "started_ms": 0.0,
        "ended_ms": 1.5,
        "duration_ms": 0,
    }
