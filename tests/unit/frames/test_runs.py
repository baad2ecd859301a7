"""Frames of runs and steps: declared columns, the same dtypes without rows, complete or not and why."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from ironflow_lab.frames import schema
from ironflow_lab.frames.collector import paused
from ironflow_lab.frames.runs import run_frame, step_frame
from ironflow_lab.models.runs import RunRowPage, StepRowPage
from ironflow_lab.wire import codec

ALL = schema.RUNS + schema.RUN_PAYLOADS
COMPLETED = {
    "id": "run_1", "functionId": "order", "eventName": "order.placed", "eventId": "evt_1",
    "status": "RUN_STATUS_COMPLETED", "attempt": 2, "maxAttempts": 25, "functionVersion": 3,
    "workerId": "w", "createdAt": "2026-01-02T03:04:04Z", "startedAt": "2026-01-02T03:04:05.000000001Z",
    "endedAt": "2026-01-02T03:04:06Z", "updatedAt": "2026-01-02T03:04:06Z",
    "input": {"n": 9007199254740993}, "outputValue": [1, 2],
}  # fmt: skip
FAILED = {
    "id": "run_2", "functionId": "order", "status": "RUN_STATUS_FAILED", "attempt": 1,
    "error": {"message": "no", "code": "DECLINED"}, "createdAt": "2026-01-02T05:04:05+02:00",
}  # fmt: skip


def page(*runs: dict[str, Any], cursor: str = "", total: int = 0) -> RunRowPage:
    body = {"runs": list(runs), "nextCursor": cursor, "totalCount": total}
    return codec.decode(json.dumps(body).encode(), RunRowPage)


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_dtypes_are_the_declared_ones_with_and_without_rows() -> None:
    declared = {column.name: column.dtype for column in ALL}
    empty = run_frame([], payloads=True).frame
    full = run_frame([page(COMPLETED, FAILED)], payloads=True).frame
    assert dtypes(empty) == declared
    assert dtypes(full) == declared
    assert (empty.dtypes == full.dtypes).all()
    assert list(empty.columns) == [column.name for column in ALL]


def test_steps_have_the_declared_dtypes_with_and_without_rows() -> None:
    declared = {column.name: column.dtype for column in schema.STEPS + schema.STEP_PAYLOADS}
    body = b'{"steps":[{"id":"s","runId":"r","stepId":"r:charge:0","stepType":"STEP_TYPE_INVOKE"}]}'
    full = step_frame([codec.decode(body, StepRowPage).steps])
    assert dtypes(step_frame([])) == declared == dtypes(full)
    assert full["name"].tolist() == ["charge"]
    assert (step_frame([]).dtypes == full.dtypes).all()


def test_payload_columns_only_when_asked_for() -> None:
    assert set(run_frame([page(COMPLETED)]).frame.columns) == {column.name for column in schema.RUNS}
    assert "output" not in step_frame([], payloads=False).columns


def test_values_are_those_of_the_wire() -> None:
    frame = run_frame([page(COMPLETED, FAILED)], payloads=True).frame
    first, second = frame.iloc[0], frame.iloc[1]
    assert first["input"] == {"n": 9007199254740993}
    assert first["output"] == [1, 2]
    assert first["duration"] == pd.Timedelta(999_999_999, unit="ns")
    assert first["started_at"] == pd.Timestamp("2026-01-02T03:04:05.000000001Z")
    assert first["error"] is pd.NA
    assert first["attempt"] == 2
    assert second["error_code"] == "DECLINED"
    assert second["created_at"] == pd.Timestamp("2026-01-02T03:04:05Z")
    assert second["started_at"] is pd.NaT
    assert second["output"] is pd.NA
    assert second["max_attempts"] is pd.NA, "a server that does not say is not a budget of 0"


def test_status_is_ordered_and_an_unknown_word_is_kept() -> None:
    frame = run_frame([page(COMPLETED, FAILED, {"id": "run_3", "status": "RUN_STATUS_FROZEN"})]).frame
    assert frame["status"].tolist() == ["completed", "failed", "frozen"]
    assert (frame["status"] >= "completed").all()
    assert frame["status"].cat.categories[: len(schema.RUN_STATUSES)].tolist() == list(schema.RUN_STATUSES)


def test_unspecified_status_is_missing() -> None:
    frame = run_frame([page({"id": "a"}, {"id": "b", "status": "RUN_STATUS_UNSPECIFIED"})]).frame
    assert frame["status"].isna().all()


def test_pages_are_taken_only_as_far_as_the_limit_needs() -> None:
    taken = []

    def pages() -> Iterator[RunRowPage]:
        for number in range(5):
            taken.append(number)
            yield page(COMPLETED, FAILED, cursor="more", total=10)

    read = run_frame(pages(), limit=3)
    assert len(read.frame) == 3
    assert taken == [0, 1]
    assert read.truncated == "limit: the first 3 of 10 that match"


@pytest.mark.parametrize(
    ("cursor", "total", "truncated"),
    [("", 2, None), ("more", 3, "limit: the first 2 of 3 that match"), ("more", 0, "limit: the first 2; more match")],
)
def test_a_full_limit_is_truncated_only_when_more_match(cursor: str, total: int, truncated: str | None) -> None:
    assert run_frame([page(COMPLETED, FAILED, cursor=cursor, total=total)], limit=2).truncated == truncated


def test_step_duration_falls_back_to_what_the_server_measured() -> None:
    body = (
        b'{"steps":[{"id":"a","stepId":"r:x:0","durationMs":7},{"id":"b","stepId":"r:x:1","durationMs":7,'
        b'"startedAt":"2026-01-02T03:04:05Z","endedAt":"2026-01-02T03:04:05.0004Z"},{"id":"c","stepId":"r:y:0"}]}'
    )
    frame = step_frame([codec.decode(body, StepRowPage).steps])
    assert frame["duration"].tolist() == [pd.Timedelta("7ms"), pd.Timedelta("400us"), pd.NaT]


def test_the_collector_is_paused_for_a_page_and_restored_whatever_happens() -> None:
    seen = []

    def pages() -> Iterator[RunRowPage]:
        seen.append(gc.isenabled())
        yield page(COMPLETED)
        raise ConnectionError("the server vanished")

    with pytest.raises(ConnectionError):
        run_frame(pages())
    assert seen == [False]
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_repeated_texts_are_stored_once() -> None:
    frame = run_frame([page(COMPLETED), page({**COMPLETED, "id": "run_9"})]).frame
    stored = frame["function_id"].array.to_numpy()
    assert stored[0] is stored[1]
