"""Which line of the user's code asks for something: the innermost frame that is no library's."""

from __future__ import annotations

import linecache
import sys
import sysconfig
import weakref
from functools import lru_cache
from pathlib import Path
from types import FrameType

import msgspec

from ironflow_lab.history.redaction import clip

LONGEST_LINE = 80
_OURS = f"{Path(__file__).parent.parent}/"
LIBRARIES = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_IMPORTING = "<frozen importlib._bootstrap>"
_WRITES_CODE = "<frozen importlib._bootstrap_external>"
_FINALIZERS = f"{Path(weakref.__file__)}"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where something was asked for.

    `words` is fit to show; `importing` says that a module's own code asked while it was imported, `foreign`
    that it is no act of the user's code: an attached debugger asked, the finalizer of some library's object
    that was collected just then, or Python itself to keep compiled code.
    """

    words: str = ""
    file: str = ""
    line: int = 0
    importing: bool = False
    foreign: bool = False


@lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Return whether a file is of this library, of the standard one, or installed."""
    return (
        file.startswith(("<frozen", _OURS, *LIBRARIES))
        or "/site-packages/" in file
        or "/dist-packages/" in file
        or file == "<string>"
    )


def user_frame(frame: FrameType | None) -> FrameType | None:
    """Return the frame itself or the nearest caller that is the user's."""
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def asked() -> Place:
    """Return where the code that is running now was asked to do what it does."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename == _WRITES_CODE:
        return Place(foreign=frame is not None)
    importing = False
    while frame is not None and is_library(frame.f_code.co_filename):
        importing = importing or frame.f_code.co_filename == _IMPORTING
        if _is_foreign(frame):
            return Place(foreign=True)
        frame = frame.f_back
    if frame is None:
        return Place(importing=importing)
    file, line = frame.f_code.co_filename, frame.f_lineno
    return Place(words=words(frame), file=file, line=line, importing=importing or _is_imported(frame))


def words(frame: FrameType) -> str:
    """Return the line a frame stands at, in words: "line 3: open(path)", with the file's name outside a cell."""
    file, line = frame.f_code.co_filename, frame.f_lineno
    text = clip(linecache.getline(file, line, frame.f_globals).strip(), limit=LONGEST_LINE)
    name = "" if frame.f_globals.get("__name__") == "__main__" else f"{file.rpartition('/')[2]}, "
    return f"{name}line {line}: {text}" if text else f"{name}line {line}"


def _is_imported(frame: FrameType) -> bool:
    """Return whether the frame is of a module's body that is being imported."""
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_code.co_name == "<module>" and outer.f_back is not None:
            return outer.f_back.f_code.co_filename.startswith("<frozen importlib")
        outer = outer.f_back
    return False


def _is_foreign(frame: FrameType) -> bool:
    code = frame.f_code
    if code.co_name == "__del__" or (code.co_name == "__call__" and code.co_filename == _FINALIZERS):
        # Behind the gate no such object can be made: it is somebody else's.
        return True
    return _is_debugger(code.co_filename)


@lru_cache(maxsize=256)
def _is_debugger(file: str) -> bool:
    # Its replacements of the functions that start threads and processes are called by everybody.
    return ("pydevd" in file or "/debugpy/" in file) and not file.endswith("pydev_monkey.py")
