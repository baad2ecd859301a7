"""What a replayed handler sees of the world: the recorded time and seeded chance, in its own context only."""

from __future__ import annotations

import contextlib
import random
import sys
import time
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from types import CodeType
from typing import Any

from ironflow_lab.debug import places

MOST_NOTES = 50


class World:
    """The time, the chance and the notes of one replay.

    It is the clock of the replay's runtime too: bodies that are executed for real have real times.
    """

    def __init__(self, run_id: str, began: int) -> None:
        self.run_id = run_id
        self.notes: dict[str, None] = {}
        # What the code itself has seeded is the same each time.
        self.seeded: set[str] = set()
        self._now = int(began)
        self._random: random.Random | None = None
        self._numpy: Any = None
        self._noted: set[tuple[str, CodeType, int]] = set()

    def now(self) -> int:
        """Return the instant of the last recorded event before this point, in nanoseconds; real outside the replay."""
        return time.time_ns() if current() is None else self._now

    @property
    def reached(self) -> int:
        """The same wherever it is asked for."""
        return self._now

    def reach(self, at: int) -> None:
        """Move on to a recorded instant; never back."""
        self._now = max(self._now, int(at))

    def note(self, text: str) -> None:
        """Remember what the replay cannot give, once, 50 at most."""
        if len(self.notes) < MOST_NOTES:
            self.notes[text] = None

    @property
    def random(self) -> random.Random:
        """The generator of this replay, seeded by the run's id."""
        if self._random is None:
            self._random = random.Random(self.run_id)
        return self._random

    @property
    def numpy(self) -> Any:
        """The same of numpy, once that was imported."""
        if self._numpy is None:
            self._numpy = sys.modules["numpy"].random.RandomState(self.seed)
        return self._numpy

    @property
    def seed(self) -> int:
        """A number of 32 bits made of the run's id."""
        return zlib.crc32(self.run_id.encode("utf-8", "surrogatepass"))

    def tell(self, what: str, why: str, *, depth: int, libraries: bool) -> None:
        """Note that the user's code uses something, with its line; with `libraries` also one that it calls."""
        caller = sys._getframe(depth)
        file = caller.f_code.co_filename
        if places.is_library(file) and not (libraries and "-packages/" in file):
            # What Python does for itself, as in a line of log.
            return
        frame = places.user_frame(caller)
        if frame is None:
            return
        key = (what, frame.f_code, frame.f_lineno)
        if key not in self._noted and len(self._noted) < MOST_NOTES:
            self._noted.add(key)
            self.note(f"{places.words(frame)}: {what} {why}")


_world: ContextVar[World | None] = ContextVar("ironflow_lab_world", default=None)


def current() -> World | None:
    """Return the world this context's code lives in, None for the real one."""
    return _world.get()


@contextlib.contextmanager
def inside(world: World) -> Iterator[None]:
    """Let this context's code live in a world."""
    token = _world.set(world)
    try:
        yield
    finally:
        _world.reset(token)


@contextlib.contextmanager
def real() -> Iterator[None]:
    """Let this context's code live in the real world."""
    token = _world.set(None)
    try:
        yield
    finally:
        _world.reset(token)
