"""One replay under way: what was asked and answered so far, and whether the handler has to end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET

from ironflow_lab.debug import gate
from ironflow_lab.debug.answers import fresh
from ironflow_lab.debug.calls import Answer, Answers, Asked, Call, Fail, Give, Kind, Stop
from ironflow_lab.debug.world import World, real
from ironflow_lab.errors import StepError, StepTimeoutError
from ironflow_lab.models.instant import Instant, parse_instant
from ironflow_lab.models.runs import Error
from ironflow_lab.models.workers import StepResult
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.wire import stepid

AtStep = Callable[[Call, FrameType | None], object]

# A handler that catches what ends it this often goes nowhere.
MOST_SWALLOWED = 100
# What the runtime says of a body that took too long.
TIMED_OUT = "longer than its timeout of "


class Halted(BaseException):
    """The replay ends here; nothing a handler may mean to catch."""


class Player:
    """Answers the step calls of one handler and keeps what was asked; used in the handler's thread only."""

    def __init__(
        self, run_id: str, answers: Answers, world: World, *, at_step: AtStep | None = None, until: str = ""
    ) -> None:
        self.run_id, self.world, self.at_step = run_id, world, at_step
        self.asked: list[Asked] = []
        self.stop: Stop | None = None
        self.segment: Segment | None = None
        self.results: dict[str, StepResult] = {}
        # Set when the handler goes on whatever it is told: it is left where it is.
        self.stubborn: Callable[[], None] = lambda: None
        self.answers = answers
        # Told by what looks on, once the handler has ended.
        self.later: tuple[str, ...] = ()
        self._until, self._passed = until, ""
        self._order = 0
        self._swallowed = 0

    def call(self, step_id: str, name: str, kind: Kind, wanted: Any, file: str, line: int) -> Call:
        """Return a call as the answers get it."""
        self._order += 1
        return Call(
            step_id=step_id,
            label=stepid.label(self.run_id, step_id),
            name=name,
            kind=kind,
            wanted=wanted,
            file=file,
            line=line,
            order=self._order,
        )

    def answer(self, call: Call, frame: FrameType | None = None) -> Answer:
        """Return what a call gets; does not return where the handler has to end."""
        if self.stop is None and self._passed:
            self.end(Stop(reason=f"stopped after step {self._passed!r:.200}, as asked"))
        if self.stop is not None:
            self.halt()
        answer = self.answers.answer(call)
        if self._until in (call.label, call.name) and self._until:
            self._passed = call.label
        if self.at_step is not None:
            with lifted():
                self.at_step(call, frame)
        if isinstance(answer, Stop):
            self.asked.append(
                Asked(call=call, answer=answer, source="stopped", error=answer.error, place=len(self.asked))
            )
            self.end(answer)
            self.halt()
        return answer

    def given(self, call: Call, answer: Give) -> Any:
        """Return a copy of the output, so that what the handler does to it stays its own."""
        self._keep(call, answer, answer.source, answer.started_at, answer.ended_at, output=answer.output)
        return fresh(answer.output)

    def failed(self, call: Call, answer: Fail) -> Error:
        """Return the error, noted as what the call got."""
        self._keep(call, answer, answer.source, answer.started_at, answer.ended_at, error=answer.error)
        return answer.error

    def ran(self, call: Call, answer: Answer) -> None:
        """Note what the body of a call came to, which was executed."""
        if self.segment is not None:
            self.results.update((one.id, one) for one in self.segment.collect())
        result = self.results.get(call.step_id)
        if result is None:
            return
        error = UNSET if result.error is UNSET else msgspec.convert(msgspec.to_builtins(result.error), Error)
        output = msgspec.json.decode(result.output) if isinstance(result.output, msgspec.Raw) else result.output
        self._keep(
            call,
            answer,
            "ran",
            _instant(result.started_at),
            _instant(result.ended_at),
            output=output,
            error=None if error is UNSET else error,
        )

    def done(self, call: Call, answer: Answer, output: Any = UNSET, error: Error | None = None) -> None:
        """Note what was executed outside the runtime's own steps."""
        now = Instant(self.world.now())
        self._keep(call, answer, "ran", now, now, output=output, error=error)

    def refuse(self, call: Call, answer: Answer, reason: str) -> NoReturn:
        """End the handler at a call that cannot be answered as wished."""
        stop = Stop(reason=reason)
        self.asked.append(Asked(call=call, answer=answer, source="stopped", place=len(self.asked)))
        self.end(stop)
        self.halt()

    def end(self, stop: Stop) -> None:
        """Let the handler end: nothing that still happens counts; the first reason does."""
        if self.stop is None:
            self.stop = stop
            if self.segment is not None:
                self.segment.journal.closed = True

    def halt(self) -> NoReturn:
        """Raise what ends the handler; one that catches it again and again is left where it is."""
        self._swallowed += 1
        if self._swallowed > MOST_SWALLOWED:
            self.stubborn()
        raise Halted

    def _keep(self, call: Call, answer: Answer, source: str, began: Instant, ended: Instant, **got: Any) -> None:
        self.world.reach(ended)
        place = len(self.asked)
        self.asked.append(
            Asked(call=call, answer=answer, source=source, started_at=began, ended_at=ended, place=place, **got)
        )


def step_error(call: Call, error: Error) -> StepError:
    """Return what a handler sees of a body that failed, as the runtime raises it."""
    if TIMED_OUT in error.message:
        limit = error.message.partition(TIMED_OUT)[2].partition(" ")[0]
        seconds = float(limit) if limit.replace(".", "", 1).isdigit() else 0.0
        return StepTimeoutError(error.message, step_id=call.step_id, step_name=call.name, timeout=seconds)
    delay = int(error.retry_after_ms) or None
    return StepError(
        error.message, retryable=error.retryable, retry_after_ms=delay, step_id=call.step_id, step_name=call.name
    )


@contextlib.contextmanager
def lifted() -> Iterator[None]:
    """Let code run as it would outside a replay: ungated, with the real time."""
    with gate.lift(), real():
        yield


def forever() -> None:
    """Keep this thread: it is a daemon, and its code would only go round."""
    threading.Event().wait()


def _instant(text: Any) -> Instant:
    return parse_instant(text) if isinstance(text, str) else Instant(0)
