"""Taps: what is written in a context is seen by its capture, and by no other."""

from __future__ import annotations

import asyncio
import contextvars
import io
import logging
import pickle
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

import pytest

from ironflow_lab.kernel import taps
from ironflow_lab.kernel.taps import StreamTap, TappedStream, capturing


class Seen:
    """A capture that remembers; what it returns goes on to the stream."""

    def __init__(self, *, passes: bool = False) -> None:
        self.passes = passes
        self.text: list[tuple[str, str]] = []
        self.records: list[str] = []
        self.warned: list[tuple[str, str, int]] = []

    @property
    def quiet(self) -> Quiet:
        return Quiet(self.passes)

    def write(self, stream: str, text: str) -> str:
        self.text.append((stream, text))
        return text if self.passes else ""

    def log(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())

    def warn(self, category: str, message: str, filename: str, line: int) -> None:
        self.warned.append((category, message, line))

    def display(self, data: Mapping[str, Any], *, update: bool) -> Mapping[str, Any] | None:
        return data


class Quiet(Seen):
    def __init__(self, passes: bool) -> None:
        super().__init__(passes=passes)


def within(seen: Seen) -> contextvars.Context:
    taps.install()
    context = contextvars.Context()
    context.run(capturing.set, seen)
    return context


@pytest.fixture(autouse=True)
def undo() -> Iterator[None]:
    """Leave loggers and warnings as they were; the streams are those of one test anyway."""
    filters, shown = warnings.filters[:], warnings.showwarning
    handlers, calls = logging.root.handlers[:], logging.Logger.callHandlers
    logging.root.handlers[:] = []
    warnings.simplefilter("default")
    warnings.showwarning = lambda *_: None
    yield
    logging.Logger.callHandlers = calls  # type: ignore[method-assign]
    logging.root.handlers[:] = handlers
    warnings.filters[:] = filters  # type: ignore[index]
    warnings.showwarning = shown


def test_a_context_is_seen_by_its_capture_only(capsys: pytest.CaptureFixture[str]) -> None:
    one, two, passing = Seen(), Seen(), Seen(passes=True)
    within(one).run(print, "one")
    within(two).run(sys.stderr.write, "two")
    within(two).run(sys.stdout.writelines, ["a", "b"])
    within(passing).run(print, "passes", end="")
    print("outside")
    assert one.text == [("stdout", "one"), ("stdout", "\n")]
    assert two.text == [("stderr", "two"), ("stdout", "a"), ("stdout", "b")]
    assert capsys.readouterr() == ("passesoutside\n", "")


def test_writing_returns_the_full_length_and_refuses_what_is_no_text() -> None:
    context = within(Seen())
    assert context.run(sys.stdout.write, "12345") == 5
    runs: list[Any] = [context.run, lambda call, *args: call(*args)]
    for run in runs:
        with pytest.raises(TypeError):
            run(sys.stdout.write, 5)


def test_installing_twice_taps_once_and_a_new_stream_is_tapped(monkeypatch: pytest.MonkeyPatch) -> None:
    taps.install()
    write, shown, filters = sys.stdout.write, warnings.showwarning, len(warnings.filters)
    taps.install()
    assert (sys.stdout.write, warnings.showwarning, len(warnings.filters)) == (write, shown, filters)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    taps.install()
    assert isinstance(sys.stdout.write, StreamTap)
    seen = Seen()
    within(seen).run(print, "x", end="")
    assert seen.text[0] == ("stdout", "x")


class Stream(io.StringIO):
    """A stream whose class is Python's, as that of a kernel is."""


@pytest.mark.parametrize("first", [True, False], ids=["tapped amid a cell", "tapped before"])
def test_a_tap_stays_in_front_of_what_a_cell_puts_there_and_back(monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    stream, teed = Stream(), list[str]()
    monkeypatch.setattr(sys, "stdout", stream)
    if not first:
        taps.install()
    before = stream.write

    def tee(text: str) -> int:
        teed.append(text)
        return before(text)

    stream.write = tee  # type: ignore[method-assign]
    seen = Seen()
    context = within(seen)
    context.run(stream.write, "amid")
    stream.write("cell")
    stream.write = before  # type: ignore[method-assign]
    context.run(stream.write, "behind")
    stream.write("after")
    assert ([text for _, text in seen.text], teed, stream.getvalue()) == (["amid", "behind"], ["cell"], "cellafter")
    assert isinstance(stream, Stream)
    assert repr(type(stream)) == repr(Stream)


def test_a_write_that_is_taken_away_again_leaves_the_streams_own_behind_the_tap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, seen = Stream(), Seen()
    monkeypatch.setattr(sys, "stdout", stream)
    context = within(seen)
    with mock.patch.object(stream, "write", len):
        stream.write("into nothing")
    context.run(stream.write, "seen")
    stream.write("own")
    assert (seen.text, stream.getvalue()) == ([("stdout", "seen")], "own")


def test_a_process_without_streams_has_none_to_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    taps.install()


def test_a_stream_that_cannot_be_changed_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        __slots__ = ("got",)

        def __init__(self) -> None:
            self.got: list[str] = []

        def write(self, text: str) -> int:
            self.got.append(text)
            return len(text)

    fixed = Fixed()
    monkeypatch.setattr(sys, "stdout", fixed)
    taps.install()
    stream: Any = sys.stdout
    assert isinstance(stream, TappedStream)
    seen = Seen()
    within(seen).run(stream.writelines, ["x"])
    stream.write("outside")
    assert (seen.text, fixed.got, stream.got) == ([("stdout", "x")], ["outside"], ["outside"])
    taps.install()
    assert sys.stdout is stream


def test_a_stream_that_writes_to_a_tapped_one_is_seen_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taps.install()
    base = sys.stdout

    class Tee(io.StringIO):
        def write(self, text: str) -> int:
            base.write(text)
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Tee())
    taps.install()
    seen = Seen(passes=True)
    within(seen).run(print, "x", end="")
    assert [one for one in seen.text if one[1]] == [("stdout", "x")]
    assert capsys.readouterr().out == "x"


def test_a_record_is_kept_once_whatever_handlers_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = io.StringIO()
    shop = logging.getLogger("shop")
    for stream in (sys.stdout, sys.stderr, elsewhere):
        logging.root.addHandler(logging.StreamHandler(stream))
    seen = Seen()
    within(seen).run(shop.warning, "low %s", "stock")
    within(seen).run(shop.debug, "not enabled")
    assert seen.records == ["low stock"]
    assert seen.text == []
    assert (*capsys.readouterr(), elsewhere.getvalue()) == ("", "", "low stock\n")
    shop.warning("outside")
    assert capsys.readouterr().err == "outside\n"
    passing = Seen(passes=True)
    within(passing).run(shop.warning, "goes on")
    assert passing.text == []
    assert capsys.readouterr().err == "goes on\n"


def test_a_record_that_names_its_capture_is_its_own_in_any_thread() -> None:
    taps.install()
    seen, other = Seen(), Seen()
    shop = logging.getLogger("shop")
    thread = threading.Thread(target=shop.warning, args=("x",), kwargs={"extra": {taps.KEEPER: seen}})
    thread.start()
    thread.join()
    within(other).run(lambda: shop.warning("y", extra={taps.KEEPER: seen}))
    assert (seen.records, other.records, other.text) == (["x", "y"], [], [])


def careful() -> None:
    warnings.warn("careful", UserWarning, stacklevel=1)


def test_a_warning_is_shown_in_every_run_and_once_outside(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [Seen() for _ in range(3)]
    for seen in runs:
        within(seen).run(careful)
        within(seen).run(careful)
    assert [[one[:2] for one in seen.warned] for seen in runs] == 3 * [2 * [("UserWarning", "careful")]]
    assert capsys.readouterr().err == ""
    with warnings.catch_warnings(record=True) as caught:
        careful()
        careful()
    assert len(caught) == 1


@pytest.mark.parametrize("action", ["ignore", "error", "always"])
def test_what_the_user_decided_about_warnings_holds(action: Any) -> None:
    seen = Seen()
    with warnings.catch_warnings():
        warnings.filterwarnings(action, message="care", category=UserWarning, module=__name__.replace(".", r"\."))
        taps.install()
        if action == "error":
            with pytest.raises(UserWarning):
                within(seen).run(careful)
        else:
            within(seen).run(careful)
            within(seen).run(careful)
    assert len(seen.warned) == (2 if action == "always" else 0)


def test_warnings_that_are_recorded_are_the_recorders(capsys: pytest.CaptureFixture[str]) -> None:
    seen = Seen()

    def recording() -> int:
        with warnings.catch_warnings(record=True) as caught:
            careful()
        return len(caught)

    assert within(seen).run(recording) == 1
    assert seen.warned == []


def test_a_warning_written_to_a_file_of_ones_own_is_not_the_runs() -> None:
    seen = Seen()
    within(seen).run(warnings.showwarning, UserWarning("x"), UserWarning, "f.py", 1, io.StringIO())
    assert seen.warned == []


def test_the_filter_can_be_sent_to_other_processes() -> None:
    sent = pickle.loads(pickle.dumps(list(warnings.filters)))  # noqa: S301 - made a line above
    assert len(sent) == len(warnings.filters)


def test_tasks_and_threads_of_a_context_belong_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(name: str) -> None:
        async def nested() -> None:
            await asyncio.sleep(0)
            print(f"{name} nested", end="")

        await asyncio.gather(nested(), asyncio.to_thread(print, f"{name} thread", end=""))

    async def main(runs: dict[str, Seen]) -> None:
        tasks = [asyncio.create_task(work(name), context=within(seen)) for name, seen in runs.items()]
        await asyncio.gather(*tasks)

    runs = {f"run{number}": Seen() for number in range(10)}
    asyncio.run(main(runs))
    for name, seen in runs.items():
        assert sorted(text for _, text in seen.text if text) == [f"{name} nested", f"{name} thread"]
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(
    bool(getattr(sys.flags, "thread_inherit_context", False)), reason="threads have their starter's context"
)
def test_a_thread_without_context_writes_where_it_did_before(capsys: pytest.CaptureFixture[str]) -> None:
    seen = Seen()

    def work() -> None:
        thread = threading.Thread(target=print, args=("free",))
        thread.start()
        thread.join()

    within(seen).run(work)
    assert seen.text == []
    assert capsys.readouterr().out == "free\n"
