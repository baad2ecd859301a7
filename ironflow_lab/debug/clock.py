"""The recorded time in place of the machine's, for code in a replay; for all other code nothing changes."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

from ironflow_lab.clock import SECOND
from ironflow_lab.debug import world

_WHY = "was not recorded; a replay gives the time of the recorded event before it"


def standins() -> list[tuple[Any, str, Any, Callable[..., Any]]]:
    """Return what is to be replaced: the owner, the name, what is there, and what stands in for it."""
    found = [(time, name, getattr(time, name), _of(name, getattr(time, name))) for name in _ANSWERS]
    kind = datetime.datetime
    return [*found, *((kind, name, vars(kind)[name], _of_class(name, vars(kind)[name])) for name in ("now", "utcnow"))]


def _of(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    answer = _ANSWERS[name]

    def standin(*args: Any) -> Any:
        here = world.current()
        if here is None:
            return original(*args)
        return answer(here, original, *args)

    standin.__name__ = standin.__qualname__ = name
    return standin


def _time(here: world.World, original: Callable[..., Any]) -> float:
    here.tell("time.time()", _WHY, depth=3, libraries=False)
    return here.now() / SECOND


def _time_ns(here: world.World, original: Callable[..., Any]) -> int:
    here.tell("time.time_ns()", _WHY, depth=3, libraries=False)
    return here.now()


def _of_seconds(here: world.World, original: Callable[..., Any], seconds: float | None = None) -> Any:
    if seconds is None:
        here.tell(f"time.{original.__name__}()", _WHY, depth=3, libraries=False)
        seconds = here.now() / SECOND
    return original(seconds)


def _strftime(here: world.World, original: Callable[..., Any], text: str, *at: Any) -> Any:
    if at:
        return original(text, *at)
    here.tell("time.strftime()", _WHY, depth=3, libraries=False)
    return original(text, time.localtime(here.now() / SECOND))


def _sleep(here: world.World, original: Callable[..., Any], seconds: float) -> None:
    # It may refuse what it is given; beyond that, nothing waits in a replay.
    original(min(seconds, 0.0))


def _of_class(name: str, original: Any) -> Any:
    def standin(cls: Any, tz: Any = None) -> Any:
        here = world.current()
        if here is None:
            real = original.__get__(None, cls)
            return real() if tz is None else real(tz)
        here.tell(f"datetime.{name}()", _WHY, depth=2, libraries=False)
        at = here.now()
        zone = datetime.UTC if name == "utcnow" else tz
        found = cls.fromtimestamp(at // SECOND, zone).replace(microsecond=at % SECOND // 1_000)
        return found.replace(tzinfo=None) if name == "utcnow" else found

    standin.__name__ = standin.__qualname__ = name
    return classmethod(standin)


_ANSWERS: dict[str, Callable[..., Any]] = {
    "time": _time,
    "time_ns": _time_ns,
    "localtime": _of_seconds,
    "gmtime": _of_seconds,
    "ctime": _of_seconds,
    "strftime": _strftime,
    "sleep": _sleep,
}
