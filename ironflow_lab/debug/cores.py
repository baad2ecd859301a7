"""What stands between a handler's steps and the runtime while it is replayed: answers instead of bodies."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import msgspec
from msgspec import UNSET

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.debug.calls import Answer, Call, Execute, Fail, Give, Kind, Stop
from ironflow_lab.debug.loop import Loop
from ironflow_lab.debug.places import user_frame
from ironflow_lab.debug.player import Player, lifted, step_error
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import Error
from ironflow_lab.models.workers import CompletedStep, Yield
from ironflow_lab.runtime import faults, publishing, teaching, waits
from ironflow_lab.runtime.attempt import FAILURES, current_step
from ironflow_lab.runtime.pool import DaemonPool, Ticket
from ironflow_lab.wire import stepid

_KINDS: dict[str, Kind] = {
    "sleep": "sleep",
    "wait_for_event": "wait_for_event",
    "invoke_function": "invoke",
    "invoke_function_async": "invoke_async",
}
_CALLED = ("invoke", "invoke_async")


class _Core:
    """The core of the runtime, but for what is answered."""

    def __init__(self, core: Any, player: Player) -> None:
        self._core = core
        self._player = player

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def _waited(self, wanted: Yield) -> tuple[Kind, Any]:
        """Return the kind of a wait and what is wanted, with the names the server knows."""
        wanted = waits.placed(self._core.segment.function.namespace, wanted)
        kind = _KINDS[wanted.type]
        if kind == "sleep":
            until = int(wanted.until) if wanted.until is not UNSET else 0
            # It was rounded up to the millisecond.
            length = (until - self._player.world.now()) // MILLISECOND
            return kind, {"until": format_instant(until), "seconds": length * MILLISECOND / SECOND}
        if kind == "wait_for_event":
            return kind, {name: _plain(value) for name, value in wanted.event_filter.items()}
        asked = {"function_id": wanted.function_id, "input": _plain(wanted.input)}
        if wanted.invoke_timeout_ms is not UNSET:
            asked["timeout_ms"] = wanted.invoke_timeout_ms
        return kind, asked

    def _row(self, call: Call, answer: Answer) -> CompletedStep:
        """Return the row of a wait, as a server sends it."""
        player = self._player
        if isinstance(answer, Give):
            return CompletedStep(step_id=call.step_id, name=call.name, output=player.given(call, answer))
        if isinstance(answer, Fail):
            error = player.failed(call, answer)
            if call.kind in _CALLED:
                told = {"message": error.message, **(error.details if isinstance(error.details, dict) else {})}
                return CompletedStep(step_id=call.step_id, name=call.name, status="failed", error=told)
            # Such a wait ends the run: its handler does not go on.
            player.end(Stop(reason=error.message, status="failed", error=error))
            return player.halt()
        if call.kind == "sleep":
            return CompletedStep(step_id=call.step_id, name=call.name, output=player.given(call, Give(source="ran")))
        return player.refuse(
            call, answer, f"step {call.label!r:.200} ({call.kind}) needs a server: give its output instead"
        )

    def _published(self, call: Call, answer: Answer) -> Any:
        if isinstance(answer, Give):
            return self._player.given(call, answer)
        if isinstance(answer, Fail):
            raise step_error(call, self._player.failed(call, answer))
        return self._player.refuse(
            call, answer, f"step {call.label!r:.200} publishes to a server: give its output instead"
        )


class AsyncCore(_Core):
    """Steps of an `async def` handler."""

    @property
    def undos(self) -> _Undos:
        """The compensations, answered when they are due."""
        return _Undos(self)

    def run(self, scope: Any, step_id: str, name: str, fn: Any, args: Any, kwargs: Any, limit: Any) -> Any:
        """Answer a body."""
        return self._run(scope, step_id, name, (fn, args, kwargs, limit))

    async def _run(self, scope: Any, step_id: str, name: str, body: tuple[Any, ...]) -> Any:
        player = self._player
        call, frame = self._called(step_id, step_id, name, "run", UNSET)
        answer = player.answer(call, frame)
        await self._takes(answer)
        if isinstance(answer, Give):
            return player.given(call, answer)
        if isinstance(answer, Fail):
            raise step_error(call, player.failed(call, answer))
        return await self._execute(call, answer, lambda: self._core.run(scope, step_id, name, *body))

    async def wait(self, scope: Any, wanted: Yield) -> CompletedStep:
        """Answer a wait."""
        kind, asked = self._waited(wanted)
        name = stepid.step_name(wanted.step_id)
        call, frame = self._called(wanted.step_id, wanted.step_id, name, kind, asked)
        answer = self._player.answer(call, frame)
        await self._takes(answer)
        return self._row(call, answer)

    async def publish(self, scope: Any, step_id: str, name: str, message: publishing.Message) -> Any:
        """Answer a publish."""
        message = publishing.placed(self._core.segment.function.namespace, message)
        wanted = {"topic": message.topic, "data": message.data}
        call, frame = self._called(step_id, step_id, name, "publish", wanted)
        answer = self._player.answer(call, frame)
        await self._takes(answer)
        return self._published(call, answer)

    def undo(self, name: Any, fn: Any, args: Any, kwargs: Any, place: tuple[str, int]) -> Any:
        """Return the body of a compensation that is answered when it is due."""

        async def due() -> None:
            call, answer = _due(self._player, place)
            if isinstance(answer, Execute):
                await self._execute(call, answer, lambda: _settled(self._player, call, answer, fn, args, kwargs))

        return due

    def _called(self, key: object, step_id: str, name: str, kind: Kind, wanted: Any) -> tuple[Call, FrameType | None]:
        lost = self._core.unbegun.pop(key, None)
        file, line, frame = "", 0, None
        if lost is not None:
            place = lost[2]
            file, line = teaching.line(place)
            if self._player.at_step is not None:
                frame = _frame_of(place[0])
        return self._player.call(step_id, name, kind, wanted, file, line), frame

    async def _takes(self, answer: Answer) -> None:
        """Let what is beside this step, in branches and tasks, end in the order in which it did."""
        if not isinstance(answer, Give | Fail) or not answer.ended_at:
            return
        loop = asyncio.get_running_loop()
        if isinstance(loop, Loop) and loop.main is not asyncio.current_task():
            delay = (answer.ended_at - loop.began) / SECOND - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)

    async def _execute(self, call: Call, answer: Answer, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        loop.real += 1
        try:
            with lifted():
                return await body()
        finally:
            loop.real -= 1
            self._player.ran(call, answer)


class PlainCore(_Core):
    """Steps of a plain handler; its branches take turns in the handler's thread."""

    def run(self, scope: Any, step_id: str, name: str, fn: Any, args: Any, kwargs: Any, limit: Any) -> Any:
        """Answer a body."""
        player = self._player
        call, frame = self._called(step_id, name, "run", UNSET)
        answer = player.answer(call, frame)
        if isinstance(answer, Give):
            return player.given(call, answer)
        if isinstance(answer, Fail):
            raise step_error(call, player.failed(call, answer))
        try:
            with lifted():
                return self._core.run(scope, step_id, name, fn, args, kwargs, limit)
        finally:
            player.ran(call, answer)

    def wait(self, scope: Any, wanted: Yield) -> CompletedStep:
        """Answer a wait."""
        kind, asked = self._waited(wanted)
        call, frame = self._called(wanted.step_id, stepid.step_name(wanted.step_id), kind, asked)
        return self._row(call, self._player.answer(call, frame))

    def publish(self, scope: Any, step_id: str, name: str, message: publishing.Message) -> Any:
        """Answer a publish."""
        message = publishing.placed(self._core.segment.function.namespace, message)
        wanted = {"topic": message.topic, "data": message.data}
        call, frame = self._called(step_id, name, "publish", wanted)
        return self._published(call, self._player.answer(call, frame))

    def register(self, scope: Any, name: str, fn: Any, args: Any, kwargs: Any) -> None:
        """Remember what undoes a step; it is answered when it is due."""
        if callable(fn):
            place, undo, given = _place(user_frame(sys._getframe(1))), fn, (args, kwargs)

            def fn() -> None:
                call, answer = _due(self._player, place)
                if isinstance(answer, Execute):
                    with lifted():
                        _undone(self._player, call, answer, undo, *given)

            args, kwargs = (), {}
        self._core.register(scope, name, fn, args, kwargs)

    def _called(self, step_id: str, name: str, kind: Kind, wanted: Any) -> tuple[Call, FrameType | None]:
        frame = user_frame(sys._getframe(2))
        file, line = _place(frame)
        return self._player.call(step_id, name, kind, wanted, file, line), frame


class _Undos:
    """The compensations of an `async def` handler."""

    def __init__(self, core: AsyncCore) -> None:
        self._core = core

    def register(self, scope: Any, name: Any, fn: Any, args: Any, kwargs: Any) -> None:
        """Remember what undoes a step; it is answered when it is due."""
        if callable(fn):
            fn, args, kwargs = self._core.undo(name, fn, args, kwargs, _place(user_frame(sys._getframe(1)))), (), {}
        self._core._core.undos.register(scope, name, fn, args, kwargs)


class Turns(DaemonPool):
    """Branches of a plain handler, executed in its own thread when it waits for them: in order of their index."""

    def __init__(self) -> None:
        super().__init__("ironflow-replay-branch")
        self._levels: list[deque[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]]] = [deque()]

    def submit(self, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> Ticket[Any]:
        """Keep a branch until the handler waits for it."""
        self._levels[-1].append((call, done))
        return Ticket(call, done)

    def turn(self) -> bool:
        """Execute one branch; False when there is none."""
        if not self._levels[-1]:
            return False
        call, done = self._levels[-1].popleft()
        # Its own branches come before those beside it.
        self._levels.append(deque())
        value, failure = None, None
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001 - it is handed to `done`, whatever it is
            failure = error
        finally:
            left = self._levels.pop()
            self._levels[-1].extendleft(reversed(left))
        done(value, failure)
        return True


class Changed(threading.Condition):
    """The condition of a plain core: who waits for branches executes them."""

    def __init__(self, turns: Turns) -> None:
        super().__init__(threading.RLock())
        self._turns = turns

    def wait(self, timeout: float | None = None) -> bool:
        """Execute a branch, or wait for real when there is none."""
        return self._turns.turn() or super().wait(timeout)


def _due(player: Player, place: tuple[str, int]) -> tuple[Call, Answer]:
    """Return the call of a compensation that is due now and its answer; raises its recorded error."""
    step_id, name = current_step()
    call = player.call(step_id, name, "compensate", UNSET, *place)
    answer = player.answer(call)
    if isinstance(answer, Give):
        player.given(call, answer)
    elif isinstance(answer, Fail):
        raise step_error(call, player.failed(call, answer))
    return call, answer


async def _settled(player: Player, call: Call, answer: Answer, fn: Any, args: Any, kwargs: Any) -> None:
    try:
        value = fn(*args, **kwargs)
        if inspect.isawaitable(value):
            await value
    except FAILURES as error:
        player.done(call, answer, error=Error(message=faults.describe(error), stack=faults.stack(error)))
        raise
    player.done(call, answer)


def _undone(player: Player, call: Call, answer: Answer, fn: Any, args: Any, kwargs: Any) -> None:
    try:
        fn(*args, **kwargs)
    except FAILURES as error:
        player.done(call, answer, error=Error(message=faults.describe(error), stack=faults.stack(error)))
        raise
    player.done(call, answer)


def _plain(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else None if value is UNSET else value


def _place(frame: FrameType | None) -> tuple[str, int]:
    return ("", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def _frame_of(code: Any) -> FrameType | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame
