"""The few functions that act without an audit event, replaced while a gate holds anything, and put back."""

from __future__ import annotations

# For their classes: they are to be found in `sys.modules`.
import asyncio  # noqa: F401
import concurrent.futures.thread  # noqa: F401
import functools
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

# Refuses, or returns to let the call pass: the event's name, the words for it, and what the words are about.
Ask = Callable[..., None]
_MISSING = object()
_lock = threading.Lock()
_users: list[Ask] = []
_put: list[tuple[Any, str, object, object]] = []


def put(ask: Ask) -> None:
    """Replace the functions, if that is not done yet; every call needs a `take_back`."""
    with _lock:
        _users.append(ask)
        if len(_users) > 1:
            return
        for module, kind, name, event, words in _FUNCTIONS:
            owner = sys.modules.get(module)
            owner = getattr(owner, kind, None) if kind else owner
            if owner is not None and hasattr(owner, name):
                asking = _asking(getattr(owner, name), ask, event, words)
                _put.append((owner, name, vars(owner).get(name, _MISSING), asking))
                setattr(owner, name, asking)


def take_back() -> None:
    """Put every function back as it was, when nobody needs them replaced any more."""
    with _lock:
        _users.pop()
        if _users:
            return
        while _put:
            owner, name, before, asking = _put.pop()
            if vars(owner).get(name) is not asking:
                # Another tool, such as a debugger that was attached meanwhile, has put its own over ours.
                continue
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def _asking(original: Callable[..., Any], ask: Ask, event: str, words: Callable[..., str]) -> Callable[..., Any]:
    @functools.wraps(original)
    def asking(*args: Any, **kwargs: Any) -> Any:
        ask(event, words, *args)
        return original(*args, **kwargs)

    return asking


def _sent(connection: socket.socket, *_: object) -> str:
    try:
        peer = connection.getpeername()
    except OSError:
        return "send over a connection"
    # The two ends of a pair have no name: an event loop wakes itself by one.
    if not peer:
        return ""
    host = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer)
    return f"send to {host!r}"


def _handed(_: object, work: object = None, *__: object) -> str:
    while isinstance(work, functools.partial):
        work = work.func
    return f"hand {getattr(work, '__name__', 'work')!r} to another thread or process"


def _called(loop: object, callback: object = None, *_: object) -> str:
    # A loop that is not running is nobody's yet.
    thread = getattr(loop, "_thread_id", None)
    return "" if thread in (None, threading.get_ident()) else _handed(loop, callback)


def _process(*_: object) -> str:
    return "start a process"


def _thread(*_: object) -> str:
    return "start a thread"


def _signal(*_: object) -> str:
    return "send this process a signal"


_POOL = ("apply_async", "_map_async", "imap", "imap_unordered")
_SOCKET = [("socket", "socket", method, f"socket.{method}", _sent) for method in ("send", "sendall", "sendfile")]
_TLS = [("ssl", "SSLSocket", method, f"ssl.{method}", _sent) for method in ("send", "sendall", "write")]
_FUNCTIONS: list[tuple[str, str, str, str, Callable[..., str]]] = [
    *_SOCKET,
    *_TLS,
    # Python 3.11 has no audit event for a new thread.
    ("threading", "Thread", "start", "thread.start", _thread),
    ("_thread", "", "start_new_thread", "thread.start", _thread),
    ("concurrent.futures.thread", "ThreadPoolExecutor", "submit", "executor.submit", _handed),
    ("concurrent.futures.process", "ProcessPoolExecutor", "submit", "executor.submit", _handed),
    *(("multiprocessing.pool", "Pool", name, f"pool.{name}", _handed) for name in _POOL),
    ("asyncio", "BaseEventLoop", "call_soon_threadsafe", "loop.call_soon_threadsafe", _called),
    ("multiprocessing.process", "BaseProcess", "start", "process.start", _process),
    *(("signal", "", name, f"signal.{name}", _signal) for name in ("alarm", "setitimer", "raise_signal")),
]
