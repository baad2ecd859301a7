"""What went wrong in a handler or a step, as the records that go on the wire (worker.md 9.3)."""

from __future__ import annotations

import functools
import inspect
import linecache
import traceback
from pathlib import Path
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any

from ironflow_lab.errors import DefinitionError, StepFailure
from ironflow_lab.models.workers import JobFault, StepFault
from ironflow_lab.runtime import foreign

if TYPE_CHECKING:
    from ironflow_lab.runtime.function import DurableFunction

LONGEST_MESSAGE = 4_000
LONGEST_STACK = 16_000
LONGEST_LINE = 120
_CUT = " … (cut)"
_OURS = (str(Path(__file__).parent), str(Path(__file__).parent.with_name("debug")))
_MACHINERY = ("/asyncio/", "/concurrent/futures/", "/contextlib.py", "/threading.py")


def describe(error: BaseException) -> str:
    """Return the message of an error, at most 4,000 characters.

    Errors of this library speak for themselves; others are named, since `KeyError: 'x'` says what
    `'x'` does not.
    """
    text = _text(error)
    if not isinstance(error, StepFailure):
        name = type(error).__name__
        text = f"{name}: {text}" if text else name
        remedy = "" if isinstance(error, SystemExit | KeyboardInterrupt) else foreign.remedy(error)
        text += f" ({remedy})" if remedy else ""
    return _cut(text, LONGEST_MESSAGE)


def told(function: DurableFunction, error: BaseException) -> str:
    """Return one line for the cell: the function, the line in its cell, what happened and what to do.

    The line is the last of the handler's own file in the traceback, of the innermost cause that has one:
    a step's body rather than the call of the step.
    """
    speaker = _speaker(error)
    causes = _causes(speaker)
    text = describe(speaker)
    known = next((found for found in map(foreign.remedy, causes) if found), "")
    remedy = f" ({known})" if known and known not in text else ""
    return f"{function.id}{_place(function, causes[::-1])}: {text}{remedy}"


def advice(error: BaseException) -> tuple[str, bool, int | None]:
    """Return the wire code, whether another attempt may help, and the wished delay in milliseconds.

    Of a group of errors the first one that forbids another attempt speaks, else the first.
    """
    error = _speaker(error)
    if isinstance(error, StepFailure):
        return error.code, error.retryable, error.retry_after_ms
    if isinstance(error, DefinitionError):
        return "NON_RETRYABLE", False, None
    return "ERROR", True, None


def job_fault(error: BaseException) -> JobFault:
    """Return why a segment failed."""
    code, retryable, delay = advice(error)
    message = describe(_speaker(error))
    if delay is None:
        return JobFault(message=message, code=code, retryable=retryable)
    return JobFault(message=message, code=code, retryable=retryable, retry_after_ms=delay)


def step_fault(error: BaseException) -> StepFault:
    """Return why a step failed, with the user's part of the traceback."""
    _, retryable, _ = advice(error)
    return StepFault(message=describe(error), retryable=retryable, stack=stack(error))


def stack(error: BaseException) -> str:
    """Return the traceback without the frames of this library and asyncio, at most 16,000 characters.

    When it is longer its end is kept: that is where the error was raised.
    """
    lines = _chain(error, set())
    text = "".join(lines).rstrip()
    if len(text) > LONGEST_STACK:
        text = "… (cut)\n" + text[-LONGEST_STACK + 10 :]
    return text


def _place(function: DurableFunction, errors: list[BaseException]) -> str:
    code = _code_of(function.handler)
    if code is None:
        return ""
    lines = (_last_line(one.__traceback__, code.co_filename) for one in errors)
    number = next((line for line in lines if line), 0)
    if not number:
        return f", defined in line {code.co_firstlineno}"
    text = linecache.getline(code.co_filename, number).strip()
    return f", line {number}" + (f" ({_cut(text, LONGEST_LINE)})" if text else "")


def _last_line(trace: TracebackType | None, filename: str) -> int:
    found = [number for frame, number in traceback.walk_tb(trace) if frame.f_code.co_filename == filename]
    return found[-1] if found else 0


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = inspect.unwrap(handler)
    code = getattr(handler, "__code__", None) or getattr(type(handler).__call__, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what led to it, the outermost first."""
    found: list[BaseException] = []
    while error not in found and len(found) < 8:
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__) or error
    return found


def _chain(error: BaseException, seen: set[int]) -> list[str]:
    seen.add(id(error))
    lines: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in seen and len(seen) < 8:
        lines = [*_chain(cause, seen), "\nwhich led to:\n\n"]
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions[:8]:
            lines += [*_chain(inner, seen), "\n"]
    lines += traceback.format_list(_user_frames(error.__traceback__))
    return [*lines, _cut(f"{type(error).__name__}: {_text(error)}", LONGEST_MESSAGE), "\n"]


def _user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    frames = traceback.extract_tb(trace)
    return [frame for frame in frames if not _is_machinery(frame.filename)]


def _is_machinery(filename: str) -> bool:
    return filename.startswith(_OURS) or any(part in filename for part in _MACHINERY)


def _speaker(error: BaseException) -> BaseException:
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = _leaves(error)
    final = (leaf for leaf in leaves if not advice(leaf)[1])
    return next(final, leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the user's own __str__ may raise anything
        return "(its message could not be made)"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - len(_CUT)] + _CUT
