"""Functions of time and chance replaced while something is replayed, and put back exactly.

The stand-ins look at the context they are called in: to code outside a replay they give what is real. They
are put where the functions live (`time.time`), and in the globals of the handler and of the user's modules
beside it (`from time import time`). What a function holds in a closure, and instances such as
`random.SystemRandom()`, stay what they are.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from ironflow_lab.debug import chance, clock, places

Standin = tuple[Any, str, Any, Callable[..., Any]]


class _State:
    """How many replays are under way, and what is in place for them."""

    count = 0
    put: tuple[Standin, ...] = ()


_lock = threading.Lock()
# By the identity of the dict: how many replays use it, the dict, and what stood under which name.
_shared: dict[int, tuple[int, dict[str, Any], dict[str, tuple[Any, Any]]]] = {}


@contextlib.contextmanager
def placed(handler: Callable[..., Any]) -> Iterator[None]:
    """Have the stand-ins in place for a handler until the end of the block; several may at once."""
    found = _namespaces(handler)
    with _lock:
        _begin()
        for one in found:
            _replace(one)
    try:
        yield
    finally:
        with _lock:
            for one in found:
                _restore(one)
            _end()


def _begin() -> None:
    _State.count += 1
    if _State.count > 1:
        return
    # What the user has replaced himself is his.
    _State.put = tuple(one for one in _all("numpy" in sys.modules) if vars(one[0]).get(one[1]) is one[2])
    for owner, name, _, standin in _State.put:
        _set(owner, name, standin)


def _end() -> None:
    _State.count -= 1
    if _State.count:
        return
    for owner, name, original, standin in _State.put:
        # Somebody else's replacement stays.
        if vars(owner).get(name) is standin:
            _set(owner, name, original)


@functools.lru_cache(maxsize=2)
def _all(numpy: bool) -> tuple[Standin, ...]:
    return (*clock.standins(), *chance.standins(numpy=numpy))


def _replace(names: dict[str, Any]) -> None:
    count, _, kept = _shared.get(id(names), (0, names, {}))
    if not count:
        by_id = {id(original): standin for _, _, original, standin in _State.put}
        for name, value in list(names.items()):
            standin = by_id.get(id(value))
            if standin is not None:
                names[name] = standin
                kept[name] = value, standin
    _shared[id(names)] = count + 1, names, kept


def _restore(names: dict[str, Any]) -> None:
    count, _, kept = _shared.pop(id(names))
    if count > 1:
        _shared[id(names)] = count - 1, names, kept
        return
    for name, (value, standin) in kept.items():
        if names.get(name) is standin:
            names[name] = value


def _namespaces(handler: Callable[..., Any]) -> list[dict[str, Any]]:
    """Return the globals of a handler and of the user's modules whose functions or names it has there."""
    function: Any = inspect.unwrap(handler)
    if not isinstance(function, FunctionType):
        function = vars(type(function)).get("__call__")
    if not isinstance(function, FunctionType):
        return []
    found = {id(function.__globals__): function.__globals__}
    for value in list(function.__globals__.values()):
        if isinstance(value, ModuleType):
            names = vars(value)
        elif isinstance(value, FunctionType):
            names = value.__globals__
        else:
            continue
        if id(names) not in found and not places.is_library(str(names.get("__file__") or "<frozen")):
            found[id(names)] = names
    return list(found.values())


def _set(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, ModuleType):
        setattr(owner, name, value)
        return
    try:
        setattr(owner, name, value)
    except TypeError:
        # A class written in C takes no attributes; its dict does, and must then be looked at anew.
        names = gc.get_referents(vars(owner))[0]
        if sys.implementation.name == "cpython" and isinstance(names, dict):
            names[name] = value
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))
