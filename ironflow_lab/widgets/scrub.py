"""Time travel through one run: everything is in the browser, the kernel hears where the cursor rests."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from threading import RLock
from typing import Any

import anywidget
import traitlets

from ironflow_lab.history.pack import Chunk, Packer
from ironflow_lab.kernel import display
from ironflow_lab.widgets import static_form
from ironflow_lab.widgets.bundle import bundle

OnChunk = Callable[[Chunk], None]
OnNote = Callable[[str, str], None]
Stop = Callable[[], None]
Follow = Callable[[OnChunk, OnNote], Stop]
"""Begins to follow a run: calls the first with every new chunk, the second with a note and its level.

Both may be called from any thread. What it returns ends the following, may be called twice, and also
from within one of the two; once it has returned otherwise, the packer is left alone.
"""
_SPAN_BYTES = 24
_NO_FEED = "This view cannot follow the run: it was made from what was recorded so far."


class _Position(traitlets.Int[int, Any]):
    """A whole number of any kind, those out of a DataFrame included."""

    def validate(self, obj: Any, value: Any) -> int:
        if isinstance(value, bool):
            self.error(obj, value)
        try:
            value = index(value)
        except TypeError:
            self.error(obj, value)
        found: int = super().validate(obj, value)
        return found


class Scrubber(anywidget.AnyWidget):
    """A view of a packed run. `t` is the cursor (0 to the number of events), set by Python or by hand.

    `pins` are two positions (-1: not set), `path` is the selected path as JSON text, `speed` the speed of
    playing (0: event by event), `live` whether the end of a running run is followed. Only what `Packer`
    packed is kept in the widget's state: redacted and capped.
    """

    meta = traitlets.Dict().tag(sync=True)
    types: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)
    lanes: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)
    events = traitlets.Bytes().tag(sync=True)
    spans = traitlets.Bytes().tag(sync=True)
    patches = traitlets.Unicode("[]").tag(sync=True)
    t = _Position(0, help="the cursor: after how many events").tag(sync=True)
    pins = traitlets.List(traitlets.Int(), default_value=[-1, -1], minlen=2, maxlen=2).tag(sync=True)
    path = traitlets.Unicode("").tag(sync=True)
    live = traitlets.Bool(default_value=False).tag(sync=True)
    speed = traitlets.Float(1.0, min=0.0).tag(sync=True)

    def __init__(self, packer: Packer, *, follow: Follow | None = None, live: bool = False) -> None:
        self._esm = bundle("scrub")
        self._packer = packer
        self._follow = follow
        self._stop: Stop | None = None
        self._static: display.Live | None = None
        self._lock = RLock()
        self._chunks = [packer.chunk()]
        super().__init__(t=packer.history.length, **_traits(self._chunks))
        self.on_msg(self._received)
        self.observe(self._on_live, "live")
        if live:
            self.live = True

    def __repr__(self) -> str:
        run_id = self._packer.history.run_id
        return f"<Scrubber of {run_id}: event {self.t} of {self._packer.history.length}>"

    def static(self) -> dict[str, str]:
        """Return the static form as a mime bundle: HTML and text, as the run is known now."""
        chunk, history = self._packer.chunk(), self._packer.history
        last = history.at_position(history.length)
        return {"text/html": static_form.html(chunk, last), "text/plain": static_form.text(chunk, last)}

    def close(self) -> None:
        """Stop following and take the view away; its static form stays."""
        self._end_feed()
        super().close()

    def _ipython_display_(self) -> None:
        # A separate output: a saved notebook without widget state shows an error in place of the view.
        view = self._repr_mimebundle_()
        if view is not None:
            display.show(view[0])
        self._static = display.show(self.static())

    @traitlets.validate("t")
    def _valid_t(self, proposal: dict[str, Any]) -> int:
        length = self._packer.history.length
        if not 0 <= proposal["value"] <= length:
            raise traitlets.TraitError(f"t is a position from 0 to {length}, not {proposal['value']}")
        return int(proposal["value"])

    @traitlets.validate("pins")
    def _valid_pins(self, proposal: dict[str, Any]) -> list[int]:
        length = self._packer.history.length
        if not all(-1 <= pin <= length for pin in proposal["value"]):
            raise traitlets.TraitError(f"pins are positions from 0 to {length}, or -1, not {proposal['value']}")
        return list(proposal["value"])

    def _received(self, _: Any, content: dict[str, Any], __: list[bytes]) -> None:
        kind = content.get("kind")
        if kind == "value":
            self._answer(str(content.get("id", "")), str(content.get("key", "")))
        elif kind == "live":
            self.live = bool(content.get("on"))
        elif kind == "whole":
            # A view that was opened in the middle of live mode has missed what was sent before.
            self._settle()

    def _answer(self, request: str, key: str) -> None:
        reply: dict[str, Any] = {"kind": "value", "id": request, "key": key}
        try:
            reply |= {"found": True, "json": self._packer.value_text(key)}
        except KeyError:
            reply |= {"found": False, "json": ""}
        self.send(reply)

    def _on_live(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self._begin_feed()
        else:
            self._end_feed()
            self._settle()
            if self._static is not None:
                self._static.update(self.static())

    def _begin_feed(self) -> None:
        if self._follow is None or self.meta["ended"]:
            self._noted("The run has ended." if self.meta["ended"] else _NO_FEED, "info")
            self.live = False
            return
        with self._lock:
            if self._stop is None:
                self._stop = self._follow(self._chunk_came, self._noted)

    def _end_feed(self) -> None:
        with self._lock:
            stop, self._stop = self._stop, None
        # Outside the lock: it may wait for the thread that is about to bring a chunk.
        if stop is not None:
            stop()

    def _chunk_came(self, chunk: Chunk) -> None:
        with self._lock:
            self._chunks.append(chunk)
        self.send({"kind": "chunk", **chunk.content()}, buffers=list(chunk.buffers))
        if chunk.meta["ended"]:
            self.live = False

    def _noted(self, text: str, level: str = "info") -> None:
        self.send({"kind": "note", "text": text, "level": level})

    def _settle(self) -> None:
        """Have the synced values hold all that is known, so that a saved notebook does."""
        with self._lock, self.hold_sync():
            for name, value in _traits(self._chunks).items():
                self.set_trait(name, value)


def _traits(chunks: list[Chunk]) -> dict[str, Any]:
    last = chunks[-1]
    events, spans, operations = bytearray(), bytearray(), []
    for chunk in chunks:
        spans[chunk.spans_first * _SPAN_BYTES :] = chunk.spans
        events += chunk.events
        operations += [chunk.patches[1:-1]] if chunk.events else []
    patches = "[" + ",".join(operations) + "]"
    found = {"meta": last.meta, "types": last.types, "lanes": last.lanes, "patches": patches}
    return found | {"events": bytes(events), "spans": bytes(spans)}
