"""What a segment writes, as lines of its run: whole, attributed, masked and bounded."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.models.workers import JobContext
from ironflow_lab.runtime import capture, faults
from ironflow_lab.runtime.attempt import Attempt
from ironflow_lab.runtime.capture import MASK, SegmentOutput
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.logs import LogLine, LogStore
from ironflow_lab.runtime.outcome import Completed, Failed, Yielded
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import assignment
from tests.unit.runtime.faketime import START, FakeClock


class Sink:
    """Remembers what it is told."""

    def __init__(self, room: float = 0) -> None:
        self._room = room
        self.lines: list[LogLine] = []
        self.notes: list[LogLine] = []
        self.states: list[str] = []

    def context(self, place: object, capture: Any) -> contextvars.Context:
        return contextvars.Context()

    def room(self, place: object) -> float:
        return self._room

    def line(self, place: object, line: LogLine, state: str) -> None:
        self.lines.append(line)

    def note(self, place: object, line: LogLine, state: str) -> None:
        self.notes.append(line)

    def state(self, place: object, function_id: str, run_id: str, state: str) -> None:
        self.states.append(state)

    def texts(self) -> list[str]:
        return [line.text for line in self.lines]


@function("bill")
def bill(ctx: Any) -> None: ...


def output(sink: Sink, *, store: LogStore | None = None, **secrets: str) -> SegmentOutput:
    job = assignment(function_id="bill", run_id="run_01", context=JobContext(secrets=secrets))
    return SegmentOutput(job, bill, sink=sink, store=store, clock=FakeClock())


@pytest.fixture
def sink() -> Sink:
    return Sink()


def test_pieces_become_lines_when_their_end_is_written(sink: Sink) -> None:
    out = output(sink)
    for piece in ("a", " ", "b", "\n", "c\nd\n\ne"):
        out.write("stdout", piece)
    assert sink.texts() == ["a b", "c", "d", ""]
    out.end("completed")
    assert sink.texts() == ["a b", "c", "d", "", "e"]
    first = sink.lines[0]
    assert (first.run_id, first.function_id, first.attempt, first.stream) == ("run_01", "bill", 1, "stdout")
    assert (first.step, first.step_id, first.level, first.data) == ("", "", "", None)
    assert START < first.at < START + 10**9


def test_streams_steps_and_threads_do_not_run_into_each_other(sink: Sink) -> None:
    out = output(sink)
    out.write("stdout", "handler")
    out.write("stderr", "error")
    segment = Segment(assignment(function_id="bill"), bill, announce=lambda _: None)

    def body() -> None:
        attempt = Attempt(segment, "s1", "pay", FakeClock())
        out.write("stdout", "body")
        out.write("stdout", "\n")
        attempt.leave()

    context = contextvars.copy_context()
    context.run(body)
    thread = threading.Thread(target=out.write, args=("stdout", "thread\n"))
    thread.start()
    thread.join()
    for stream in ("stdout", "stderr"):
        out.write(stream, "\n")
    assert [(line.text, line.stream, line.step, line.step_id) for line in sink.lines] == [
        ("body", "stdout", "pay", "s1"),
        ("thread", "stdout", "", ""),
        ("handler", "stdout", "", ""),
        ("error", "stderr", "", ""),
    ]


def test_a_progress_bar_leaves_its_last_state(sink: Sink) -> None:
    out = output(sink)
    for percent in range(101):
        out.write("stderr", f"\r{percent}%|####")
    out.write("stderr", "\n")
    out.write("stdout", "windows\r\n")
    assert sink.texts() == ["100%|####", "windows"]


def test_a_line_without_end_is_kept_in_parts(sink: Sink) -> None:
    out = output(sink)
    for _ in range(100):
        out.write("stdout", "x" * 1000)
    assert sum(map(len, sink.texts())) > 80_000
    out.end("completed")
    assert "".join(sink.texts()) == "x" * 100_000
    assert max(map(len, sink.texts())) <= capture.LONGEST_LINE + 1000


def test_a_printed_megabyte_is_few_lines(sink: Sink, tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    out = output(sink, store=store)
    out.write("stdout", "".join(f"line {number}\n" for number in range(100_000)))
    assert len(sink.lines) == capture.MOST_LINES + 1
    assert sink.texts()[0] == "… (95,904 lines left out)"
    assert sink.texts()[-1] == "line 99999"
    assert store.read("run_01").lines[-1].text == "line 99999"


def test_secrets_are_masked_whole_in_parts_and_as_they_are_quoted(sink: Sink) -> None:
    key = "-----BEGIN-----\nabcdef&'12345\n-----END-----"
    out = output(sink, token="tok_123456", key=key, short="abc")

    def print_(*parts: str) -> None:
        for part in parts:
            out.write("stdout", part)

    print_("token", " ", "tok_", "123456", "\n")
    print_(key, "\n", repr({"key": key}), "\n", "abcdef&amp;&#x27;12345", "\n", "abc stays", "\n")
    out.write("stdout", "x" * (capture.LONGEST_LINE - 2) + "tok_")
    out.write("stdout", "123456 end\n")
    out.log(logging.LogRecord("shop", logging.INFO, "f.py", 1, "with %s", ("tok_123456",), None))
    out.warn("UserWarning", "of tok_123456", "f.py", 3)
    shown = out.display({"text/plain": "tok_123456", "application/json": {"a": ["tok_123456", 1]}}, update=False)
    out.note("note tok_123456", stream="error", level="ERROR")
    text = "".join(line.text for line in [*sink.lines, *sink.notes])
    for part in ("tok_123456", "tok_", "abcdef", "BEGIN"):
        assert part not in text
    assert "abc stays" in text
    assert text.count(MASK) >= 9
    assert shown == {"text/plain": MASK, "application/json": {"a": [MASK, 1]}}


def test_what_goes_on_to_the_stream_is_masked_and_has_its_bound() -> None:
    out = output(Sink(room=20), token="tok_123456")
    assert out.write("stdout", "my tok_123456\n") == f"my {MASK}\n"
    cut = out.write("stdout", "x" * 30)
    assert cut.startswith("x" * 13 + "\n… output cut after ")
    assert "lab.worker.logs('run_01')" in cut
    assert out.write("stdout", "more") == ""
    assert output(Sink(room=math.inf)).write("stdout", "x" * 10**6) == "x" * 10**6
    assert output(Sink(room=0)).write("stdout", "x") == ""


def test_what_is_shown_elsewhere_is_not_kept_twice(sink: Sink) -> None:
    sink._room = math.inf
    out = output(sink)
    assert out.quiet.write("stderr", "again\n") == "again\n"
    out.quiet.log(logging.makeLogRecord({"msg": "again"}))
    out.quiet.warn("UserWarning", "again", "f.py", 1)
    assert out.quiet.quiet is out.quiet
    assert sink.lines == []


def test_records_have_their_level_their_logger_and_their_traceback(sink: Sink) -> None:
    out = output(sink)
    try:
        raise KeyError("absent")
    except KeyError as error:
        info = (KeyError, error, error.__traceback__)
    out.log(logging.LogRecord("shop", logging.ERROR, "f.py", 1, "bad %s", ("x",), info))
    out(logging.LogRecord("ironflow_lab.run", logging.INFO, "f.py", 1, "own", (), None))
    out.log(logging.LogRecord("shop", logging.INFO, "f.py", 1, "wrong %d", ("x",), None))
    first, second, third = sink.lines
    assert (first.stream, first.level) == ("log", "ERROR")
    assert first.text.startswith("shop: bad x\n")
    assert "KeyError" in first.text
    assert "test_capture.py" in first.text
    assert (second.text, second.level) == ("own", "INFO")
    assert third.text == "shop: wrong %d"


@pytest.mark.parametrize(
    ("file", "where"),
    [("/tmp/ipykernel_77/123.py", "line 3"), ("/home/me/shop.py", "shop.py:3"), ("<stdin>", "line 3")],
)
def test_a_warning_says_where(file: str, where: str, sink: Sink) -> None:
    output(sink).warn("FutureWarning", "soon", file, 3)
    [line] = sink.lines
    assert (line.text, line.stream, line.level) == (f"soon ({where})", "warning", "FutureWarning")


def test_displays_are_kept_and_bounded(sink: Sink) -> None:
    out = output(sink)
    bundle = {"text/plain": "<Figure>", "image/png": "aGVsbG8="}
    assert out.display(bundle, update=False) == bundle
    [line] = sink.lines
    assert (line.text, line.stream, line.data) == ("<Figure>", "display", bundle)
    large = {"image/png": "x" * (capture.LARGEST_DISPLAY + 1)}
    assert out.display(large, update=False) is None
    assert sink.lines[1].text == "(image/png) (not shown: 2,097,153 characters)"
    middle = {"image/png": "x" * (capture.KEPT_DISPLAY + 1)}
    assert out.display(middle, update=False) == middle
    assert sink.lines[2].data is None
    shown = [out.display(bundle, update=False) for _ in range(30)]
    assert len([one for one in shown if one]) == capture.MOST_DISPLAYS - 3
    assert "not shown: the segment's display number 33" in sink.texts()[-1]
    updates = [out.display(bundle, update=True) for _ in range(300)]
    assert len([one for one in updates if one]) == capture.MOST_UPDATES
    assert len(sink.lines) == 33


def test_a_failure_is_told_with_its_remedy_and_kept(sink: Sink, tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    segment = Segment(assignment(run_id="run_01"), bill, announce=lambda _: None, output=output(sink, store=store))
    assert segment.output is not None
    segment.output.write("stdout", "last words")
    error = ValueError("no luck")
    segment.conclude(Failed(fault=faults.job_fault(error)), error)
    [note] = sink.notes
    assert (note.stream, note.level) == ("error", "ERROR")
    assert "no luck" in note.text
    assert "bill" in note.text
    assert sink.states == ["failed"]
    assert [line.text for line in store.read("run_01").lines] == ["last words", note.text]


def test_a_run_says_how_it_stands(sink: Sink) -> None:
    for outcome in (Completed(output=b"1"), Yielded(wanted=None)):  # type: ignore[arg-type]  # enough of an outcome
        out = output(sink)
        out.begin()
        out.conclude(outcome, None)
    assert sink.states == ["executing", "completed", "executing", "waiting"]
    assert sink.notes == []


def test_only_the_first_outcome_is_told_and_none_of_a_segment_that_was_given_up(sink: Sink) -> None:
    segment = Segment(assignment(), bill, announce=lambda _: None, output=output(sink))
    segment.conclude(Completed(output=b"1"))  # type: ignore[arg-type]  # enough of an outcome
    segment.conclude(Failed(fault=faults.job_fault(ValueError("late"))), ValueError("late"))
    assert (sink.states, sink.notes) == (["completed"], [])
    given_up = Segment(assignment(), bill, announce=lambda _: None, output=output(sink))
    given_up.abandoned = True
    given_up.conclude(Completed(output=b"1"))  # type: ignore[arg-type]  # enough of an outcome
    assert sink.states == ["completed"]


def test_a_segment_ends_whatever_its_error_is(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> str:
        raise RuntimeError("cannot tell")

    told: list[Segment] = []
    segment = Segment(assignment(), bill, announce=told.append, output=output(sink))
    monkeypatch.setattr(faults, "told", broken)
    segment.conclude(Failed(fault=faults.job_fault(ValueError("no luck"))), ValueError("no luck"))
    assert told == [segment]
    assert sink.notes[0].text == "ValueError: no luck"
    other = Segment(assignment(), bill, announce=told.append, output=output(sink))
    monkeypatch.setattr(sink, "state", broken)
    with pytest.raises(RuntimeError):
        other.conclude(Completed(output=b"1"))  # type: ignore[arg-type]  # enough of an outcome
    assert told == [segment, other]


def test_warnings_of_earlier_runs_of_the_same_code_are_forgotten(sink: Sink) -> None:
    bill.handler.__globals__["__warningregistry__"] = {("seen", UserWarning, 1): True}
    output(sink).begin()
    assert "__warningregistry__" not in bill.handler.__globals__
