"""The frame of what runs wrote, from a data folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ironflow_lab.frames import schema
from ironflow_lab.lab import logs
from ironflow_lab.runtime.logs import LogLine, LogStore


def line(text: str, run_id: str, **more: Any) -> LogLine:
    facts: dict[str, Any] = {"at": 1_767_323_045_000_000_001, "function_id": "bill", "stream": "stdout", **more}
    return LogLine(run_id=run_id, text=text, **facts)


def test_lines_come_run_by_run_in_the_order_asked_for(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    for one in (line("a", "run_01", attempt=1), line("b", "run_02", step="pay", step_id="s1"), line("", "run_01")):
        store.add(one)
    store.flush()
    frame = logs.read(tmp_path, ["run_02", "run_01", "run_02"], server_url="http://x")
    assert list(frame.columns) == [column.name for column in schema.LOGS]
    assert list(frame.text) == ["b", "a", ""], "an empty line is a line"
    assert list(frame.run_id) == ["run_02", "run_01", "run_01"]
    assert list(frame.step.fillna("-")) == ["pay", "-", "-"]
    assert list(frame.attempt.fillna(0)) == [0, 1, 0]
    assert frame["at"].iloc[0] == pd.Timestamp("2026-01-02T03:04:05.000000001Z")
    assert frame.attrs["source"] == "logs"
    assert frame.attrs["server"] == "http://x"
    assert frame.attrs["query"] == {"run_ids": ["run_02", "run_01"], "folder": str(tmp_path)}
    assert frame.attrs["complete"] is True


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    frame = logs.read(tmp_path, ["run_01", "run_02"], server_url="")
    assert len(frame) == 0
    assert frame.attrs["complete"] is False
    assert frame.attrs["truncated"] == "nothing is kept here of 2 of 2 runs"
    store = LogStore(tmp_path)
    for _ in range(10_000):
        store.add(line("x" * 100, "run_01"))
    store.flush()
    frame = logs.read(tmp_path, ["run_01"], server_url="")
    assert frame.attrs["truncated"].endswith(" older lines are gone")
    assert len(frame) + int(frame.attrs["truncated"].split(" ")[0].replace(",", "")) == 10_000
    many = logs.read(tmp_path, [f"run_{number}" for number in range(100)], server_url="")
    assert many.attrs["query"]["run_ids"] == "100 runs"
