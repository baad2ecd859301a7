"""A trail that does not tell what the rows say is called incomplete, with what differs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.history.agreement import check
from ironflow_lab.history.fold import History
from ironflow_lab.history.pack import Packer
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus, StepType
from tests.unit.history.stories import RUN, Story

BY_TRAIL = (
    Story()
    .created(input={"n": 1})
    .moved(1, "running")
    .started(2, "a")
    .completed(3, "a", {"x": 1.0})
    .started(4, "b")
    .failed(5, "b", {"message": "no"})
    .moved(6, "completed", output=[1])
)


def run(**changes: Any) -> Run:
    row = Run(id=RUN, status=RunStatus("completed"), input={"n": 1}, output=[1], attempt=1)
    return msgspec.structs.replace(row, **changes)


def step(name: str, status: str, **changes: Any) -> Step:
    return Step(id=name, step_id=f"{RUN}:{name}:0", step_type=StepType("invoke"), status=StepStatus(status), **changes)


STEPS = (step("a", "completed", output={"x": 1}), step("b", "failed", error=Error(message="no")))


def test_trail_and_rows_that_agree_are_a_fold() -> None:
    history = History(RUN, BY_TRAIL.events)
    assert check(history, STEPS, run()).source == "fold"
    assert check(history, STEPS).source == "fold"
    assert check(history, STEPS, run()).note == ""


@pytest.mark.parametrize(
    ("steps", "row", "difference"),
    [
        (STEPS[:1], run(), "step b has no row"),
        ((*STEPS, step("c", "completed")), run(), f"step {RUN}:c:0 is not in it"),
        ((step("a", "completed", output={"x": 2}), STEPS[1]), run(), "the output of step a is another"),
        ((step("a", "running"), STEPS[1]), run(), "step a is running, by its trail completed"),
        ((STEPS[0], step("b", "failed", error=Error(message="never"))), run(), "the error of step b is another"),
        (STEPS, run(status=RunStatus("failed")), "the run is failed, by its trail completed"),
        (STEPS, run(output=[2]), "the run's output is another"),
        (STEPS, run(input={"n": True}), "the run's input is another"),
    ],
)
def test_what_differs_is_named(steps: tuple[Step, ...], row: Run, difference: str) -> None:
    verdict = check(History(RUN, BY_TRAIL.events), steps, row)
    assert (verdict.source, verdict.differences) == ("incomplete", (difference,))
    assert difference in verdict.note


def test_a_trail_that_keeps_no_outputs_is_not_blamed_for_it() -> None:
    story = Story().tell(0, "run.created", {}).moved(1, "running").moved(6, "completed")
    story.started(2, "a").tell(3, "step.completed", {"stepId": f"{RUN}:a:0"}, step=f"{RUN}:a:0")
    assert check(History(RUN, story.events), STEPS[:1], run()).source == "fold"


def test_a_trail_without_any_steps_is_named_as_such() -> None:
    verdict = check(History(RUN, Story().created().events), STEPS)
    assert verdict.source == "incomplete"
    assert "none of its steps (2) is in it" in verdict.note
    assert "run_lifecycle" in verdict.note


def test_many_differences_are_counted_and_names_cut() -> None:
    steps = [step(f"{'n' * 500}-{number}", "completed") for number in range(10)]
    verdict = check(History(RUN, Story().created().started(1, "a").events), steps)
    assert len(verdict.differences) == 11
    assert "and 8 more" in verdict.note
    assert len(verdict.note) < 400


def test_a_packers_chunks_carry_the_verdict() -> None:
    packer = Packer(RUN, events=BY_TRAIL.events)
    assert packer.check(STEPS[:1], run()) == "incomplete"
    meta = packer.chunk().meta
    assert (meta["source"], "step b has no row" in meta["note"]) == ("incomplete", True)
    assert packer.check(STEPS, run()) == "fold"
    assert packer.chunk().meta["note"] == ""
