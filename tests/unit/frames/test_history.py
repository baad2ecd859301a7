"""Frames of what was recorded: declared columns with and without rows, exact values, secrets hidden."""

from __future__ import annotations

from typing import Any

import msgspec
import pandas as pd

from ironflow_lab.frames import schema
from ironflow_lab.frames.history import audit_frame, change_frame, state_frame, timeline_frame
from ironflow_lab.frames.jsonarray import JsonArray
from ironflow_lab.history.diff import explain
from ironflow_lab.history.fold import History
from ironflow_lab.models.audit import AuditEvent, AuditRow
from ironflow_lab.models.instant import Instant

T0 = 1_767_323_045_000_000_001
BIG = 123456789012345678901234567890


def event(number: int, kind: str, step: str = "", **payload: Any) -> AuditEvent:
    return AuditEvent(
        id=f"aud_{number}",
        run_id="run_1",
        function_id="order",
        event_type=kind,
        step_id=f"run_1:{step}:0" if step else "",
        payload={"stepId": f"run_1:{step}:0", **payload} if step else payload,
        created_at=Instant(T0 + number),
    )


EVENTS = [
    event(0, "run.created", input={"n": BIG, "password": "hunter2"}, status="waiting_for_capacity"),
    event(1, "run.status_changed", oldStatus="waiting_for_capacity", newStatus="running", workerId="w"),
    event(2, "step.started", "charge", stepName="charge", stepType="invoke", attempt=1),
    event(3, "step.failed", "charge", error={"message": "declined", "code": "DECLINED"}, attempt=1),
    event(4, "step.started", "charge", stepName="charge", stepType="invoke", attempt=2),
    event(5, "step.completed", "charge", output=[1.0, None], durationMs=7),
    event(6, "step.patched", "charge", originalOutput=[1.0, None], patchedOutput=BIG, patchedBy="ada", reason="typo"),
    event(7, "step.completed", "wait", output=None),
    event(8, "run.status_changed", oldStatus="running", newStatus="completed", output="<b>done</b>"),
]


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def texts(column: pd.Series) -> list[bytes | None]:
    array = column.array
    assert isinstance(array, JsonArray)
    return array.texts


def declared(columns: tuple[schema.Column, ...]) -> dict[str, str]:
    return {column.name: column.dtype for column in columns}


def test_dtypes_are_the_declared_ones_with_and_without_rows() -> None:
    full, none = History("run_1", EVENTS), History("run_1")
    pairs = [
        (schema.AUDIT, audit_frame(EVENTS), audit_frame([])),
        (schema.TIMELINE, timeline_frame(full), timeline_frame(none)),
        (schema.CHANGES, change_frame(explain(full, 2, 9)), change_frame([])),
        (schema.STATES, state_frame(full.steps), state_frame([])),
    ]
    for columns, some, empty in pairs:
        assert dtypes(some) == declared(columns) == dtypes(empty)
        assert (some.dtypes == empty.dtypes).all()
        assert (len(some) > 0, len(empty)) == (True, 0)


def test_audit_events_keep_every_digit_and_their_place() -> None:
    frame = audit_frame(EVENTS, first=1)
    assert frame["position"].tolist() == list(range(1, 10))
    assert frame["payload"].iloc[0]["input"]["n"] == BIG
    assert frame["name"].tolist()[2] == "charge"
    assert frame["name"].isna().tolist() == [True, True, *[False] * 6, True]
    assert frame["created_at"].iloc[0] == pd.Timestamp(T0, unit="ns", tz="UTC")
    assert "hunter2" not in frame.to_string()
    assert audit_frame(EVENTS)["position"].isna().all()


def test_rows_of_a_search_make_the_same_frame() -> None:
    row = AuditRow(id="aud_1", run_id="run_1", event_type="run.created", payload={"n": 1}, metadata={"a": "b"})
    frame = audit_frame([row])
    assert frame["payload"].tolist() == [{"n": 1}]
    assert frame["metadata"].tolist() == [{"a": "b"}]
    assert frame["created_at"].isna().all()


def test_a_wait_is_told_with_its_end() -> None:
    waits = {"stepId": "run_1:a:0", "stepName": "a", "event": "order.paid", "until": "2026-01-02T03:04:05Z"}
    row = msgspec.structs.replace(EVENTS[2], payload=waits)
    assert timeline_frame(History("run_1", [row]))["summary"].tolist() == [
        "Step a waiting for order.paid until 2026-01-02T03:04:05Z"
    ]


def test_the_timeline_says_what_happened_since_the_start() -> None:
    frame = timeline_frame(History("run_1", EVENTS))
    assert frame["summary"].tolist() == [
        "Run created",
        "Run running",
        "Step charge started",
        "Step charge failed",
        "Step charge started",
        "Step charge completed",
        "Step charge patched",
        "Step wait completed",
        "Run completed",
    ]
    assert frame["significant"].tolist() == [True, False, False, True, False, True, True, True, True]
    assert frame["since_start"].tolist() == [pd.Timedelta(number, unit="ns") for number in range(9)]
    assert frame["position"].tolist() == list(range(1, 10))


def test_a_step_s_name_with_braces_is_taken_as_it_is() -> None:
    frame = timeline_frame(History("run_1", [event(0, "step.started", "{}", stepName="{}")]))
    assert frame["summary"].tolist() == ["Step {} started"]


def test_changes_are_exact_and_tell_their_cause() -> None:
    frame = change_frame(explain(History("run_1", EVENTS), 4, 9)).set_index("path")
    output = frame.loc["steps.charge.output"]
    assert (output["before"], output["after"]) == (pd.NA, BIG)
    assert (output["cause"], output["actor"], output["position"]) == ("step.patched at 7", "ada", 7)
    assert output["at"] == pd.Timestamp(T0 + 6, unit="ns", tz="UTC")
    original = frame.loc["steps.charge.original_output"]
    assert original["after"] == [1.0, None]
    assert texts(frame["after"])[list(frame.index).index("steps.charge.original_output")] == b"[1.0,null]"
    assert list(frame.loc["steps.charge.status", ["before", "after"]]) == ["failed", "completed"]
    assert frame.loc["run.output", "cause"] == "run.status_changed at 9"


def test_null_and_absent_are_two_things() -> None:
    frame = change_frame(explain(History("run_1", EVENTS), 7, 8)).set_index("path")
    assert frame.loc["steps.wait.output", "before"] is pd.NA
    assert frame.loc["steps.wait.output", "after"] is None


def test_a_value_whose_own_place_is_secret_is_hidden_and_no_other() -> None:
    history = History("run_1", [event(0, "run.created"), event(1, "step.completed", "token", output=1)])
    assert change_frame(explain(history, 1, 2)).set_index("path").loc["steps.token.output", "after"] == 1
    before = event(0, "step.completed", "a", output={"pin": 1, "api_key": "old"})
    after = event(1, "step.patched", "a", patchedOutput={"pin": 2, "api_key": "hunter2", "deep": {"secret": "hunter2"}})
    frame = change_frame(explain(History("run_1", [before, after]), 1, 2)).set_index("path")
    assert frame.loc["steps.a.output.pin", "after"] == 2
    assert list(frame.loc["steps.a.output.api_key", ["before", "after"]]) == ["[redacted]"] * 2
    assert frame.loc["steps.a.output.deep", "after"] == {"secret": "hunter2"}
    assert "hunter2" not in frame.to_string()


def test_steps_as_they_were() -> None:
    history = History("run_1", EVENTS)
    failed = state_frame(history.at_position(4).steps).iloc[0]
    assert (failed["name"], failed["status"], failed["error"], failed["error_code"]) == (
        "charge",
        "failed",
        "declined",
        "DECLINED",
    )
    assert failed["output"] is pd.NA
    assert failed["duration"] == pd.Timedelta(1, unit="ns")
    charge, wait = (row for _, row in state_frame(history.at_position(8).steps).iterrows())
    assert (charge["output"], charge["original_output"], charge["patched"], charge["by"]) == (
        BIG,
        [1.0, None],
        True,
        "ada",
    )
    assert (charge["attempt"], charge["duration"]) == (2, pd.Timedelta(1, unit="ns"))
    assert (wait["output"], wait["status"], wait["started_at"]) == (None, "completed", pd.NaT)


def test_errors_of_any_shape_are_text() -> None:
    shapes: list[Any] = ["plain", {"code": 5}, {"message": "m", "code": 5}, None, {"message": None}]
    events = [event(number, "step.failed", f"s{number}", error=shape) for number, shape in enumerate(shapes)]
    frame = state_frame(History("run_1", events).steps)
    assert frame["error"].fillna("-").tolist() == ["plain", '{"code":5}', "m", "-", '{"message":null}']
    assert frame["error_code"].isna().all()


def test_a_payload_deeper_than_an_encoder_goes_is_in_its_column() -> None:
    deep: Any = "end"
    for _ in range(5_000):
        deep = [deep]
    frame = audit_frame([AuditEvent(id="evt_1", event_type="run.created", payload=deep)])
    assert len(frame) == 1
    assert frame["payload"].notna().all()
