"""The frame of a check: one row a run, the same columns when there is none."""

from __future__ import annotations

from ironflow_lab.debug.verdict import Verdict
from ironflow_lab.frames.checks import CHECKS, check_frame


def test_one_row_a_run() -> None:
    renamed = Verdict(
        run_id="run_1", function_id="nap", status="completed", verdict="diverges", reason="renamed", step="charge",
        became="bill", detail="step 'charge' is called 'bill' now", line=7, agreed=1,
    )  # fmt: skip
    frame = check_frame([renamed, Verdict(run_id="run_2", status="failed", verdict="same", agreed=4)])
    assert frame["verdict"].tolist() == ["diverges", "same"]
    assert frame["became"].iloc[0] == "bill"
    assert frame.isna().iloc[1].to_dict() == {
        **dict.fromkeys((column.name for column in CHECKS), False),
        **dict.fromkeys(("function_id", "reason", "step", "became", "detail", "line"), True),
    }
    # Ordered by how bad it is.
    assert frame["verdict"].min() == "same"


def test_the_dtypes_are_the_same_when_empty() -> None:
    empty, one = check_frame([]), check_frame([Verdict(run_id="run_1", verdict="same", status="completed")])
    assert empty.dtypes.to_dict() == one.dtypes.to_dict()
    assert list(empty.columns) == [column.name for column in CHECKS]
