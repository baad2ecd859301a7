"""The frame of lines has its declared columns, also without a line."""

from __future__ import annotations

from ironflow_lab.frames import schema
from ironflow_lab.frames.logs import log_frame
from ironflow_lab.runtime.logs import LogLine


def test_the_columns_are_as_declared() -> None:
    line = LogLine(at=1, run_id="run_01", function_id="bill", text="", stream="stdout")
    declared = {column.name: column.dtype for column in schema.LOGS}
    for frame in (log_frame([line]), log_frame([])):
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == declared
    assert log_frame([line]).text.tolist() == [""]
    assert log_frame([line]).step.isna().all()
