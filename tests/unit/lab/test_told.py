"""A server's own answer of how a run was, as a snapshot."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from ironflow_lab.lab.told import snapshot_of, value_of
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.timetravel import RunSnapshot, StepSnapshot


def test_everything_the_answer_tells_is_kept() -> None:
    told = RunSnapshot(
        run_id="run_1",
        function_id="order",
        status="running",
        input=b'{"n":123456789012345678901234567890}',
        created_at=Instant(10),
        steps=(
            StepSnapshot(step_id="run_1:b:0", name="b", sequence=2, status="failed", error=b'{"message":"no"}'),
            StepSnapshot(
                step_id="run_1:a:0", name="a", type="invoke", sequence=1, status="completed", output=b"null",
                original_output=b"1", patched=True, started_at=Instant(20), completed_at=Instant(30), duration_ms=5,
            ),
        ),
    )  # fmt: skip
    found = snapshot_of(told, position=4, at=Instant(40), t0=Instant(11))
    assert (found.run_id, found.function_id, found.status, found.position) == ("run_1", "order", "running", 4)
    assert (found.at, found.t0, found.created_at) == (40, 11, 10)
    assert found.input == {"n": 123456789012345678901234567890}
    assert (found.output, found.error) == (msgspec.UNSET, msgspec.UNSET)
    assert [step.label for step in found.steps] == ["a", "b"]
    first, second = found.steps
    assert (first.output, first.original_output, first.patched, first.injected) == (None, 1, True, False)
    assert (first.started_at, first.completed_at, first.duration_ms) == (20, 30, 5)
    assert (second.output, second.error, second.duration_ms) == (msgspec.UNSET, {"message": "no"}, None)


def test_steps_of_one_name_are_told_apart() -> None:
    steps = tuple(StepSnapshot(step_id=f"run_1:a:{index}", sequence=index) for index in range(2))
    found = snapshot_of(RunSnapshot(run_id="run_1", steps=steps), position=1, at=Instant(1), t0=Instant(1))
    assert [step.name for step in found.steps] == ["a", "a"]
    assert [step.label for step in found.steps] == ["a", "run_1:a:1"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"", msgspec.UNSET),
        (b"null", None),
        (b"[1.5]", [1.5]),
        (b"1e400", math.inf),
        (b"not json", "not json"),
        (b"\xff", "\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_payloads_are_decoded_as_far_as_they_are_json(text: bytes, value: Any) -> None:
    assert value_of(text) == value
