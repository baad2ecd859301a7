"""What is shown and what is kept of what handlers print and log."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ironflow_lab.runtime import output
from ironflow_lab.runtime.context import logger
from ironflow_lab.runtime.output import PlainOutput, RunLogs, SegmentOutput, keep_logs


def test_outside_a_notebook_each_segment_has_a_fresh_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="fresh")
    variable.set("outer")
    context = PlainOutput().context(None, lambda stream, text: text)
    assert context.run(variable.get) == "fresh"


def test_a_segment_shows_up_to_its_cap_and_says_where_the_rest_is() -> None:
    logs = RunLogs()
    show = SegmentOutput("run_01", logs)
    first = "x" * (output.SHOWN_PER_SEGMENT - 5)
    assert show("stdout", first) == first
    assert show("stdout", "12345") == "12345"
    cut = show("stderr", "67890")
    assert cut.startswith("\n… output cut after 64 kB; the last 256 kB are in lab.worker.logs('run_01')")
    assert show("stdout", "more") == ""
    assert logs.read("run_01") == first + "1234567890more"


def test_the_text_that_crosses_the_cap_is_cut_inside() -> None:
    show = SegmentOutput("run_01", RunLogs())
    shown = show("stdout", "x" * 1_000_000)
    assert shown.startswith("x" * output.SHOWN_PER_SEGMENT + "\n… output cut")
    assert len(shown) < output.SHOWN_PER_SEGMENT + 200


def test_each_segment_has_its_own_cap() -> None:
    logs = RunLogs()
    SegmentOutput("run_01", logs)("stdout", "x" * 1_000_000)
    assert SegmentOutput("run_01", logs)("stdout", "next") == "next"


def test_of_a_run_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "KEPT_PER_RUN", 10)
    logs = RunLogs()
    for piece in ("abcd", "efgh", "ijkl"):
        logs.add("run_01", piece)
    assert logs.read("run_01") == "efghijkl"
    logs.add("run_01", "x" * 50 + "0123456789")
    assert logs.read("run_01") == "0123456789"
    assert logs.read("run_02") == ""


def test_the_runs_silent_for_longest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "KEPT_IN_ALL", 10)
    logs = RunLogs()
    for run in ("run_01", "run_02", "run_01", "run_03"):
        logs.add(run, "abcd")
    assert [logs.read(run) for run in ("run_01", "run_02", "run_03")] == ["", "", "abcd"]
    logs.add("run_04", "efgh")
    assert logs.read("run_03") == "abcd"


@contextmanager
def fresh_logging() -> Iterator[None]:
    """No logging set up, as in a fresh process; `keep_logs` called twice, as by two workers."""
    root, own, level = logging.root.handlers[:], logger.handlers[:], logger.level
    logging.root.handlers[:], logger.handlers[:] = [], []
    logger.setLevel(logging.NOTSET)
    try:
        keep_logs()
        keep_logs()
        yield
    finally:
        logging.root.handlers[:], logger.handlers[:] = root, own
        logger.setLevel(level)


def log_of(keep: Any) -> logging.LoggerAdapter[logging.Logger]:
    facts = {"ironflow_function": "bill", "ironflow_run": "run_01", "ironflow_keep": keep}
    return logging.LoggerAdapter(logger, facts)


def test_logged_lines_are_kept_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[str] = []
    with fresh_logging():
        log_of(kept.append).info("charged %d", 5)
        log_of(kept.append).debug("too fine")
    assert kept == ["INFO bill: charged 5\n"]
    assert capsys.readouterr().err == "INFO bill: charged 5\n"


def test_where_logging_is_set_up_lines_are_kept_and_left_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[str] = []
    seen = logging.Handler()
    records: list[logging.LogRecord] = []
    seen.emit = records.append  # type: ignore[method-assign,assignment]  # the smallest handler
    with fresh_logging():
        logging.root.addHandler(seen)
        log_of(kept.append).warning("low stock")
    assert kept == ["WARNING bill: low stock\n"]
    assert [record.getMessage() for record in records] == ["low stock"]
    assert capsys.readouterr().err == ""


def test_a_line_under_a_cell_is_kept_by_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Captured:
        def capturing(self) -> bool:
            return True

        def write(self, text: str) -> int:
            shown.append(text)
            return len(text)

    kept: list[str] = []
    monkeypatch.setattr("sys.stderr", Captured())
    with fresh_logging():
        log_of(kept.append).error("no")
    assert (kept, shown) == ([], ["ERROR bill: no\n"])


@pytest.mark.parametrize(("word", "kept"), [("debug", 2), ("error", 0), ("silent", 0), ("nonsense", 1)])
def test_the_level_comes_from_the_environment(word: str, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRONFLOW_LOG_LEVEL", word)
    lines: list[str] = []
    with fresh_logging():
        log_of(lines.append).debug("fine")
        log_of(lines.append).info("coarse")
    assert len(lines) == kept
