"""What a function did when it was run by the testing kit."""

from __future__ import annotations

from html import escape
from typing import Any

import msgspec

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import RunFailedError
from ironflow_lab.history import redaction
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import TERMINAL, Error, Run, Step
from ironflow_lab.wire import stepid

_SHOWN = 50
_CELL = "text-align:left;padding:2px 12px 2px 0"


class StepRun(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run: `ran` is how often its body was executed, `attempt` the engine's count of its failures.

    `type` is invoke (a plain step), sleep, wait_for_event, invoke_function or compensate.
    """

    name: str
    id: str
    type: str
    status: str
    output: Any = None
    error: Error | None = None
    attempt: int = 1
    ran: int = 0


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was emitted, or a message that a handler published to a topic (`published`)."""

    name: str
    data: Any = None
    published: bool = False


class Result:
    """How a run ended, and all it did; `.result` is its output, or raises what it failed with.

    `output`, `status` and `error` are the run's, `attempts` how often it was tried, `executions` how often
    its handler began (after a wait it begins anew), `steps` its steps in order. `events` were emitted to it
    or published by it, `undelivered` are those of `emit=` that nothing waited for. `logs` is what it printed
    and logged. `now` is the virtual time at its end and `slept` the seconds that were skipped. `runs` are the
    other runs that came about, such as those it invoked. `ignored` names options the engine does not have.
    """

    def __init__(
        self,
        run: Run,
        steps: tuple[StepRun, ...],
        *,
        executions: int,
        began: int,
        now: int,
        logs: str = "",
        events: tuple[Sent, ...] = (),
        undelivered: tuple[Sent, ...] = (),
        runs: tuple[Result, ...] = (),
        ignored: tuple[str, ...] = (),
    ) -> None:
        self.run_id = run.id
        self.function_id = run.function_id
        self.parent_run_id = run.parent_run_id
        self.status = str(run.status)
        self.output = run.output
        self.error: Error | None = run.error
        self.attempts = run.attempt
        self.executions = executions
        self.steps = steps
        self.events = events
        self.undelivered = undelivered
        self.logs = logs
        self.now = Instant(now)
        # The engine's instants of a run differ by a nanosecond at least.
        self.slept = round((now - began) / SECOND, 6)
        self.runs = runs
        self.ignored = ignored

    @property
    def result(self) -> Any:
        """The output; raises `RunFailedError` that says why there is none."""
        if self.status == "completed":
            return self.output
        raise RunFailedError(f"run {self.run_id} of {self.function_id!r} is {self.status}{self._why()}")

    def step(self, name: str) -> StepRun:
        """Return the only step of this name; raises `LookupError` when there is none, or there are several."""
        found = [one for one in self.steps if name in (one.name, one.id)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(dict.fromkeys(one.name for one in self.steps)) or "none"
        many = f"{len(found)} steps; take one of .steps by its id" if found else f"no step; it has {names}"
        raise LookupError(
            f"run {self.run_id} has {many} of the name {name!r:.60}" if found else f"{name!r:.60}: {many}"
        )

    def __repr__(self) -> str:
        """Return one fact a line; payloads are redacted and cut."""
        return "\n".join([self._headline(), *(f"  {line}" for line in self._lines())])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in _cells(step)) + "</tr>"
            for step in self.steps[:_SHOWN]
        )
        heads = "".join(f'<th style="{_CELL}">{head}</th>' for head in ("step", "status", "ran", "output"))
        rest = "".join(f"<div>{escape(line)}</div>" for line in self._facts())
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        return f"<div><strong>{escape(self._headline())}</strong>{rest}{table}</div>"

    def _headline(self) -> str:
        attempts = f", attempt {self.attempts}" if self.attempts > 1 else ""
        return f"{self.function_id}: {self.status}{attempts}{_skipped(self.slept)}"

    def _facts(self) -> list[str]:
        facts = [f"output {redaction.show(self.output, limit=200)}"] if self.status == "completed" else []
        if self.error is not None:
            facts.append(f"error {redaction.clip(self.error.message, limit=500)}")
        elif waits := self._waits():
            facts.append(waits)
        facts += [f"also ran {run.function_id}: {run.status}" for run in self.runs[:_SHOWN]]
        if self.undelivered:
            facts.append(f"nothing waited for {', '.join(sent.name for sent in self.undelivered)}")
        if self.ignored:
            facts.append(f"not simulated: {', '.join(self.ignored)}")
        return facts

    def _lines(self) -> list[str]:
        steps = [
            f"{step.name}: {step.status}, ran {step.ran}, {redaction.show(step.output)}" if step.type == "invoke"
            else f"{step.name}: {step.type} {step.status}"
            for step in self.steps[:_SHOWN]
        ]  # fmt: skip
        hidden = len(self.steps) - _SHOWN
        return [*self._facts(), *steps, *([f"… and {hidden:,} more steps"] if hidden > 0 else [])]

    def _why(self) -> str:
        if self.error is not None:
            return f": {redaction.clip(self.error.message, limit=2_000)}"
        return f": {waits}" if (waits := self._waits()) else ""

    def _waits(self) -> str:
        open_steps = [step for step in self.steps if step.status in ("waiting", "sleeping")]
        if self.status in TERMINAL or not open_steps:
            return ""
        return f"it waits at {open_steps[-1].name!r}; pass emit=[(event, data)] with what it waits for"


def step_run(step: Step, ran: int) -> StepRun:
    """Return a stored step with how often its body ran."""
    return StepRun(
        name=stepid.step_name(step.step_id),
        id=step.step_id,
        type=str(step.step_type),
        status=str(step.status),
        output=step.output,
        error=step.error,
        attempt=step.attempt,
        ran=ran,
    )


def _cells(step: StepRun) -> tuple[str, str, str, str]:
    ran = str(step.ran) if step.type in ("invoke", "compensate") else ""
    output = redaction.show(step.output) if step.status == "completed" and step.output is not None else ""
    return step.name, step.status, ran, output


def _skipped(seconds: float) -> str:
    if not seconds:
        return ""
    days, rest = divmod(round(seconds), 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s")) if count]
    return f", {' '.join(parts[:2]) or f'{seconds:g} s'} skipped"
