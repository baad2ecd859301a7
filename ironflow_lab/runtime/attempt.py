"""One execution of one step's body, from its start to its record."""

from __future__ import annotations

from contextvars import Context, ContextVar, Token
from typing import Any, NoReturn

from msgspec import UNSET
from msgspec.structs import replace

from ironflow_lab.clock import MICROSECOND, MILLISECOND, Clock
from ironflow_lab.errors import NonRetryableError, PayloadError, StepError, StepTimeoutError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.workers import StepResult
from ironflow_lab.runtime import faults, payloads
from ironflow_lab.runtime.journal import Scope
from ironflow_lab.runtime.segment import Segment

# What a body may raise and that counts as its failure; all else (cancellation, our signals)
# means that the body did not end.
FAILURES = (Exception, SystemExit, KeyboardInterrupt)

# The body or the branch this context executes; the handler itself has none.
_inside: ContextVar[tuple[Segment, str, str] | Scope | None] = ContextVar("ironflow_lab_step", default=None)


def within(scope: Scope, base: Context) -> Context:
    """Return a copy of a context for the code of a branch."""
    context = base.copy()
    context.run(_inside.set, scope)
    return context


def current_step() -> tuple[str, str]:
    """Return the id and the name of the step whose body this context executes, ("", "") outside one."""
    inside = _inside.get()
    return (inside[2], inside[1]) if isinstance(inside, tuple) else ("", "")


def check_place(segment: Segment, scope: Scope, name: object) -> None:
    """Raise `NonRetryableError` where a step of this scope may not be called from.

    That is inside the body of a step, and in another branch than the step's own: the ids would
    depend on which branch is faster.
    """
    inside = _inside.get()
    if inside is None or inside is scope:
        return
    if isinstance(inside, Scope):
        if _root(inside) is segment.journal.root:
            raise NonRetryableError(
                f"step {name!r:.60} belongs to another branch, or to the handler around it; in a branch, use"
                " the steps that the branch is given: lambda branch: branch.run('charge', charge, order)",
                code="WRONG_BRANCH",
            )
    elif inside[0] is segment:
        raise NonRetryableError(
            f"step {name!r:.60} was called inside the body of step {inside[1]!r:.60}; a step's body"
            " cannot have steps of its own: call it from the handler",
            code="NESTED_STEP",
        )


def _root(scope: Scope) -> Scope:
    while scope.parent is not None:
        scope = scope.parent
    return scope


class Attempt:
    """A body that has begun; end it by `succeed` or `fail`, and `leave` in any case.

    With `undoes` it is the body of a compensation for the step of that name.
    """

    __slots__ = ("_clock", "_name", "_segment", "_started", "_step_id", "_token", "_undoes")

    def __init__(self, segment: Segment, step_id: str, name: str, clock: Clock, *, undoes: str | None = None) -> None:
        self._segment = segment
        self._undoes = undoes
        self._step_id = step_id
        self._name = name
        self._clock = clock
        self._token: Token[tuple[Segment, str, str] | Scope | None] = _inside.set((segment, name, step_id))
        self._started = clock.now()
        segment.doing[step_id] = name

    def leave(self) -> None:
        """Let steps be called again in this context."""
        _inside.reset(self._token)
        self._segment.doing.pop(self._step_id, None)

    def succeed(self, value: Any) -> Any:
        """Record the body's output and return it as a replay will; raises `PayloadError`."""
        try:
            text, settled = payloads.settle(value, f"step {self._name!r:.60}")
        except PayloadError as error:
            self._record("failed", error=faults.step_fault(error))
            raise
        self._record("completed", output=text)
        return settled

    def fail(self, error: BaseException) -> NoReturn:
        """Record the body's failure and raise what the handler shall see."""
        self._record("failed", error=faults.step_fault(error))
        if isinstance(error, StepTimeoutError):
            error.step_id, error.step_name = self._step_id, self._name
            raise error
        _, retryable, delay = faults.advice(error)
        raise StepError(
            faults.describe(error),
            retryable=retryable,
            retry_after_ms=delay,
            step_id=self._step_id,
            step_name=self._name,
        ) from error

    def undone(self, error: BaseException | None) -> None:
        """Record how a compensation ended: it has no output, and is not tried again."""
        if error is None:
            self._record("completed")
        else:
            self._record("failed", error=replace(faults.step_fault(error), retryable=False))

    def _record(self, status: str, *, output: Any = UNSET, error: Any = UNSET) -> None:
        ended = max(self._clock.now(), self._started)
        undoes = self._undoes
        self._segment.record(
            StepResult(
                id=self._step_id,
                name=self._name,
                type="invoke" if undoes is None else "compensate",
                status=status,
                started_at=format_instant(self._started // MICROSECOND * MICROSECOND),
                ended_at=format_instant(ended // MICROSECOND * MICROSECOND),
                duration_ms=(ended - self._started) // MILLISECOND,
                output=output,
                error=error,
                compensation_for=UNSET if undoes is None else undoes,
            )
        )


def timed_out(name: str, seconds: float, *, thread: bool = False) -> StepTimeoutError:
    """Return the error of a body that took too long."""
    rest = "; its thread cannot be stopped and goes on, its result is dropped" if thread else ""
    return StepTimeoutError(
        f"step {name!r:.60} took longer than its timeout of {seconds:g} s{rest}", step_name=name, timeout=seconds
    )
