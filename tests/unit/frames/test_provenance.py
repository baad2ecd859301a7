"""A frame says where its rows came from, and copies of it still do."""

from __future__ import annotations

import json

import pandas as pd

from ironflow_lab.frames.provenance import stamp


def test_attrs_are_plain_and_survive_a_filter() -> None:
    frame = stamp(
        pd.DataFrame({"a": [1, 2]}),
        source="runs",
        server="http://localhost:9123",
        query={"limit": 2},
        fetched_at=1_000_000_000,
        truncated="limit: the first 2; more match",
    )
    assert frame.attrs == {
        "source": "runs",
        "server": "http://localhost:9123",
        "query": {"limit": 2},
        "fetched_at": "1970-01-01T00:00:01Z",
        "rows": 2,
        "complete": False,
        "truncated": "limit: the first 2; more match",
    }
    assert frame[frame["a"] > 1].attrs["complete"] is False
    assert json.loads(json.dumps(frame.attrs)) == frame.attrs


def test_complete_when_nothing_was_cut() -> None:
    frame = stamp(pd.DataFrame(), source="runs", server="", query={}, fetched_at=0)
    assert frame.attrs["complete"] is True
    assert frame.attrs["truncated"] is None
