"""Sinks without a lab, notes of ours, and how `ctx.logger` shows its lines."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.runtime import output
from ironflow_lab.runtime.context import logger
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.logs import LogLine, LogStore
from ironflow_lab.runtime.output import PlainOutput, StreamOutput, show_logs
from ironflow_lab.runtime.segment import Segment
from tests.unit.kernel.test_taps import Seen
from tests.unit.runtime.assignments import assignment
from tests.unit.runtime.test_capture import Sink
from tests.unit.runtime.test_capture import output as segment_output


@function("bill")
def bill(ctx: Any) -> None: ...


@pytest.fixture(autouse=True)
def no_worker_yet() -> Iterator[None]:
    used, calls = output._in_use[:], logging.Logger.callHandlers
    output._in_use[:] = []
    yield
    output._in_use[:] = used
    logging.Logger.callHandlers = calls  # type: ignore[method-assign]


@contextmanager
def fresh_logging() -> Iterator[None]:
    """No logging set up, as in a fresh process; `show_logs` called twice, as by two workers."""
    root, own, level = logging.root.handlers[:], logger.handlers[:], logger.level
    logging.root.handlers[:], logger.handlers[:] = [], []
    logger.setLevel(logging.NOTSET)
    try:
        show_logs()
        show_logs()
        yield
    finally:
        logging.root.handlers[:], logger.handlers[:] = root, own
        logger.setLevel(level)


def test_outside_a_notebook_all_is_seen_and_goes_on_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    seen = Seen(passes=True)
    PlainOutput().context(None, seen).run(print, "hello")
    assert seen.text[0] == ("stdout", "hello")
    assert capsys.readouterr().out == "hello\n"
    assert PlainOutput().room(None) == math.inf
    assert isinstance(output.default_sink(), PlainOutput)
    assert not isinstance(output.default_sink(), StreamOutput)


def test_a_note_outside_a_notebook_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        output.note(bill, "the branch records nothing")
        output.note(bill, "it broke", stream="error", level="ERROR")
    assert capsys.readouterr().err == "WARNING bill: the branch records nothing\nERROR bill: it broke\n"


def test_a_note_in_a_handler_is_not_kept_twice() -> None:
    seen = Seen()
    with fresh_logging():
        PlainOutput().context(None, seen).run(output.note, bill, "careful")
    assert (seen.records, seen.text) == ([], [])


def test_a_note_goes_to_the_sink_in_use_and_is_kept_with_its_run(tmp_path: Path) -> None:
    sink, store = Sink(), LogStore(tmp_path)
    output.use(sink, store)
    output.note(bill, "about the function")
    thread = threading.Thread(target=output.note, args=(bill, "waits"), kwargs={"run_id": "run_01", "attempt": 2})
    thread.start()
    thread.join()
    assert [(line.text, line.run_id, line.attempt, line.stream) for line in sink.notes] == [
        ("about the function", "", 0, "warning"),
        ("waits", "run_01", 2, "warning"),
    ]
    assert [line.text for line in store.read("run_01").lines] == ["waits"]
    assert not store.read("").found


def test_a_note_about_a_segment_is_its_runs(tmp_path: Path) -> None:
    sink, other = Sink(), Sink()
    output.use(other, LogStore(tmp_path))
    segment = Segment(assignment(run_id="run_01"), bill, announce=lambda _: None, output=segment_output(sink))
    output.note(segment, "careful", level="IronflowWarning", step="pay", step_id="s1")
    [line] = sink.notes
    assert (line.run_id, line.step, line.step_id, line.level) == ("run_01", "pay", "s1", "IronflowWarning")
    bare = Segment(assignment(run_id="run_02"), bill, announce=lambda _: None)
    output.note(bare, "careful")
    assert [line.run_id for line in other.notes] == ["run_02"]


def test_a_notebook_without_a_lab_shows_notes_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    line = LogLine(at=1, run_id="run_01", function_id="bill", text="no luck", stream="error", level="ERROR")
    StreamOutput().note(None, line, "failed")
    assert capsys.readouterr().err == "ERROR bill: no luck\n"
    assert StreamOutput().room(None) == output.SHOWN_PER_SEGMENT


def log_of(**more: Any) -> logging.LoggerAdapter[logging.Logger]:
    return logging.LoggerAdapter(logger, {"ironflow_function": "bill", "ironflow_run": "run_01", **more})


def test_logged_lines_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        log_of().info("charged %d", 5)
        log_of().debug("too fine")
    assert capsys.readouterr().err == "INFO bill: charged 5\n"


def test_where_logging_is_set_up_lines_are_left_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    seen = logging.Handler()
    records: list[logging.LogRecord] = []
    seen.emit = records.append  # type: ignore[method-assign,assignment]  # the smallest handler
    with fresh_logging():
        logging.root.addHandler(seen)
        log_of().warning("low stock")
    assert [record.getMessage() for record in records] == ["low stock"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("word", "shown"), [("debug", 2), ("error", 0), ("silent", 0), ("nonsense", 1)])
def test_the_level_comes_from_the_environment(word: str, shown: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRONFLOW_LOG_LEVEL", word)
    lines: list[str] = []
    monkeypatch.setattr(sys.stderr, "write", lines.append)
    with fresh_logging():
        log_of().debug("fine")
        log_of().info("coarse")
    assert len(lines) == shown
