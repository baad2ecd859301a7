"""The log under a cell: bounded, fair to quiet runs, and harmless whatever is printed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.lab import pane
from ironflow_lab.lab.pane import MIME, Log
from ironflow_lab.runtime.logs import LogLine


def line(text: str, run_id: str = "run_01", **more: Any) -> LogLine:
    facts: dict[str, Any] = {"at": 5_000_000, "function_id": "bill", "stream": "stdout", "attempt": 1, **more}
    return LogLine(run_id=run_id, text=text, **facts)


def shown(log: Log) -> dict[str, Any]:
    found: dict[str, Any] = log.bundle()[MIME]
    return found


def test_the_bundle_is_as_the_front_end_reads_it() -> None:
    log = Log("bill")
    log.add(line("hello", step="pay", step_id="s1", stream="log", level="INFO"), "executing")
    log.mark("run_01", "completed")
    assert shown(log) == {
        "version": 1,
        "function": "bill",
        "hidden_runs": 0,
        "runs": [
            {
                "run_id": "run_01",
                "attempt": 1,
                "state": "completed",
                "dropped": 0,
                "lines": [
                    {"at": 5, "step": "pay", "attempt": 1, "stream": "log", "level": "INFO", "text": "hello"},
                ],
            }
        ],
    }
    bundle = log.bundle()
    assert bundle["text/plain"] == "Log of bill\n  run_01 · completed · 1 line\n    [pay] INFO hello"
    assert "<summary>run_01 · completed · 1 line</summary>" in bundle["text/html"]
    json.dumps(bundle)


def test_a_busy_run_does_not_push_out_a_quiet_one() -> None:
    log = Log("bill")
    log.add(line("quiet", "run_01"), "executing")
    for number in range(1000):
        log.add(line(str(number), "run_02"), "executing")
    quiet, busy = shown(log)["runs"]
    assert [one["text"] for one in quiet["lines"]] == ["quiet"]
    assert len(busy["lines"]) == pane.MOST_LINES - 1
    assert busy["dropped"] == 1000 - pane.MOST_LINES + 1
    assert busy["lines"][-1]["text"] == "999"
    assert "… 801 older lines" in log.bundle()["text/html"]
    assert len(log.bundle()["text/plain"].splitlines()) < 30


def test_long_lines_are_bounded_in_all() -> None:
    log = Log("bill")
    for number in range(100):
        log.add(line("x" * 10_000, f"run_{number % 3}"), "executing")
    texts = [one["text"] for run in shown(log)["runs"] for one in run["lines"]]
    assert 40_000 < sum(map(len, texts)) <= pane.MOST_TEXT


def test_the_newest_runs_are_shown_and_the_rest_is_counted() -> None:
    log = Log("bill")
    for number in range(50):
        log.add(line("x", f"run_{number}"), "executing")
    found = shown(log)
    assert [run["run_id"] for run in found["runs"]] == [f"run_{number}" for number in range(30, 50)]
    assert found["hidden_runs"] == 30
    assert "30 older runs are not shown" in log.bundle()["text/html"]
    for number in range(300):
        log.add(line(str(number), "run_49"), "executing")
    assert sum(len(run["lines"]) for run in shown(log)["runs"]) == pane.MOST_LINES


def test_states_are_of_runs_that_have_lines() -> None:
    log = Log("bill")
    assert not log.mark("run_01", "completed")
    log.add(line("x"), "")
    assert shown(log)["runs"][0]["state"] == "waiting"
    assert log.mark("run_01", "executing")
    assert not log.mark("run_01", "executing")
    log.add(line("about the function", "", attempt=0), "note")
    assert shown(log)["runs"][1]["state"] == "note"
    assert "notes" in log.bundle()["text/plain"]


def test_what_is_printed_is_escaped_and_has_no_escape_sequences() -> None:
    log = Log("<i>")
    log.add(line("<script>alert(1)</script>\x1b[31mred\x1b[0m\x1b]8;;http://x\x07\x00", "<b>", step="<u>"), "<s>")
    log.add(line("\x1b[1mbold", stream="error", level="<x>"), "failed")
    html = log.bundle()["text/html"]
    for tag in ("<script", "<i>", "<b>", "<u>", "<s>", "<x>"):
        assert tag not in html
    assert "\x1b" not in json.dumps(log.bundle())
    assert shown(log)["runs"][0]["lines"][0]["text"] == "<script>alert(1)</script>red"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=3000)), max_size=60))
def test_no_lines_break_the_bounds(lines: list[tuple[str, str]]) -> None:
    log = Log("bill")
    for run_id, text in lines:
        log.add(line(text, run_id), "executing")
    runs = shown(log)["runs"]
    kept = [one["text"] for run in runs for one in run["lines"]]
    assert len(kept) + sum(run["dropped"] for run in runs) == len(lines)
    assert sum(map(len, kept)) <= pane.MOST_TEXT
    json.dumps(log.bundle())


def test_a_copy_is_the_same_and_its_own() -> None:
    log = Log("bill")
    for number in range(50):
        log.add(line("x", f"run_{number}", attempt=2), "failed")
    copy = log.copy()
    assert copy.bundle() == log.bundle()
    log.add(line("y", "run_49"), "executing")
    assert copy.bundle() != log.bundle()
