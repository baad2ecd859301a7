"""The frames of a fork: declared columns, the same when there is nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.debug.fork import Planned
from ironflow_lab.frames import schema
from ironflow_lab.frames.forks import PLAN, plan_frame, steps_frame
from ironflow_lab.models.runs import Error
from tests.unit.debug.forked import row

ROWS = (
    Planned(label="a", step_id="run_1:a:0", kind="run", decision="given", why="your output", output={"x": 2**70}),
    Planned(label="b", step_id="run_1:b:0", kind="publish", decision="stub", why="", output=None, effects=True),
    Planned(label="c", step_id="", kind="", decision="stop", why="", error=Error(message="no", code="E")),
)


def test_a_plan() -> None:
    frame, empty = plan_frame(ROWS), plan_frame([])
    assert list(frame.columns) == list(empty.columns) == [column.name for column in PLAN]
    assert frame.dtypes.equals(empty.dtypes)
    assert frame["output"].iloc[0] == {"x": 2**70}
    # A step that returned nothing is not one of which nothing is known.
    assert list(frame["output"].isna()) == [False, False, True]
    assert list(frame["effects"].isna()) == [True, False, True]
    assert list(frame["error"].fillna("")) == ["", "", "E: no"]
    assert list(frame["kind"].isna()) == [False, False, True]


def test_steps_whatever_their_outputs_hold() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    held = [None, {"x": 2**80}, "\ud800", float("nan"), deep]
    frame = steps_frame([row(number, f"s{number}:0", value) for number, value in enumerate(held)])
    assert list(frame.columns) == [column.name for column in (*schema.STEPS, *schema.STEP_PAYLOADS)]
    assert frame.dtypes.equals(steps_frame([]).dtypes)
    assert list(frame["name"]) == ["s0", "s1", "s2", "s3", "s4"]
    assert list(frame["output"].isna()) == [True, False, False, False, False]
    assert frame["output"].iloc[1] == {"x": 2**80}
    assert str(frame)
    assert str(plan_frame([msgspec.structs.replace(ROWS[0], output=value) for value in held]))
