"""The widget without a browser: its values, its messages, its feed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import traitlets

from ironflow_lab.errors import IronflowError
from ironflow_lab.history.pack import Chunk, Packer
from ironflow_lab.kernel import display
from ironflow_lab.widgets import bundle as built
from ironflow_lab.widgets import scrub
from ironflow_lab.widgets.scrub import OnChunk, OnNote, Scrubber, Stop
from tests.ui import scrub_runs

DATA = ("meta", "types", "lanes", "events", "spans", "patches")


class Feed:
    """A source of chunks that the test drives."""

    def __init__(self) -> None:
        self.begun = 0
        self.stopped = 0
        self.on_chunk: OnChunk = lambda _: None
        self.on_note: OnNote = lambda _text, _level: None

    def __call__(self, on_chunk: OnChunk, on_note: OnNote) -> Stop:
        self.begun += 1
        self.on_chunk, self.on_note = on_chunk, on_note
        return self._stop

    def _stop(self) -> None:
        self.stopped += 1


class Sent(list[tuple[dict[str, Any], list[bytes]]]):
    """What a widget sent to the browser as messages of its own."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [content for content, _ in self if content["kind"] == kind]


@pytest.fixture(autouse=True)
def _built(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # What the browser runs has its tests elsewhere; these need no Node to have been here.
    monkeypatch.setattr(scrub, "bundle", lambda name: f"export default {{}}; // {name}")
    yield
    Scrubber.close_all()


def watched(packer: Packer, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[Scrubber, Sent]:
    sent = Sent()

    def send(_self: Scrubber, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        sent.append((content, buffers or []))

    monkeypatch.setattr(Scrubber, "send", send)
    return Scrubber(packer, **more), sent


def receive(widget: Scrubber, **content: Any) -> None:
    widget._handle_custom_msg(content, [])


def whole(packer: Packer) -> dict[str, Any]:
    chunk = packer.chunk()
    return {name: getattr(chunk, name) for name in DATA}


def held(widget: Scrubber) -> dict[str, Any]:
    return {name: getattr(widget, name) for name in DATA}


def test_the_values_are_the_whole_run_and_the_cursor_is_at_its_end() -> None:
    packer = scrub_runs.packed(scrub_runs.story())
    widget = Scrubber(packer)
    assert held(widget) == whole(packer)
    assert (widget.t, widget.pins, widget.live) == (24, [-1, -1], False)
    assert repr(widget) == "<Scrubber of run_story: event 24 of 24>"


def test_nothing_secret_is_in_the_state_that_is_saved() -> None:
    widget = Scrubber(scrub_runs.packed(scrub_runs.story()))
    assert "tok_secret" not in str(widget.get_state())
    assert "[redacted]" in str(widget.get_state())


def test_large_values_are_not_in_the_state_and_come_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    widget, sent = watched(scrub_runs.packed(scrub_runs.heavy()), monkeypatch)
    assert len(str(widget.get_state())) < 10_000
    key = next(op[1]["key"] for ops in json.loads(widget.patches) for op in ops if len(op) == 3)
    receive(widget, kind="value", id="7", key=key)
    reply = sent.of("value")[0]
    assert (reply["id"], reply["key"], reply["found"]) == ("7", key, True)
    assert len(json.loads(reply["json"])["rows"]) == 43_000
    receive(widget, kind="value", id="8", key="nothing")
    assert sent.of("value")[1] == {"kind": "value", "id": "8", "key": "nothing", "found": False, "json": ""}


def test_the_cursor_may_come_out_of_a_frame() -> None:
    widget = Scrubber(scrub_runs.packed(scrub_runs.story()))
    widget.t = np.int64(6)
    assert (widget.t, type(widget.t)) == (6, int)
    for wrong in (1.5, "6", None, True):
        with pytest.raises(traitlets.TraitError):
            widget.t = wrong


@pytest.mark.parametrize("wrong", [-1, 25])
def test_the_cursor_stays_in_the_run(wrong: int) -> None:
    widget = Scrubber(scrub_runs.packed(scrub_runs.story()))
    with pytest.raises(traitlets.TraitError, match="0 to 24"):
        widget.t = wrong
    with pytest.raises(traitlets.TraitError, match="0 to 24"):
        widget.pins = [0, wrong - 1 if wrong < 0 else wrong]
    widget.pins = [-1, 24]
    assert (widget.t, widget.pins) == (24, [-1, 24])


def test_chunks_go_to_the_browser_and_into_the_values_when_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    events, feed = scrub_runs.story(), Feed()
    packer = scrub_runs.packed(events[:5])
    widget, sent = watched(packer, monkeypatch, follow=feed, live=True)
    assert (feed.begun, widget.live) == (1, True)
    for piece in scrub_runs.pieces(events[5:], 4):
        assert widget.live
        feed.on_chunk(packer.add(piece))
    chunks = sent.of("chunk")
    assert [chunk["first"] for chunk in chunks] == [5, 9, 13, 17, 21]
    assert all(len(buffers) == 2 for content, buffers in sent if content["kind"] == "chunk")
    assert (widget.live, feed.stopped) == (False, 1)
    assert held(widget) == whole(packer)
    widget.live = True
    assert (widget.live, feed.begun) == (False, 1), "there is nothing left to follow"


def test_a_person_who_scrubs_back_leaves_live_and_can_return(monkeypatch: pytest.MonkeyPatch) -> None:
    events, feed = scrub_runs.story(), Feed()
    packer = scrub_runs.packed(events[:5])
    widget, _ = watched(packer, monkeypatch, follow=feed)
    receive(widget, kind="live", on=True)
    receive(widget, kind="live", on=True)
    feed.on_chunk(packer.add(events[5:9]))
    receive(widget, kind="live", on=False)
    assert (feed.begun, feed.stopped, widget.live) == (1, 1, False)
    assert held(widget) == whole(packer)
    receive(widget, kind="live", on=True)
    assert (feed.begun, widget.live) == (2, True)
    widget.close()
    assert feed.stopped == 2


def test_a_view_opened_in_the_middle_gets_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    events, feed = scrub_runs.story(), Feed()
    packer = scrub_runs.packed(events[:5])
    widget, _ = watched(packer, monkeypatch, follow=feed, live=True)
    for piece in scrub_runs.pieces(events[5:17], 3):
        feed.on_chunk(packer.add(piece))
    receive(widget, kind="whole")
    assert held(widget) == whole(packer)
    assert widget.live


def test_without_a_feed_live_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    widget, sent = watched(scrub_runs.packed(scrub_runs.story()[:5]), monkeypatch)
    widget.live = True
    assert not widget.live
    assert "cannot follow" in sent.of("note")[0]["text"]


def test_notes_reach_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed()
    _, sent = watched(scrub_runs.packed(scrub_runs.story()[:5]), monkeypatch, follow=feed, live=True)
    feed.on_note("the server does not answer", "warning")
    assert sent.of("note") == [{"kind": "note", "text": "the server does not answer", "level": "warning"}]


def test_chunks_from_one_thread_and_messages_from_another_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    events, feed = scrub_runs.long(600), Feed()
    packer = scrub_runs.packed(events[:10])
    widget, _ = watched(packer, monkeypatch, follow=feed, live=True)

    def feeding() -> None:
        for piece in scrub_runs.pieces(events[10:], 7):
            feed.on_chunk(packer.add(piece))

    thread = threading.Thread(target=feeding)
    thread.start()
    while thread.is_alive():
        receive(widget, kind="whole")
    thread.join()
    assert held(widget) == whole(packer)


def test_shown_it_is_the_view_and_a_static_output_that_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    updated: list[dict[str, Any]] = []

    class Handle:
        def update(self, bundle: dict[str, Any]) -> None:
            updated.append(bundle)

    def show(bundle: dict[str, Any]) -> Handle:
        shown.append(bundle)
        return Handle()

    monkeypatch.setattr(display, "show", show)
    events, feed = scrub_runs.story(), Feed()
    packer = scrub_runs.packed(events[:5])
    widget, _ = watched(packer, monkeypatch, follow=feed, live=True)
    widget._ipython_display_()
    assert "application/vnd.jupyter.widget-view+json" in shown[0]
    assert set(shown[1]) == {"text/html", "text/plain"}
    assert "ship" not in shown[1]["text/html"]
    feed.on_chunk(packer.add(events[5:]))
    assert "ship" in updated[-1]["text/html"]


def test_a_view_that_was_not_built_says_how_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(built, "_FOLDER", tmp_path)
    built.bundle.cache_clear()
    with pytest.raises(IronflowError, match=r"labextension/build\.py"):
        built.bundle("scrub")


def test_an_empty_run_and_one_of_one_event_can_be_shown() -> None:
    assert Scrubber(Packer("run_none", "f")).t == 0
    assert Scrubber(scrub_runs.packed(scrub_runs.story()[:1])).t == 1
    assert isinstance(Packer("run_none", "f").chunk(), Chunk)
