"""One event a row: none lost, none doubled, every outcome beside its row."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    DefinitionError,
    IronflowError,
)


def test_outcomes_are_joined_to_the_rows(orders: il.Lab) -> None:
    frame = pd.DataFrame({"n": range(40), "note": ["x"] * 40}, index=[f"row {n}" for n in range(40)])
    emission = orders.emit_frame("order.placed", frame)
    joined = emission.wait(timeout="30s").frame()
    assert joined.index.tolist() == frame.index.tolist()
    assert joined["n"].tolist() == list(range(40))
    failed = [number % 5 == 4 for number in range(40)]
    assert joined["status"].tolist() == ["failed" if bad else "completed" for bad in failed]
    assert joined["attempts"].tolist() == [2 if number % 5 == 3 else 1 for number in range(40)]
    assert joined["output"].isna().tolist() == failed
    assert joined["output"].dropna().tolist() == [
        {"n": number, "charged": number * 100} for number in range(40) if number % 5 != 4
    ]
    assert joined["duration"].notna().all()
    assert joined.attrs["complete"] is True
    assert list(joined.ironflow.failures().data[0].x) == [8]
    assert repr(emission).endswith("40 runs: 32 completed, 8 failed>")


def test_waiting_works_without_the_servers_hold(orders: il.Lab) -> None:
    session = orders._session
    held, session.holds = session.holds, False
    try:
        frame = pd.DataFrame({"n": range(45)})
        assert len(orders.emit_frame("order.placed", frame).wait(timeout="30s").frame()) == 45
        assert orders.wait(orders.emit("order.placed", {"n": 0}), timeout="30s")[0].status == "completed"
    finally:
        session.holds = held


def test_a_named_batch_is_never_doubled_and_may_grow(orders: il.Lab) -> None:
    frame = pd.DataFrame({"n": [100, 101, 101, 102]})
    part = orders.emit_frame("order.placed", frame.head(2), key="batch of May")
    whole = orders.emit_frame("order.placed", frame, key="batch of May")
    again = orders.emit_frame("order.placed", frame.iloc[::-1], key="batch of May")
    assert whole.event_ids[:2] == part.event_ids
    assert len(set(whole.event_ids)) == 4, "equal rows are two bills"
    assert sorted(again.event_ids) == sorted(whole.event_ids)


def test_a_complete_batch_without_a_name_is_sent_anew(orders: il.Lab) -> None:
    frame = pd.DataFrame({"n": [200, 201]})
    first, second = (orders.emit_frame("order.placed", frame) for _ in range(2))
    assert not set(first.event_ids) & set(second.event_ids)


def test_a_refused_row_stops_no_other_and_the_rest_is_not_doubled(orders: il.Lab) -> None:
    frame = pd.DataFrame({"n": [300, 301, 302], "note": ["a", "x" * 9_000_000, "b"]})
    first = orders.emit_frame("order.placed", frame)
    joined = first.frame()
    assert joined["emit_error"].isna().tolist() == [True, False, True]
    assert joined["run_id"].isna().tolist() == [False, True, False]
    assert "1 refused" in repr(first)
    again = orders.emit_frame("order.placed", frame)
    assert again.event_ids == first.event_ids


def test_refused_altogether_is_an_error_and_not_a_frame(orders: il.Lab) -> None:
    with pytest.raises(IronflowError):
        orders.emit_frame("order.*", pd.DataFrame({"n": [1]}))


def test_no_rows_are_no_events(orders: il.Lab) -> None:
    emission = orders.emit_frame("order.placed", pd.DataFrame({"n": pd.Series([], dtype="int64")}))
    assert emission.wait().frame().columns.tolist()[0] == "n"
    assert len(emission.frame()) == 0


@pytest.mark.parametrize("key", ["", " ", "k" * 300, 5])
def test_a_bad_batch_name_is_refused_before_anything_is_sent(orders: il.Lab, key: Any) -> None:
    with pytest.raises(DefinitionError, match="names the batch"):
        orders.emit_frame("order.placed", pd.DataFrame({"n": [1]}), key=key)
