"""How long things took: quantiles by group, whatever the size of the frame."""

from __future__ import annotations

import pandas as pd
import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.plots.latency import latencies, latency


def frame(**milliseconds: list[float | None]) -> pd.DataFrame:
    rows = [(name, value) for name, values in milliseconds.items() for value in values]
    return pd.DataFrame(
        {
            "function_id": pd.array([name for name, _ in rows], dtype="string"),
            "duration": pd.to_timedelta([value for _, value in rows], unit="ms"),
        }
    )


def test_quantiles_in_seconds_the_slowest_first() -> None:
    table = latencies(frame(fast=[1, 2, 3], slow=[100, 200, 300, None]), by="function_id")
    assert table.index.tolist() == ["slow", "fast"]
    assert table["count"].tolist() == [3, 3]
    assert table["p50"].tolist() == [0.2, 0.002]


def test_the_figure_holds_a_box_a_group_with_named_axes() -> None:
    figure = latency(frame(a=[1, 2], b=[3, 4]), by="function_id")
    (boxes,) = figure.data
    assert list(boxes.y) == ["b", "a"]
    assert list(boxes.median) == [0.0035, 0.0015]
    assert figure.layout.xaxis.title.text == "duration in seconds"
    assert figure.layout.title.text == "Duration by function: 4 ended"


def test_its_size_does_not_grow_with_the_rows() -> None:
    small, large = (
        len(latency(frame(a=[float(n) for n in range(size)]), by="function_id").to_json()) for size in (10, 10_000)
    )
    assert large < small + 200


def test_a_wide_range_gets_a_logarithmic_axis_that_says_so() -> None:
    figure = latency(frame(a=[1, 2], b=[5_000, 6_000]), by="function_id")
    assert figure.layout.xaxis.type == "log"
    assert "logarithmic" in figure.layout.xaxis.title.text


@pytest.mark.parametrize("rows", [{}, {"a": [None]}])
def test_when_nothing_ended_it_says_so(rows: dict[str, list[float | None]]) -> None:
    figure = latency(frame(**rows), by="function_id")
    assert figure.layout.annotations[0].text == "Nothing has ended yet."


def test_rows_without_a_name_are_counted_as_unknown() -> None:
    unnamed = frame(a=[1]).assign(function_id=pd.array([None], dtype="string"))
    assert latencies(unnamed, by="function_id").index.tolist() == ["(unknown)"]


def test_a_frame_without_the_columns_is_refused_by_name() -> None:
    with pytest.raises(DefinitionError, match="duration"):
        latency(pd.DataFrame({"function_id": ["a"]}), by="function_id")
