"""The frame of functions."""

from __future__ import annotations

import pandas as pd

from ironflow_lab.frames import schema
from ironflow_lab.frames.functions import function_frame
from ironflow_lab.models.functions import Function, FunctionStatus, RetryConfig, Trigger
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import ExecutionMode

ONE = Function(
    id="order",
    name="Order",
    triggers=(Trigger(event="order.placed"),),
    retry=RetryConfig(max_attempts=3, on_exhausted="fail"),
    timeout_ms=1_500,
    preferred_mode=ExecutionMode("pull"),
    status=FunctionStatus("active"),
    version=2,
    created_at=Instant(1_000),
)


def test_columns_and_values() -> None:
    row = function_frame([ONE, Function(id="bare")]).iloc[0]
    assert row["triggers"] == [{"event": "order.placed"}]
    assert row["timeout"] == pd.Timedelta("1.5s")
    assert row["mode"] == "pull"
    assert row["created_at"] == pd.Timestamp(1_000, unit="ns", tz="UTC")
    assert row["on_exhausted"] == "fail"


def test_dtypes_are_declared_and_the_same_when_empty() -> None:
    declared = {column.name: column.dtype for column in schema.FUNCTIONS}
    for frame in (function_frame([]), function_frame([ONE]), function_frame([Function(id="bare")])):
        assert {str(name): str(dtype) for name, dtype in frame.dtypes.items()} == declared
