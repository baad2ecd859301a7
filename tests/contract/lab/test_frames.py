"""What a lab reads from a real server, as frames."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    DefinitionError,
    NotFoundError,
)
from ironflow_lab.frames import schema
from ironflow_lab.lab import loading
from ironflow_lab.testing import LocalServer


def test_runs_are_read_with_filters_and_say_where_they_came_from(orders: il.Lab, server: LocalServer) -> None:
    orders.emit_frame("order.placed", pd.DataFrame({"n": [4, 9]})).wait()
    frame = orders.runs(function="settle", status=["failed"], since="1h", payloads=True, limit=1)
    assert frame["status"].tolist() == ["failed"]
    assert frame["error_code"].tolist() == ["STEP_FAILED"]
    assert frame.ironflow.expand("input", "n")["input.n"].dtype == "Int64"
    assert frame.attrs["server"] == server.url
    assert frame.attrs["query"] == {"function_id": "settle", "statuses": ["failed"], "since": "1h", "limit": 1}
    assert frame.attrs["complete"] is False
    assert "of" in frame.attrs["truncated"]
    json.dumps(frame.attrs)


def test_dtypes_do_not_depend_on_what_is_there(orders: il.Lab) -> None:
    some, none = orders.runs(payloads=True), orders.runs(function="unheard-of", payloads=True)
    assert len(none) == 0
    assert (some.dtypes == none.dtypes).all()
    assert [column.name for column in schema.RUNS + schema.RUN_PAYLOADS] == list(none.columns)
    assert (orders.steps(some).dtypes == orders.steps(none).dtypes).all()


def test_cut_by_the_default_limit_is_said_aloud(orders: il.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    orders.emit_frame("order.placed", pd.DataFrame({"n": [1, 2]})).wait()
    monkeypatch.setattr(loading, "DEFAULT_LIMIT", 1)
    with pytest.warns(UserWarning, match=r"the first 1 of .*limit=None for all"):
        orders.runs(limit=1)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "all"])
def test_a_bad_limit_is_refused(orders: il.Lab, limit: Any) -> None:
    with pytest.raises(DefinitionError, match="limit"):
        orders.runs(limit=limit)


def test_steps_by_any_handle_are_the_same_run_by_run(orders: il.Lab) -> None:
    emission = orders.emit_frame("order.placed", pd.DataFrame({"n": [0, 3, 1]})).wait()
    by_emission = orders.steps(emission)
    for handle in (list(emission.run_ids), emission.runs, emission.frame(), emission.frame()["run_id"]):
        pd.testing.assert_frame_equal(orders.steps(handle), by_emission)
    assert by_emission["run_id"].drop_duplicates().tolist() == list(emission.run_ids)
    assert by_emission["name"].tolist() == ["charge", "rest"] * 3
    assert by_emission["status"].tolist() == ["completed"] * 6
    assert by_emission["output"].tolist() == [0, None, 300, None, 100, None]
    one = orders.steps(emission.run_ids[1], payloads=False)
    assert "output" not in one.columns
    assert one["attempt"].tolist()[0] == 2


def test_steps_of_an_unknown_run_are_an_error(orders: il.Lab) -> None:
    with pytest.raises(NotFoundError):
        orders.steps("run_that_never_was")
    with pytest.raises(DefinitionError, match="run_id"):
        orders.steps(pd.DataFrame({"a": [1]}))


def test_functions_are_a_frame(orders: il.Lab) -> None:
    frame = orders.functions().set_index("function_id")
    assert frame.loc["settle", "triggers"] == [{"event": "order.placed"}]
    assert frame.loc["settle", "max_attempts"] == 3
    assert frame.loc["settle", "mode"] == "pull"
