"""Looks at an execution from outside the engine: which bodies ran, and where its worker could die.

A killed `async def` handler stays where it is: none of its code runs any more, as after a `kill -9`, until
everything that counts is over. A plain one cannot be left like that; it is ended by a `BaseException`.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import msgspec

from ironflow_lab.wire import stepid

Moment = Literal["inside", "unsaved", "segment unsaved", "saved", "awaiting", "unreported"]

# How long, in seconds, a kill waits for bodies that have begun in threads.
PATIENCE = 10.0
# How often code is closed that awaits something meanwhile.
_CLOSES = 10
# Coroutines that cannot be closed; collected, they would go on.
_UNENDING: list[Any] = []
# How often code is told that it is over; a loop that swallows that would spin for ever.
_KNELLS = 100
_OURS = str(Path(__file__).resolve().parents[1])
_MACHINERY = ("/asyncio/", "/concurrent/futures/", "/contextlib.py", "/threading.py", "<frozen")


class Killed(BaseException):
    """Ends what a dead worker cannot go on with."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which a worker can die.

    `moment` is "inside" a step's body at one of its awaits, "unsaved" (the step has ended and its result is
    not saved), "segment unsaved" (nothing is that has ended since the run last waited), "saved" (it is),
    "awaiting" (an await of the handler outside its steps) or "unreported" (the handler has ended, or waits
    at a step, and the engine has not heard of it). `step_id` is "" where no step is concerned, `line` is in
    your code, 0 where it is not known.
    """

    moment: Moment
    function_id: str
    run_id: str
    job_id: str
    step_id: str = ""
    line: int = 0

    @property
    def step(self) -> str:
        """The step's name, "" outside steps."""
        return stepid.step_name(self.step_id) if self.step_id else ""

    def __str__(self) -> str:
        """Return the moment in words."""
        words = {
            "inside": f"inside {self.step}",
            "unsaved": f"{self.step} done, not saved",
            "segment unsaved": f"{self.step} done, none saved since the run last waited",
            "saved": f"{self.step} saved",
            "awaiting": "an await outside steps",
            "unreported": f"waiting at {self.step}, not reported" if self.step_id else "the end not reported",
        }
        return words[self.moment]


class Watch:
    """Counts the bodies of one simulated world, and kills its worker at one of the points it passes.

    `bodies` counts by step id, `handlers` how often each run's handler began, `points` are those passed.
    With `kill` the worker dies at the point of that number, which was `victim` when nobody died.
    """

    def __init__(self, *, kill: int | None = None, victim: Point | None = None) -> None:
        self.bodies: Counter[str] = Counter()
        self.handlers: Counter[str] = Counter()
        self.points: list[Point] = []
        self.killed: Point | None = None
        self.dying = self.buried = self.seen = False
        self._interrupted = False
        self.knells = 0
        self._kill = kill
        self._victim = victim
        self._stop: Callable[[], None] = _nothing
        self._busy = 0
        self._changed = threading.Condition()

    def arm(self, stop: Callable[[], None]) -> None:
        """Have `stop` called, from any thread, when the worker dies; until then it lives."""
        self._stop = stop
        self.dying = self._interrupted
        if self.dying:
            stop()

    def die(self) -> None:
        """Let nothing count any more, and no code of the user go on where that can be helped."""
        with self._changed:
            self.dying = True
        self._stop()

    def interrupt(self) -> None:
        """Let the worker die, now and whenever another is made."""
        self._interrupted = True
        self.die()

    def withholds(self, job_id: str) -> bool:
        """Whether nothing of this segment is to be saved, since its worker dies before it has saved anything."""
        victim = self._victim
        return victim is not None and victim.moment == "segment unsaved" and victim.job_id == job_id

    def passes(self, point: Point) -> bool:
        """Note a point, and return whether the worker is dead."""
        if not self.dying:
            number = len(self.points)
            self.points.append(point)
            if number == self._kill:
                self.killed = point
                self.die()
        return self.dying

    def began(self, step_id: str) -> None:
        """Count a body that begins; raises `Killed` when the worker is dead."""
        with self._changed:
            if self.dying:
                raise Killed
            self.bodies[step_id] += 1

    def body(self, step_id: str, fn: Callable[..., Any], awaiting: Callable[[], None]) -> Callable[..., Any]:
        """Return the plain body of a step, counted; what it returns to be awaited is watched."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.began(step_id)
            with self._changed:
                self._busy += 1
            try:
                value = fn(*args, **kwargs)
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()
            return Driven(value, self, awaiting) if inspect.isawaitable(value) else value

        return counted

    def async_body(self, step_id: str, fn: Callable[..., Any], awaiting: Callable[[], None]) -> Callable[..., Any]:
        """Return the `async def` body of a step, counted and watched."""

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.began(step_id)
            return await Driven(fn(*args, **kwargs), self, awaiting)

        return counted

    def idle(self) -> None:
        """Return once no body is in flight in a thread."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, PATIENCE)


class Driven:
    """An awaitable whose suspensions are seen, and which stays suspended once the worker is dead.

    `awaiting` is called at each suspension that nothing driven inside it has seen.
    """

    __slots__ = ("_awaiting", "_waited", "_watch")

    def __init__(self, waited: Any, watch: Watch, awaiting: Callable[[], None]) -> None:
        self._waited = waited if inspect.iscoroutine(waited) else _awaited(waited)
        self._watch = watch
        self._awaiting = awaiting

    def __await__(self) -> Generator[Any, Any, Any]:
        """Drive it to its end."""
        watch, inner = self._watch, self._waited
        if watch.dying:
            # It will never begin, so that nobody complains that it was not awaited.
            inner.close()
        resume, given = inner.send, None
        while True:
            suspended = self._suspended(resume, given)
            if isinstance(suspended, _Value):
                return suspended.value
            if not (watch.seen or watch.dying):
                watch.seen = True
                self._awaiting()
            try:
                yield suspended
            except GeneratorExit:
                close(inner)
                raise
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in goes on inwards
                resume, given = inner.throw, error
            else:
                resume, given = inner.send, None

    def _suspended(self, resume: Callable[[Any], Any], given: Any) -> Any:
        """Return what the code waits for next, or its value; of a dead worker, a wait that never ends."""
        watch = self._watch
        watch.seen = False
        try:
            return _still(watch) if watch.dying else resume(given)
        except StopIteration as end:
            return _still(watch) if watch.dying else _Value(end.value)
        except BaseException:
            if watch.dying and not watch.buried:
                return _still(watch)
            raise


def close(code: Any) -> None:
    """Close the coroutine of a dead worker, whatever it does about it."""
    for _ in range(_CLOSES):
        try:
            code.close()
        except RuntimeError:
            # It awaits something while it is closed.
            continue
        except BaseException:  # noqa: BLE001 - the user's `finally` may raise anything
            return
        return
    _UNENDING.append(code)


def line() -> int:
    """Return the line in the caller's own code that called into this library, 0 when there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not is_ours(frame.f_code.co_filename):
            return frame.f_lineno
        frame = frame.f_back
    return 0


def line_of(coroutine: Any) -> int:
    """Return the line at which a handler's coroutine is suspended, 0 when it is not known."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and not is_ours(frame.f_code.co_filename):
            return int(frame.f_lineno)
        coroutine = getattr(coroutine, "cr_await", None)
    return 0


def is_ours(filename: str) -> bool:
    """Return whether a file is of this library or of what runs coroutines and threads."""
    return filename.startswith(_OURS) or any(part in filename for part in _MACHINERY)


async def _awaited(waited: Any) -> Any:
    return await waited


class _Value:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _still(watch: Watch) -> Any:
    if watch.buried and watch.knells < _KNELLS:
        watch.knells += 1
        raise Killed
    return next(asyncio.get_running_loop().create_future().__await__())


def _nothing() -> None:
    """Do nothing."""
