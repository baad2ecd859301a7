"""Breakpoints of a replay: it stands in the user's own frame, at the call of a step or where the handler raises."""

from __future__ import annotations

import pdb
import sys
import time
from collections.abc import Iterable
from os import environ
from types import FrameType, TracebackType
from typing import Any

from ironflow_lab.debug import gate, places
from ironflow_lab.debug.calls import Call
from ironflow_lab.errors import DefinitionError
from ironflow_lab.history.redaction import clip
from ironflow_lab.kernel import debugger, session

ERROR = "error"
MOST_SHOWN = 8
LONGEST_LABEL = 60
NO_DEBUGGER = (
    "it did not stop: no debugger is attached to this kernel; switch it on (the bug icon in the notebook's toolbar)"
    " and replay again"
)
REFUSED = "it did not stop: this debugger cannot be told to ({}); set a breakpoint in the margin of the cell instead"
SWITCHED_OFF = "it did not stop: PYTHONBREAKPOINT=0 switches breakpoints off"
# Stepping into what a step call does would end in these.
_SKIPPED = ("ironflow_lab.*", "asyncio.*", "threading", "contextlib", "contextvars", "concurrent.*")


class Stopper:
    """Stands at the breakpoints of one replay; made by `stopper`, used in the handler's thread.

    Call it with every step call and the user's frame, and `failed` once when the handler raised.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        self.wanted = tuple(dict.fromkeys(wanted))
        self.stops = 0
        self._stood = 0.0
        self._since: float | None = None
        self._met: set[str] = set()
        self._seen: dict[str, None] = {}
        self._told: dict[str, None] = {}
        self._quit = False

    def __call__(self, call: Call, frame: FrameType | None) -> None:
        """Stand at a step's call, if one of the names is its label, its name or its id."""
        self._seen.setdefault(call.label)
        met = {call.label, call.name, call.step_id}.intersection(self.wanted)
        self._met |= met
        if not met:
            return
        if frame is None:
            self._tell(f"it did not stop at step {_short(call.label)}: it is asked for by a task without your code")
            return
        self._stand(frame, None)

    def failed(self, error: BaseException) -> None:
        """Stand where the handler raised, if `"error"` is a breakpoint; needs the error's traceback."""
        if ERROR not in self.wanted:
            return
        self._met.add(ERROR)
        frame = _raised_in(error.__traceback__)
        if frame is None:
            self._tell("it did not stop at the error: no line of your code raised it")
        else:
            self._stand(frame, error)

    @property
    def seconds(self) -> float:
        """How long it has stood, the stop under way included."""
        since = self._since
        return self._stood + (0.0 if since is None else time.perf_counter() - since)

    @property
    def notes(self) -> tuple[str, ...]:
        """Why it did not stop where it was asked to, in words; for the end of the replay."""
        missing = [name for name in self.wanted if name not in self._met]
        return (*self._told, *(self._unmet(name) for name in missing))

    def _unmet(self, name: str) -> str:
        if name == ERROR:
            return "it did not stop at an error: the handler raised none"
        seen = [_short(label) for label in list(self._seen)[:MOST_SHOWN]]
        more = len(self._seen) - len(seen)
        asked = ", ".join(seen) + (f" and {more} more" if more else "")
        return f"it did not stop at {_short(name)}: the code asked for " + (asked or "no step")

    def _stand(self, frame: FrameType, error: BaseException | None) -> None:
        if self._quit:
            return
        self._since = time.perf_counter()
        try:
            self.stops += self._stop(frame, error)
        finally:
            self._stood, self._since = self.seconds, None

    def _stop(self, frame: FrameType, error: BaseException | None) -> bool:
        with gate.lift():
            if debugger.attached():
                return self._in_debugger(frame, error)
            if session.in_kernel():
                self._tell(NO_DEBUGGER)
                return False
            return self._in_terminal(frame, error)

    def _in_debugger(self, frame: FrameType, error: BaseException | None) -> bool:
        try:
            return debugger.stop(frame) if error is None else debugger.stop_at_error(frame, error)
        except Exception as refused:  # noqa: BLE001 - another version of the debugger; the replay goes on
            self._tell(REFUSED.format(type(refused).__name__))
            return False

    def _in_terminal(self, frame: FrameType, error: BaseException | None) -> bool:
        """Stand in what `breakpoint()` would start here."""
        chosen = environ.get("PYTHONBREAKPOINT", "")
        if sys.breakpointhook is sys.__breakpointhook__ and chosen == "0":
            self._tell(SWITCHED_OFF)
            return False
        if sys.breakpointhook is sys.__breakpointhook__ and chosen in ("", "pdb.set_trace"):
            self._quit = _pdb(frame, error)
        else:
            _hook(frame)
        return True

    def _tell(self, note: str) -> None:
        self._told.setdefault(note)

    def __repr__(self) -> str:
        return f"Stopper({', '.join(map(_short, self.wanted))}, stops={self.stops})"


def stopper(break_at: object) -> Stopper | None:
    """Return what stands at the named steps, None for none.

    `break_at` is a step's label, name or id, or `"error"`: where the handler raises; or several of them.
    Raises `DefinitionError`.
    """
    if break_at is None:
        return None
    several = isinstance(break_at, Iterable) and not isinstance(break_at, str)
    wanted: list[Any] = list(break_at) if several else [break_at]  # type: ignore[call-overload]
    if not wanted or not all(isinstance(name, str) and name for name in wanted):
        raise DefinitionError(f'break_at= takes names of steps or "error", not {clip(repr(break_at), limit=60)}')
    return Stopper(wanted)


def _short(name: str) -> str:
    return repr(clip(name, limit=LONGEST_LABEL))


def _raised_in(trace: TracebackType | None) -> FrameType | None:
    """Return the innermost frame of the user's in a traceback."""
    found = None
    while trace is not None:
        if not places.is_library(trace.tb_frame.f_code.co_filename):
            found = trace.tb_frame
        trace = trace.tb_next
    return found


def _pdb(frame: FrameType, error: BaseException | None) -> bool:
    """Stand in the terminal's debugger; return whether the user quit it: the replay goes on then."""
    shown = pdb.Pdb(skip=_SKIPPED, nosigint=True)
    shown.reset()
    if error is not None:
        # The last frame of the traceback is what it shows.
        shown.interaction(None, debugger.until(error.__traceback__, frame))
        return bool(shown.quitting)
    shown.interaction(frame, None)
    if shown.quitting or shown.stoplineno == -1:
        return bool(shown.quitting)
    # `next` and the like: the frame is traced from where it stands.
    outer: FrameType | None = frame
    while outer is not None:
        outer.f_trace = shown.trace_dispatch
        shown.botframe = outer
        outer = outer.f_back
    sys.settrace(shown.trace_dispatch)
    return False


def _hook(frame: FrameType) -> None:
    """Call the user's own breakpoint hook as if the frame's line did."""
    code = compile("\n" * (frame.f_lineno - 1) + "__breakpoint__()", frame.f_code.co_filename, "eval")
    local: dict[str, Any] = {**frame.f_locals, "__breakpoint__": sys.breakpointhook}
    eval(code, frame.f_globals, local)  # noqa: S307 - the text is ours
