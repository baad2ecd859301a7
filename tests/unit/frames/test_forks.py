"""The frames of a fork: declared columns, the same when there is nothing."""

from __future__ import annotations

from msgspec import UNSET

from ironflow_lab.debug.calls import Asked, Call, Give
from ironflow_lab.debug.fork import Planned
from ironflow_lab.frames.forks import CALLS, PLAN, calls_frame, plan_frame
from ironflow_lab.models.runs import Error

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


def test_calls() -> None:
    call = Call(step_id="run_1:a:0", label="a", name="a", kind="sleep", wanted={"seconds": 1.0}, order=1, line=0)
    asked = [Asked(call=call, answer=Give(), source="stub", output=UNSET)]
    frame, empty = calls_frame(asked), calls_frame([])
    assert list(frame.columns) == list(empty.columns) == [column.name for column in CALLS]
    assert frame.dtypes.equals(empty.dtypes)
    assert frame["wanted"].iloc[0] == {"seconds": 1.0}
    assert frame["output"].isna().all()
    assert frame["line"].isna().all()
    assert list(frame["effects"]) == [False]
