"""Seeded chance in place of the process's, for code in a replay; for all other code nothing changes."""

from __future__ import annotations

import base64
import importlib
import os
import random
import secrets
import sys
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ironflow_lab.debug import world

_WHY = "was not recorded; a replay cannot give the same value. Call it in a step"
_SEEDS = frozenset({"seed", "setstate", "set_state"})
_DEFAULT_BYTES = 32


def standins(*, numpy: bool) -> list[tuple[Any, str, Any, Callable[..., Any]]]:
    """Return what is to be replaced: the owner, the name, what is there, and what stands in (numpy's if wanted)."""
    inner: Any = random._inst
    found = _methods(random, inner, lambda here: here.random)
    found += [(owner, name, getattr(owner, name), _of(owner, name, make)) for owner, name, make in _SINGLE]
    if numpy:
        # It is loaded when it is first used, which may be in the replay.
        module: Any = importlib.import_module("numpy.random")
        found += _methods(module, module.mtrand._rand, _twin)
        found.append((module, "seed", module.seed, _method("numpy.random", "seed", module.seed, _twin)))
        found.append((module, "default_rng", module.default_rng, _of(module, "default_rng", _default_rng)))
    return found


def _methods(
    owner: ModuleType, inner: Any, twin: Callable[[world.World], Any]
) -> list[tuple[Any, str, Any, Callable[..., Any]]]:
    """Return the functions of a module that are methods of its one hidden generator."""
    found = []
    for name, value in vars(owner).items():
        if not name.startswith("_") and callable(value) and getattr(value, "__self__", None) is inner:
            found.append((owner, name, value, _method(owner.__name__, name, value, twin)))
    return found


def _method(
    module: str, name: str, original: Callable[..., Any], twin: Callable[[world.World], Any]
) -> Callable[..., Any]:
    def standin(*args: Any, **kwargs: Any) -> Any:
        here = world.current()
        if here is None:
            return original(*args, **kwargs)
        if name in _SEEDS and (args or kwargs):
            here.seeded.add(module)
        elif module not in here.seeded:
            here.tell(f"{module}.{name}()", _WHY, depth=2, libraries=True)
        return getattr(twin(here), name)(*args, **kwargs)

    standin.__name__ = standin.__qualname__ = name
    return standin


def _of(owner: ModuleType, name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    original = getattr(owner, name)

    def standin(*args: Any, **kwargs: Any) -> Any:
        here = world.current()
        if here is None or (make is _default_rng and (args or kwargs)):
            return original(*args, **kwargs)
        here.tell(f"{owner.__name__}.{name}()", _WHY, depth=2, libraries=True)
        return make(here, *args, **kwargs)

    standin.__name__ = standin.__qualname__ = name
    return standin


def _bytes(here: world.World, nbytes: int | None = None) -> bytes:
    return here.random.randbytes(_DEFAULT_BYTES if nbytes is None else nbytes)


def _urlsafe(here: world.World, nbytes: int | None = None) -> str:
    return base64.urlsafe_b64encode(_bytes(here, nbytes)).rstrip(b"=").decode("ascii")


def _uuid(version: int) -> Callable[..., uuid.UUID]:
    def make(here: world.World, *_: Any, **__: Any) -> uuid.UUID:
        return uuid.UUID(bytes=here.random.randbytes(16), version=version)

    return make


def _twin(here: world.World) -> Any:
    return here.numpy


def _default_rng(here: world.World) -> Any:
    return sys.modules["numpy"].random.Generator(sys.modules["numpy"].random.PCG64(here.seed))


_SINGLE: list[tuple[ModuleType, str, Callable[..., Any]]] = [
    (uuid, "uuid1", _uuid(1)),
    (uuid, "uuid4", _uuid(4)),
    (os, "urandom", lambda here, size: here.random.randbytes(size)),
    (secrets, "token_bytes", _bytes),
    (secrets, "token_hex", lambda here, nbytes=None: _bytes(here, nbytes).hex()),
    (secrets, "token_urlsafe", _urlsafe),
    (secrets, "randbelow", lambda here, upper: here.random.randrange(upper)),
    (secrets, "randbits", lambda here, bits: here.random.getrandbits(bits)),
    (secrets, "choice", lambda here, items: here.random.choice(items)),
]
