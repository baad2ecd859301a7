"""Outcomes beside the rows that were sent: none lost, index and order kept."""

from __future__ import annotations

import pandas as pd

from ironflow_lab.frames import schema
from ironflow_lab.frames.outcomes import Outcome, join, outcome_frame
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, Run, RunStatus

DONE = Run(
    id="run_1",
    function_id="order",
    status=RunStatus("completed"),
    output={"n": 2**60 + 1},
    attempt=2,
    started_at=Instant(1_000),
    ended_at=Instant(5_000),
)
FAILED = Run(id="run_2", status=RunStatus("failed"), error=Error(message="no", code="DECLINED"), attempt=1)


def test_rows_keep_index_and_order_whatever_became_of_them() -> None:
    frame = pd.DataFrame({"total": [1, 2, 3]}, index=[7, 7, "x"])
    outcomes = [
        Outcome(position=0, event_id="evt_0", run=DONE),
        Outcome(position=1, emit_error="refused"),
        Outcome(position=2, event_id="evt_2"),
    ]
    joined = join(frame, outcomes)
    assert joined.index.tolist() == [7, 7, "x"]
    assert joined["total"].tolist() == [1, 2, 3]
    assert joined["status"].tolist()[0] == "completed"
    assert joined["output"].iloc[0] == {"n": 2**60 + 1}
    assert joined["duration"].iloc[0] == pd.Timedelta(4_000, unit="ns")
    assert joined["emit_error"].iloc[1] == "refused"
    assert joined["run_id"].isna().tolist() == [False, True, True]


def test_a_row_that_started_several_runs_is_there_once_for_each() -> None:
    joined = join(pd.DataFrame({"a": [5]}), [Outcome(run=DONE), Outcome(run=FAILED)])
    assert joined["a"].tolist() == [5, 5]
    assert joined["run_id"].tolist() == ["run_1", "run_2"]
    assert joined["error_code"].tolist() == [pd.NA, "DECLINED"]


def test_a_column_of_the_rows_is_never_replaced() -> None:
    frame = pd.DataFrame({"status": ["mine"], "run_status": ["mine too"]})
    joined = join(frame, [Outcome(run=DONE)])
    assert joined["status"].tolist() == ["mine"]
    assert joined["run_status"].tolist() == ["mine too"]
    assert joined[joined.attrs["columns"]["status"]].tolist() == ["completed"]


def test_null_output_is_not_an_absent_one() -> None:
    empty = Run(id="run_3", status=RunStatus("completed"), output=None)
    frame = outcome_frame([Outcome(run=empty), Outcome(run=FAILED)])
    assert frame["output"].isna().tolist() == [False, True]


def test_dtypes_are_declared_and_the_same_when_empty() -> None:
    declared = {column.name: column.dtype for column in schema.OUTCOMES}
    for frame in (outcome_frame([]), outcome_frame([Outcome(run=DONE)]), outcome_frame([Outcome()])):
        assert {str(name): str(dtype) for name, dtype in frame.dtypes.items()} == declared
