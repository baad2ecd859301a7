"""`df.ironflow`: fits frames of a lab, and says so where it does not."""

from __future__ import annotations

import pandas as pd
import pytest

from ironflow_lab.errors import DefinitionError, ForeignFrameError, IronflowError
from ironflow_lab.frames.jsonarray import JsonArray
from ironflow_lab.frames.outcomes import Outcome, join
from ironflow_lab.frames.runs import run_frame, step_frame
from ironflow_lab.lab import accessor
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, Run, RunStatus

accessor.register()


def test_a_foreign_frame_gets_an_error_that_names_where_ours_come_from() -> None:
    with pytest.raises(ForeignFrameError, match=r"lab\.runs\(\)") as refused:
        _ = pd.DataFrame({"a": [1]}).ironflow
    assert isinstance(refused.value, IronflowError)
    assert not hasattr(pd.DataFrame({"a": [1]}), "ironflow")


def test_registering_again_changes_nothing() -> None:
    before = pd.DataFrame.__dict__["ironflow"]
    accessor.register()
    assert pd.DataFrame.__dict__["ironflow"] is before


def test_expand_by_path() -> None:
    frame = pd.DataFrame({"input": JsonArray.of([b'{"customer":{"id":9007199254740993}}', b"{}"])})
    assert frame.ironflow.expand("input", "customer.id")["input.customer.id"].tolist() == [2**53 + 1, pd.NA]


def test_figures_of_empty_frames_say_so() -> None:
    for frame in (run_frame([]).frame, step_frame([])):
        assert frame.ironflow.failures().layout.annotations[0].text == "Nothing failed."
        assert frame.ironflow.latency().layout.annotations[0].text == "Nothing has ended yet."


def test_steps_are_grouped_by_name_and_runs_by_function() -> None:
    assert step_frame([]).ironflow.latency().layout.title.text == "Duration by name: 0 ended"
    assert run_frame([]).frame.ironflow.latency().layout.title.text == "Duration by function: 0 ended"


def test_the_outcome_counts_and_not_a_column_of_the_same_name() -> None:
    run = Run(
        id="run_1",
        function_id="order",
        status=RunStatus("failed"),
        error=Error(message="no", code="DECLINED"),
        started_at=Instant(1),
        ended_at=Instant(2_000_000_001),
    )
    sent = pd.DataFrame({"status": ["shipped"], "duration": ["long"], "output": ["paper"]})
    joined = join(sent, [Outcome(run=run)])
    assert list(joined.ironflow.failures().data[0].y) == ["DECLINED"]
    assert list(joined.ironflow.latency().data[0].median) == [2.0]
    assert joined.ironflow.expand("output", "x")["run_output.x"].isna().all()


def test_grouping_by_a_column_that_is_not_there() -> None:
    with pytest.raises(DefinitionError, match="no column 'city'"):
        run_frame([]).frame.ironflow.latency(by="city")
