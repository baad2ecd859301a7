"""The process's streams, loggers and warnings, tapped: what is written in a context goes to its capture first.

A tap is set once and does nothing in a context without a capture. Seen are writes through
`sys.stdout` and `sys.stderr` as Python objects, whoever holds them, records of loggers and
`warnings.warn`. Not seen are writes of C code and of subprocesses, and what a thread writes that
was started without its starter's context (a plain `threading.Thread`, `loop.run_in_executor`): that
goes where it would have gone without us, never to another run. A cell that puts another stream in
the place of `sys.stdout` (`%%capture`, `redirect_stdout`) gets what handlers write meanwhile that
began before. IPython puts a `write` of its own into the streams while a cell executes and the old one
back when it ends, hence a tap that stays in front of whatever `write` is set.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any, Protocol


class Capture(Protocol):
    """What sees the output of a context first; `quiet` is in its place while a seen line is shown elsewhere."""

    @property
    def quiet(self) -> Capture:
        """A capture that shows what this one would show, and keeps nothing."""
        ...

    def write(self, stream: str, text: str) -> str:
        """Take text written to "stdout" or "stderr" and return the part that is to be written there."""
        ...

    def log(self, record: logging.LogRecord) -> None:
        """Take a record that its logger lets pass."""
        ...

    def warn(self, category: str, message: str, filename: str, line: int) -> None:
        """Take a warning that the filters let pass."""
        ...

    def display(self, data: Mapping[str, Any], *, update: bool) -> Mapping[str, Any] | None:
        """Take a mime bundle and return what is to be displayed, if anything."""
        ...


capturing: ContextVar[Capture | None] = ContextVar("ironflow_lab_output", default=None)

# A record has it where it belongs to a run whatever thread logs it (see `runtime.context`).
KEEPER = "ironflow_keep"


class StreamTap:
    """The `write` of a stream, seen by the context's capture."""

    __slots__ = ("_name", "_write")

    def __init__(self, name: str, write: Callable[[str], int]) -> None:
        self._name = name
        self._write = write

    def before(self, write: Callable[[str], int]) -> StreamTap:
        """Return a tap of the same name in front of another `write`."""
        return StreamTap(self._name, write)

    def __call__(self, text: str) -> int:
        """Write the text, or what the capture leaves of it; return its full length."""
        current = capturing.get()
        if current is None or not isinstance(text, str):
            return self._write(text)
        shown = current.write(self._name, text)
        if shown:
            # The stream may write to another one that is tapped too.
            token = capturing.set(None)
            try:
                self._write(shown)
            finally:
                capturing.reset(token)
        return len(text)


def install() -> None:
    """Tap the present streams, the loggers and the warnings; cheap where that is done."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        write = getattr(stream, "write", None)
        if write is not None and type(write) is not StreamTap:
            _tap(name, stream, StreamTap(name, write))
    if logging.Logger.callHandlers is not _call_handlers:
        logging.Logger.callHandlers = _call_handlers  # type: ignore[method-assign]
    if not warnings.filters or warnings.filters[0] is not _PER_RUN:
        _tap_warnings()


def _tap(name: str, stream: Any, tap: StreamTap) -> None:
    with contextlib.suppress(TypeError, AttributeError):
        # In this order: other threads write meanwhile. A class in C lets no instance go; in its streams a tap
        # that was set while IPython's `write` stands is taken out with it.
        stream._ironflow_tap = tap
        kind: Any = type(stream)
        stream.__class__ = _tapped(kind)
    try:
        stream.write = tap
    except AttributeError:
        setattr(sys, name, TappedStream(stream, tap))


@cache
def _tapped(kind: Hashable) -> Any:
    """Return a class of streams like the class `kind` in which a `write` that is set stands behind the tap."""
    base: Any = kind

    class Tapped(base):  # type: ignore[misc]
        _ironflow_tap: StreamTap

        @property
        def write(self) -> StreamTap:
            return self._ironflow_tap

        @write.setter
        def write(self, write: Any) -> None:
            self._ironflow_tap = write if type(write) is StreamTap else self._ironflow_tap.before(write)

        @write.deleter
        def write(self) -> None:
            self._ironflow_tap = self._ironflow_tap.before(base.write.__get__(self))

    Tapped.__name__, Tapped.__qualname__, Tapped.__module__ = base.__name__, base.__qualname__, base.__module__
    return Tapped


class TappedStream:
    """A stream that lets nobody set its `write`, tapped from outside."""

    def __init__(self, stream: Any, write: StreamTap) -> None:
        self._stream = stream
        self.write = write

    def writelines(self, lines: Any) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return the stream's own attribute."""
        return getattr(self._stream, name)


_handlers_called = logging.Logger.callHandlers


def _call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
    keep = record.__dict__.get(KEEPER) or capturing.get()
    if keep is None:
        _handlers_called(self, record)
        return
    keep.log(record)
    # A handler that writes to a tapped stream shows the record, and it is not kept a second time.
    token = capturing.set(keep.quiet)
    try:
        _handlers_called(self, record)
    finally:
        capturing.reset(token)


class _Asked(threading.local):
    """The warning a thread is asking the filters about."""

    text = ""
    module = ""


_asked = _Asked()


class _Remember:
    """Matches any text, and remembers it as that of the warning in question."""

    def __init__(self, what: str) -> None:
        self._what = what

    def match(self, text: str) -> bool:
        setattr(_asked, self._what, text)
        return True


class _Repeats(type):
    """A class of warnings: in a capture, those that would be shown once for each place in the code."""

    def __subclasscheck__(cls, category: type) -> bool:
        if capturing.get() is None:
            return False
        return _action(_asked.text, category, _asked.module) in ("default", "module", "once")


class RepeatedInRuns(Warning, metaclass=_Repeats):
    """The category of the filter that has a warning shown in each run; nothing raises it."""


# The interpreter asks a filter's message, then its module, then its category: by then all is known.
_PER_RUN: Any = ("always", _Remember("text"), RepeatedInRuns, _Remember("module"), 0)


def _action(text: str, category: type, module: str) -> str:
    """Return what the filters, ours apart, say about a warning."""
    for item in list(warnings.filters):
        action, message, kind, where, line = item
        if (
            kind is not RepeatedInRuns
            and line == 0
            and _matches(message, text)
            and issubclass(category, kind)
            and _matches(where, module)
        ):
            return action
    return "default"


def _matches(pattern: Any, text: str) -> bool:
    if pattern is None or isinstance(pattern, str):
        return pattern is None or pattern == text
    return bool(pattern.match(text))


def _tap_warnings() -> None:
    found: Any = warnings.filters
    found[:] = [_PER_RUN, *(item for item in found if item[2] is not RepeatedInRuns)]
    # Tells the interpreter that its filters changed; there is no public way for a filter of one's own.
    mutated = getattr(warnings, "_filters_mutated", None) or getattr(warnings, "_filters_mutated_lock_held", None)
    if mutated is not None:
        mutated()
    _Shown.tap()


class _Shown:
    """How warnings were shown before."""

    before: Callable[..., None] = warnings.showwarning

    @classmethod
    def tap(cls) -> None:
        if warnings.showwarning is not _show_warning:
            cls.before = warnings.showwarning
            warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    current = capturing.get()
    if current is None or file is not None:
        _Shown.before(message, category, filename, lineno, file, line)
        return
    current.warn(category.__name__, str(message), filename, lineno)
    token = capturing.set(current.quiet)
    try:
        _Shown.before(message, category, filename, lineno, file, line)
    finally:
        capturing.reset(token)
