"""The rows of steps, and the ids that lead from a row back to its run."""

from __future__ import annotations

import pytest

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.server.engine.records import StepState
from ironflow_lab.server.engine.steps import row_id, run_of_step, step_row
from tests.unit.server.engine.states import running


def test_a_row_begins_with_nothing_done() -> None:
    row = step_row(running(attempt=3), "run_1:a:0", "a", 7)
    assert (row["sequence"], row["attempt"], row["status"], row["output"]) == (7, 3, "running", None)
    assert StepState.of(row).name == "a"


@pytest.mark.parametrize("step_id", ["", "run_1", "run_10:a:0", "run_2:a:0", "a"])
def test_another_runs_step_is_refused(step_id: str) -> None:
    with pytest.raises(InvalidArgumentError, match="does not belong to run 'run_1'"):
        step_row(running(), step_id, "a", 0)


@pytest.mark.parametrize(
    "step_id", ["run_1_x:a:0", "run_1_x:a\\:b:0", "run_1_x:compensate:ä:0", "run_1_x:" + "a" * 900]
)
def test_a_row_id_leads_to_its_run_and_is_the_steps_own(step_id: str) -> None:
    found = row_id("run_1_x", step_id)
    assert run_of_step(found) == run_of_step(step_id) == "run_1_x"
    assert found == row_id("run_1_x", step_id)
    assert found != row_id("run_1_x", step_id + "1")
    assert len(found) < 40


@pytest.mark.parametrize("given", ["", "step_", "step_7", "nonsense"])
def test_any_other_text_leads_to_no_run(given: str) -> None:
    assert run_of_step(given) in ("", "run_", given)
