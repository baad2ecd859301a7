"""Stopping in a frame of the user's under the debugger that a notebook's front end attached to this kernel.

What stops is the debugger that is attached already (debugpy, which ipykernel brings along); nothing is started
here. Its own door, `debugpy.breakpoint`, stops one line later than is wanted: the frame stands in the call of a
step, and is to be seen standing there.
"""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

# pydevd's word for a stop at a breakpoint (pydevd_comm_constants.CMD_SET_BREAK).
_BREAKPOINT = 111
# How `runtime.revival` names the code of an earlier version.
_REVIVED = "<ironflow "
_MONITORING = "_pydevd_sys_monitoring.pydevd_sys_monitoring"


def attached() -> bool:
    """Return whether a debugger's front end is attached to this process."""
    module = sys.modules.get("debugpy")
    connected = getattr(module, "is_client_connected", None)
    return bool(connected()) if connected is not None and _debugger() is not None else False


def stop(frame: FrameType) -> bool:
    """Stand at the line a frame of this thread is at until the debugger goes on; False without one.

    All threads of the process stand meanwhile.
    """
    found = _debugger() if attached() else None
    if found is None:
        return False
    module, database = found
    _dump(frame)
    thread = threading.current_thread()
    # Tracing must be on in this thread, so that stepping on from here stops again.
    module.settrace(suspend=False, trace_only_current_thread=True, patch_multiprocessing=False)
    database.set_trace_for_frame_and_parents(thread.ident, frame)
    with _untraced(module, database, thread):
        database.set_suspend(thread, _BREAKPOINT)
        database.do_wait_suspend(thread, frame, "line", None)
    return True


def stop_at_error(frame: FrameType, error: BaseException) -> bool:
    """Stand at the line where a frame raised an error until the debugger goes on; False without one.

    The frame has ended, as in post-mortem debugging: its locals are those of that moment.
    """
    found = _debugger() if attached() else None
    if found is None:
        return False
    module, database = found
    _dump(frame)
    thread = threading.current_thread()
    seen = type(error), error, until(error.__traceback__, frame)
    with _untraced(module, database, thread):
        database.do_stop_on_unhandled_exception(thread, frame, None, seen)
    return True


def _debugger() -> tuple[Any, Any] | None:
    module = sys.modules.get("pydevd")
    database = module.get_global_debugger() if module is not None else None
    return None if database is None else (module, database)


def _dump(frame: FrameType) -> None:
    """Write the text of a frame's code to where the front end looks for it.

    It does so itself for the cells as they are now; the code of a run may be that of an earlier version,
    which is in no cell any more and has no file's name.
    """
    name, folder = frame.f_code.co_filename, _folder()
    if folder is None:
        return
    revived = name.startswith(_REVIVED)
    path = folder / f"{name.removeprefix(_REVIVED).rstrip('>')}.py" if revived else Path(name)
    lines = linecache.getlines(name, frame.f_globals)
    if not lines or path.parent != folder:
        return
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    known = getattr(sys.modules.get("pydevd_file_utils"), "NORM_PATHS_AND_BASE_CONTAINER", None)
    if revived and isinstance(known, dict):
        # From now on the debugger takes the code to be of that file, breakpoints included.
        known[name] = str(path), str(path), path.name


def _folder() -> Path | None:
    """Return the folder in which ipykernel keeps the text of cells for debuggers, None without ipykernel."""
    module = sys.modules.get("ipykernel.compiler")
    return Path(module.get_tmp_directory()) if module is not None else None


@contextmanager
def _untraced(module: Any, database: Any, thread: threading.Thread) -> Iterator[None]:
    """Keep the debugger from stopping in what it executes itself in this thread."""
    info = database.set_additional_thread_info(thread)
    # From Python 3.12 on it listens to `sys.monitoring` and not to trace functions.
    monitoring = sys.modules.get(_MONITORING) if module.PYDEVD_USE_SYS_MONITORING else None
    listened = monitoring is not None and monitoring.suspend_current_thread_tracing()
    info.is_tracing += 1
    try:
        yield
    finally:
        info.is_tracing -= 1
        if monitoring is not None and listened:
            monitoring.resume_current_thread_tracing()
            monitoring.update_monitor_events(suspend_requested=True)
            monitoring.restart_events()


def until(trace: TracebackType | None, frame: FrameType) -> TracebackType | None:
    """Return a copy of the traceback that ends with the frame."""
    parts: list[TracebackType] = []
    while trace is not None:
        parts.append(trace)
        if trace.tb_frame is frame:
            break
        trace = trace.tb_next
    copied: TracebackType | None = None
    for part in reversed(parts):
        copied = TracebackType(copied, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return copied
