"""Warnings that teach: what a handler does that is allowed and rarely meant, and what to write instead.

Each is told once for every definition of a function, kind and place, in the handler's context, so that
it is shown under the defining cell. They are `IronflowWarning`s: the filters of `warnings` apply.
"""

from __future__ import annotations

import asyncio
import dis
import functools
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import CodeType, CoroutineType, MethodType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from msgspec import UNSET

from ironflow_lab.errors import IronflowWarning
from ironflow_lab.models.workers import JobEvent, Yield
from ironflow_lab.wire import eventpath

if TYPE_CHECKING:
    from ironflow_lab.runtime.branches import Fork
    from ironflow_lab.runtime.function import DurableFunction
    from ironflow_lab.runtime.journal import Scope
    from ironflow_lab.runtime.segment import Segment

# Where a step was called: the calling code and the position in its bytecode. The line is looked up only
# when there is something to tell.
Place = tuple[CodeType, int]

# A handler that keeps making new places has more to learn than fits under a cell.
MOST = 50
# What holds a coroutine that the handler has dropped: one variable here and the argument of the count.
_DROPPED = 2
_VERBS = {
    "_wait": "sleep",
    "_event": "wait_for_event",
    "_child_output": "invoke",
    "_child_run": "invoke_async",
    "_publish": "publish",
    "fork": "parallel",
}
# Calls that may well be made again.
_HARMLESS = frozenset(
    {
        "abs",
        "all",
        "any",
        "bool",
        "bytes",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "format",
        "frozenset",
        "hex",
        "int",
        "isinstance",
        "len",
        "list",
        "map",
        "max",
        "min",
        "ord",
        "pow",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "str",
        "sum",
        "tuple",
        "type",
        "zip",
    }
)

_lock = threading.Lock()
_told: WeakKeyDictionary[DurableFunction, set[tuple[object, ...]]] = WeakKeyDictionary()


# A step that was called and has not begun: what is to be awaited, its name and where it was called.
Call = tuple[Coroutine[Any, Any, Any], str, Place]


def unawaited(segment: Segment, lost: list[Call], value: Any, failure: BaseException | None, *, waits: bool) -> None:
    """Tell of the calls that were never awaited, once the handler has ended, and discard them.

    Where the run waits or the handler has failed, a call that is still held might have been awaited
    later: only those that nobody holds count then, and those that the failure is about. A handler that
    swallows what ends its segment holds nothing any more, and nothing is known of its calls.
    """
    about = not waits and (
        failure is None or (type(failure) in (TypeError, AttributeError) and "coroutine" in str(failure))
    )
    try:
        tasks = {task.get_coro() for task in asyncio.all_tasks()}
    except RuntimeError:
        # A handler that is thrown away with its loop: what it began will not be awaited any more.
        tasks = set()
    told: dict[tuple[str, int], str] = {}
    while lost:
        waited, name, place = lost.pop()
        if waited in tasks or cast("CoroutineType[Any, Any, Any]", waited).cr_frame is None:
            continue
        if about or (failure is not None and sys.getrefcount(waited) <= _DROPPED):
            told[line(place)] = _unawaited(waited, name, segment.function, place, value)
        # What Python would say of it is not understood by those who need it.
        waited.close()
    for at in reversed(told):
        if first_time(segment.function, "unawaited", at):
            tell(told[at], at)


def repeated(segment: Segment, name: str, first: Place, place: Place) -> None:
    """Tell of two steps of one name in one scope, unless they are on one line, as in a loop."""
    if line(first) == line(place) or not first_time(segment.function, "repeated", name, line(first), line(place)):
        return
    tell(
        f"{_at(segment.function, first, place)}: two steps are named {name!r:.60}. Only their order tells them apart,"
        " so one that is put in before them shifts which recorded output each is given. Name them apart, for example"
        f" {name + '-2'!r:.60}",
        line(place),
    )


def named(segment: Segment, scope: Scope, name: str, place: Place) -> None:
    """Note where a step of this name is called, and tell of another place in the same scope."""
    first = scope.places.setdefault(name, place)
    if first != place:
        repeated(segment, name, first, place)


def unmatched(segment: Segment, name: str, wanted: Yield, place: Place) -> None:
    """Tell of a wait whose match path is missing in the event that started the run."""
    given = wanted.event_filter if isinstance(wanted.event_filter, dict) else {}
    path = given.get("match")
    if path is None or "match_value" in given or segment.journal.settled(wanted.step_id) is not None:
        return
    event = segment.assignment.event
    if eventpath.in_event(_fields(event), path) not in (eventpath.MISSING, None):
        return
    if first_time(segment.function, "unmatched", name, line(place)):
        tell(
            f"{_at(segment.function, place)}: the wait {name!r:.60} is for an event with the same {path!r:.60} as the"
            f" event that started this run, and that event, {event.name!r:.60}, has nothing there: it can match"
            " nothing, and a server refuses it (MATCH_UNRESOLVED). Name a path that both events have, or say what to"
            " look for: match_value=...",
            line(place),
        )


def idle(segment: Segment, fork: Fork) -> None:
    """Tell of branches that have done something of their own and recorded nothing."""
    for index in fork.idle():
        branch, position = fork.code(index)
        code = ignoring(branch, position)
        if code is None or not first_time(segment.function, "idle", code.co_filename, code.co_firstlineno):
            continue
        parameter = code.co_varnames[position + isinstance(branch, MethodType)]
        tell(
            f"{_at(segment.function, (code, 0))}: a branch of {fork.name!r:.60} does not use the steps it is given"
            f" ({parameter!r:.40}) and records nothing, so what it does is done again on every execution of the run:"
            f" after each wait, retry or restart. Write {parameter:.40}.run('name', function, ...) in it; where"
            " doing it again is meant, call the parameter _",
            line((code, 0)),
        )


def first_time(function: DurableFunction, *key: object) -> bool:
    """Return whether this is to be told: not yet of this definition of a function, and 50 things at most."""
    with _lock:
        told = _told.setdefault(function, set())
        if key in told or len(told) >= MOST:
            return False
        told.add(key)
        return True


def hush(function: DurableFunction) -> None:
    """Tell nothing of this definition: it is executed again only to look at what it did."""
    with _lock:
        _told[function] = set(range(MOST))  # type: ignore[arg-type]


def tell(text: str, at: tuple[str, int]) -> None:
    """Warn of what is at a line of a file."""
    warnings.warn_explicit(text, IronflowWarning, *at)


@functools.lru_cache(maxsize=1024)
def line(place: Place) -> tuple[str, int]:
    """Return the file and line of a place."""
    code, at = place
    found = (number for start, end, number in code.co_lines() if start <= at < end and number is not None)
    return code.co_filename, next(found, code.co_firstlineno)


@functools.lru_cache(maxsize=256)
def _ignores(code: CodeType, position: int) -> bool:
    """Return whether a function calls something and never its parameter at `position`."""
    name = code.co_varnames[position]
    if name.startswith("_") or name in code.co_cellvars:
        return False
    names, calls = set(), False
    for one in dis.get_instructions(code):
        loaded = one.argval if isinstance(one.argval, tuple) else (one.argval,)
        # Some load two, or store one and load another.
        if "LOAD_FAST" in one.opname and name in loaded:
            return False
        calls = calls or one.opname.startswith(("CALL", "SEND", "GET_AWAITABLE", "STORE_GLOBAL"))
        if one.opname.startswith(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_ATTR", "LOAD_METHOD")):
            names.add(one.argval)
    return calls and not names <= _HARMLESS


def ignoring(branch: Callable[..., Any], position: int) -> CodeType | None:
    """Return the code of a branch that never uses its steps, its argument at `position`; None for others.

    A parameter called `_` is ignored on purpose, and of what is no plain function nothing is known.
    """
    code = _code(branch)
    if code is None:
        return None
    position += isinstance(branch, MethodType)
    return code if position < code.co_argcount and _ignores(code, position) else None


def _unawaited(waited: Coroutine[Any, Any, Any], name: str, function: DurableFunction, place: Place, value: Any) -> str:
    made = cast("CoroutineType[Any, Any, Any]", waited).__name__
    verb, returned = _VERBS.get(made, "run"), "return " if waited is value else ""
    call = f"{verb}({name!r:.60}, ...)"
    return (
        f"{_at(function, place)}: the step {name!r:.60} was {'returned' if returned else 'called'} without await and"
        f" did not run. Write `{returned}await` before it: {returned}await ctx.step.{call}"
    )


def _at(function: DurableFunction, *places: Place) -> str:
    """Return where something is: the function and the lines, with the file where it is another."""
    home = _code(function.handler)
    lines = dict.fromkeys(line(place) for place in places)
    numbers = " and ".join(str(number) for _, number in sorted(lines))
    files = sorted({Path(file).name for file, _ in lines if home is None or file != home.co_filename})
    rest = f" of {', '.join(files)}" if files else ""
    return f"{function.id}, line{'s' if len(lines) > 1 else ''} {numbers}{rest}"


def _code(function: Callable[..., Any]) -> CodeType | None:
    found = getattr(function, "__code__", None)
    return found if isinstance(found, CodeType) else None


def _fields(event: JobEvent) -> dict[str, Any]:
    source = "" if event.source is UNSET else event.source
    return {
        "name": event.name,
        "version": event.version,
        "source": source,
        "id": event.id,
        "data": event.data,
        "metadata": event.metadata,
    }
