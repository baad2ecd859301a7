"""Things that belong to another loop or thread, and other classic mistakes in a handler: what to do about each.

What is made in a cell belongs to the kernel's loop and thread; handlers run in others (design D3).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ANOTHER_LOOP = "it belongs to another event loop, as what is made in a notebook cell does; make it inside the handler"
_NESTED = "a handler runs in an event loop already; write `await` instead, or make the handler a plain `def`"
_NO_LOOP = "a plain `def` runs in a thread without an event loop; make the handler an `async def`"
_OWN_WINDOW = (
    "handlers run outside the main thread; call matplotlib.use('agg'), and draw with"
    " matplotlib.figure.Figure() instead of pyplot"
)


class _Known(NamedTuple):
    types: tuple[str, ...]
    words: re.Pattern[str]
    remedy: str


def _known(types: str, words: str, remedy: str) -> _Known:
    return _Known(tuple(types.split()), re.compile(words, re.IGNORECASE), remedy)


# Only the public words of an error tell these apart; the type keeps a payload with such words out.
_MISTAKES = (
    _known(
        "RuntimeError",
        "(bound|attached) to a different (event )?loop|belongs to a different (event )?loop",
        _ANOTHER_LOOP,
    ),
    _known("RuntimeError", "^event loop is closed|^session is closed|^connector is closed", _ANOTHER_LOOP),
    _known(
        "RuntimeError ClientConnectionError ClosedResourceError",
        "client has been closed|session is closed|connector is closed",
        "its connections are closed; open the client inside the handler: `async with httpx.AsyncClient() as client:`",
    ),
    _known(
        "RuntimeError",
        r"asyncio\.run\(\) cannot be called|event loop is already running|while another loop is running",
        _NESTED,
    ),
    _known("RuntimeError", "no running event loop|no current event loop", _NO_LOOP),
    _known(
        "RuntimeError",
        "should be used inside a task",
        "it was made outside the handler's task; make it inside the handler",
    ),
    _known(
        "ProgrammingError",
        "SQLite objects created in a thread can only be used in that same thread",
        "handlers and steps run in threads of their own; open the connection inside the step, or pass"
        " check_same_thread=False and guard it with a lock",
    ),
    _known("RuntimeError TclError", "main thread is not in main loop", _OWN_WINDOW),
    _known("UserWarning RuntimeError", "GUI outside of the main thread", _OWN_WINDOW),
    _known("ValueError", "signal only works in main thread", "set signal handlers in a cell, not in a handler"),
)


def remedy(error: BaseException) -> str:
    """Return what to do about an error whose cause is known, "" for any other."""
    if isinstance(error, SystemExit):
        return "it ends this attempt and nothing else; return to end the run, raise il.NonRetryableError to fail it"
    if isinstance(error, KeyboardInterrupt):
        return "the stop button does not reach handlers; the handler raised it itself: run.cancel() ends a run"
    names = {kind.__name__ for kind in type(error).__mro__}
    text = _text(error)
    return next((one.remedy for one in _MISTAKES if names.intersection(one.types) and one.words.search(text)), "")


def _text(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except Exception:  # noqa: BLE001 - the user's own __str__ may raise anything
        return ""
