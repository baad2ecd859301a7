"""The worker's card and its line."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.lab import workercard
from ironflow_lab.models.instant import Instant
from ironflow_lab.runtime.logs import LogLine
from ironflow_lab.runtime.status import Counts, FunctionStatus, JobStatus, WorkerSnapshot

AT = 1_767_323_045 * SECOND


def snapshot(**changes: Any) -> WorkerSnapshot:
    now = WorkerSnapshot(
        state="running",
        worker_id="tour-1",
        instance_id="i1",
        server_url="http://localhost:9123",
        concurrency=10,
        functions=(
            FunctionStatus(
                id="process-order",
                triggers=("order.placed",),
                code_hash="0123456789abcdef",
                place="tour.ipynb, cell [4], line 3",
            ),
        ),
        counts=Counts(completed=1, failed=2, steps=1234),
    )
    return msgspec.structs.replace(now, **changes)


def job(**changes: Any) -> JobStatus:
    given = JobStatus(
        job_id="run_1.1", run_id="run_1", function_id="process-order", attempt=2, started_at=Instant(AT - 5 * SECOND)
    )
    return msgspec.structs.replace(given, **changes)


def test_the_line_has_the_state_and_the_counts() -> None:
    assert workercard.line(snapshot()) == (
        "tour-1: running, 0 of 10 jobs in hand, leases held by heartbeats, 1 segment completed, 2 failed, 1,234 steps"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"restarts": 1}, "restarted 1 time"),
        ({"last_error": "no answer"}, "last error: no answer"),
        ({"blocked_for": 7.2}, "its async handlers are blocked for 7 s"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], words: str) -> None:
    assert words not in workercard.line(snapshot())
    assert words in workercard.line(snapshot(**changes))
    assert words in workercard.html(snapshot(**changes), AT)


def test_functions_are_shown_with_their_code_and_place() -> None:
    shown = workercard.html(snapshot(), AT)
    for part in ("process-order", "order.placed", "01234567<", "tour.ipynb, cell [4], line 3"):
        assert part in shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "the handler"),
        ({"doing": ("charge",)}, "charge"),
        ({"doing": ("a", "b", "c", "d", "e")}, "a, b, c and 2 more"),
        ({"ending": True}, "reporting"),
        ({"doing": ("charge",), "pausing": True}, "charge, pausing at its end"),
    ],
)
def test_a_job_shows_its_step_and_its_seconds(changes: dict[str, Any], words: str) -> None:
    shown = workercard.html(snapshot(jobs=(job(**changes),)), AT)
    for part in ("run_1<", f">{words}<", ">5.0 s<"):
        assert part in shown


def test_labels_and_what_waits_are_shown() -> None:
    shown = workercard.html(snapshot(labels={"region": "eu"}), AT, waiting=["refund"])
    assert "labels region=eu" in shown
    assert "refund; run their cells" in shown
    assert "labels" not in workercard.html(snapshot(), AT)


def test_the_newest_lines_of_the_log_are_shown() -> None:
    lines = [
        LogLine(at=AT, run_id="run_1", function_id="f", text=f"line {n}\n", stream="stdout", step="charge")
        for n in range(50)
    ]
    shown = workercard.html(snapshot(), AT, logs=lines)
    assert "f charge  line 49" in shown
    assert "line 29" not in shown
    assert "<details>" in shown
    assert "<details>" not in workercard.html(snapshot(), AT)


def test_nothing_of_others_is_markup() -> None:
    evil = "<script>alert(1)</script>"
    hostile = snapshot(
        worker_id=evil,
        last_error=evil,
        labels={evil: evil},
        functions=(FunctionStatus(id=evil, triggers=(evil,), code_hash=evil, place=evil),),
        jobs=(job(run_id=evil, function_id=evil, doing=(evil,)),),
    )
    line = LogLine(at=AT, run_id="run_1", function_id=evil, text=evil, stream="stdout", step=evil)
    shown = workercard.html(hostile, AT, logs=[line], waiting=[evil])
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_the_card_is_bounded() -> None:
    many = snapshot(
        functions=tuple(FunctionStatus(id=f"f{n}" + "x" * 1000) for n in range(1000)),
        jobs=tuple(job(run_id=f"run_{n}", doing=("y" * 1000,) * 50) for n in range(1000)),
        last_error="z" * 100_000,
        labels={str(n): "v" * 256 for n in range(64)},
    )
    shown = workercard.html(many, AT)
    assert len(shown) < 40_000
    assert "and 980 more" in shown


def test_colours_are_the_pages_own() -> None:
    shown = workercard.html(snapshot(jobs=(job(),), last_error="no answer"), AT)
    assert "--jp-ui-font-color1" in shown
    assert "background:#" not in shown
