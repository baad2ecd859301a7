"""A whole world in memory: the engine, one worker, and a clock that jumps to whatever is due next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ironflow_lab.client import arguments
from ironflow_lab.errors import DefinitionError, IronflowError, StaleExecutionError, UnimplementedError
from ironflow_lab.models.functions import RegisterFunctionRequest, RetryConfig, Trigger
from ironflow_lab.models.runs import TERMINAL, Run, Step
from ironflow_lab.models.secrets import CreateSecretRequest
from ironflow_lab.runtime import payloads
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.namespaces import inside, outside
from ironflow_lab.server.engine import commands
from ironflow_lab.testing.engine import ENV, Engine
from ironflow_lab.testing.fakes import CountingIds, FakeClock
from ironflow_lab.testing.inline import InlineWorker
from ironflow_lab.testing.result import Result, Sent, step_run
from ironflow_lab.testing.watch import Watch
from ironflow_lab.wire import patterns

# A handler that waits anew for ever would never let go of the caller.
MOST_EXECUTIONS = 10_000
# What the engine may refuse and a single run can do without.
_OPTIONAL = ("debounce", "throttle", "cancel_on", "actor_key")

Until = Literal["waiting"]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits for an event: what a callback given as `emit` is asked about."""

    run_id: str
    function_id: str
    step: str
    event: str
    payload: Any = None


Emit = Sequence[tuple[str, Any]] | Callable[[Waiting], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is to be run, and with what."""

    function: DurableFunction
    data: Any
    event: str
    functions: tuple[DurableFunction, ...]
    emit: Emit
    secrets: Mapping[str, str]
    now: int
    max_attempts: int | None
    until: Until | None


class World:
    """One simulated life of a function; use it once.

    With `shown`, what handlers print goes on to the process's own streams too.
    """

    def __init__(self, setup: Setup, watch: Watch, *, shown: bool = True) -> None:
        self._setup, self._watch = setup, watch
        self._clock = FakeClock(setup.now)
        self._engine = Engine(self._clock, CountingIds())
        self._worker = InlineWorker(self._engine, watch, self._clock, shown=shown)
        self._functions = {one.id: one for one in (*setup.functions, setup.function)}
        self._pending = [] if callable(setup.emit) else list(setup.emit)
        self._asked: set[str] = set()
        self._sent: list[Sent] = []
        self._ignored: dict[str, None] = {}
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop as soon as that can be, from another thread; `run` raises `KeyboardInterrupt` then."""
        self._interrupted = True
        self._watch.interrupt()

    def run(self) -> Result:
        """Run the function to its end, and all that it starts."""
        try:
            for function in self._functions.values():
                self._register(function)
            for name, value in self._setup.secrets.items():
                request = CreateSecretRequest(name=name, value=value)
                self._engine.ask(commands.CreateSecret(env=ENV, request=request))
            self._worker.restart(tuple(self._functions))
            root = self._start()
            self._live(root)
            return self._result(root)
        finally:
            self._worker.close()
            self._engine.close()

    def _register(self, function: DurableFunction) -> None:
        request = arguments.registration(self._request(function))
        try:
            self._engine.register(request)
        except UnimplementedError:
            given = [name for name in _OPTIONAL if getattr(request, name)]
            default = RegisterFunctionRequest()
            triggers = tuple(trigger for trigger in request.triggers if not trigger.cron)
            without = {name: getattr(default, name) for name in given}
            self._engine.register(msgspec.structs.replace(request, triggers=triggers, **without))
            crons = ["cron"] if triggers != request.triggers else []
            self._ignored |= dict.fromkeys([*given, *crons])

    def _request(self, function: DurableFunction) -> RegisterFunctionRequest:
        request, setup = function.request(), self._setup
        if function is not setup.function:
            return request
        if setup.max_attempts is not None:
            policy = msgspec.structs.replace(request.retry or RetryConfig(), max_attempts=setup.max_attempts)
            request = msgspec.structs.replace(request, retry=policy)
        name = self._named(setup.event)
        if name and not any(patterns.matches(trigger.event, name) for trigger in request.triggers):
            request = msgspec.structs.replace(request, triggers=(*request.triggers, Trigger(event=name)))
        return request

    def _start(self) -> str:
        setup = self._setup
        data = encoded(setup.data, "the data")
        event = setup.event or event_of(setup.function)
        if not event:
            return self._engine.invoke(setup.function.id, data)
        runs = self._engine.emit(self._named(event), data)
        self._sent.append(Sent(name=event, data=msgspec.json.decode(data)))
        for run_id in runs:
            if self._engine.run(run_id).function_id == setup.function.id:
                return run_id
        wanted = next((trigger.expression for trigger in setup.function.triggers if trigger.expression), "")
        raise IronflowError(
            f"{event!r} with this data starts no run of {setup.function.id!r}: its trigger wants {wanted!r:.200}"
        )

    def _live(self, root: str) -> None:
        for _ in range(MOST_EXECUTIONS):
            if not self._execute() and not self._pass(root):
                return
        raise IronflowError(
            f"{self._setup.function.id!r} has not ended after {MOST_EXECUTIONS:,} executions, at"
            f" {self._engine.run(root).updated_at}; a handler that waits anew for"
            " ever can be looked at with until='waiting'"
        )

    def _execute(self) -> bool:
        """Execute the next segment; False when no run is ready."""
        job = self._engine.claim()
        if job is None:
            return False
        try:
            self._worker.execute(job, self._functions[job.function_id])
        except StaleExecutionError:
            # Its run was cancelled meanwhile.
            return True
        if self._interrupted:
            raise KeyboardInterrupt
        if self._watch.dying:
            self._worker.restart(tuple(self._functions))
        return True

    def _pass(self, root: str) -> bool:
        """Send an event that is waited for, or go to what is due next; False when there is neither."""
        waiting = self._waiting()
        for run, step in waiting:
            if self._send(run, step):
                return True
        if self._setup.until == "waiting" and any(run.id == root for run, _ in waiting):
            return False
        due = self._engine.due()
        if due is None:
            return False
        self._clock.jump(due)
        self._engine.wake()
        return True

    def _waiting(self) -> list[tuple[Run, Step]]:
        return [
            (run, step)
            for run in self._engine.runs()
            if run.status == "waiting"
            for step in self._engine.steps(run.id)
            if step.status == "waiting" and step.wait_event_name
        ]

    def _send(self, run: Run, step: Step) -> bool:
        """Emit what is given for a wait; each wait is asked about once."""
        wanted = step.wait_event_name
        if callable(self._setup.emit):
            if step.step_id in self._asked:
                return False
            self._asked.add(step.step_id)
            answer = self._setup.emit(self._described(run, step))
            if answer is None:
                return False
            self._emit(wanted, answer)
            return True
        for at, (name, data) in enumerate(self._pending):
            if self._named(name) == wanted:
                del self._pending[at]
                self._emit(wanted, data)
                return True
        return False

    def _described(self, run: Run, step: Step) -> Waiting:
        return Waiting(
            run_id=run.id,
            function_id=run.function_id,
            step=step_run(step, 0).name,
            event=outside(self._setup.function.namespace, step.wait_event_name),
            payload=step.input,
        )

    def _emit(self, name: str, data: Any) -> None:
        text = encoded(data, f"the data of {name!r:.60}")
        self._engine.emit(name, text)
        shown = outside(self._setup.function.namespace, name)
        self._sent.append(Sent(name=shown, data=msgspec.json.decode(text)))

    def _named(self, event: str) -> str:
        return inside(self._setup.function.namespace, event) if event else ""

    def _result(self, root: str) -> Result:
        others = tuple(self._one(run) for run in self._engine.runs() if run.id != root)
        published = tuple(Sent(name=one.topic, data=one.data, published=True) for one in self._worker.messages)
        pending = tuple(Sent(name=name, data=data) for name, data in self._pending)
        return self._one(
            self._engine.run(root),
            events=(*self._sent, *published),
            undelivered=pending,
            runs=others,
            ignored=tuple(self._ignored),
        )

    def _one(self, run: Run, **more: Any) -> Result:
        steps = tuple(step_run(step, self._watch.bodies[step.step_id]) for step in self._engine.steps(run.id))
        lines = [line.text + "\n" for line in self._worker.output.lines if line.run_id == run.id]
        ended = run.ended_at if run.status in TERMINAL else self._clock.now()
        return Result(
            run,
            steps,
            executions=self._watch.handlers[run.id],
            began=self._setup.now,
            now=ended,
            logs="".join(lines),
            **more,
        )


def encoded(data: Any, what: str) -> bytes:
    """Return data as JSON, None as an empty object; raises `PayloadError`."""
    return b"{}" if data is None else bytes(payloads.given(data, what))


def event_of(function: DurableFunction) -> str:
    """Return the event that starts the function, "" where it names none or only patterns."""
    for trigger in function.triggers:
        if trigger.event and patterns.name_fault(trigger.event) is None:
            return outside(function.namespace, trigger.event)
    return ""


def check_emit(emit: Any) -> Emit:
    """Return what `emit=` was given; raises `DefinitionError` unless it is pairs or a callback."""
    if callable(emit):
        return emit  # type: ignore[no-any-return]
    pairs = list(emit) if isinstance(emit, list | tuple) else None
    if pairs is None or not all(isinstance(one, tuple | list) and len(one) == 2 for one in pairs):
        raise DefinitionError("emit takes a list of (event, data) pairs, or a function of what a run waits for")
    return [(str(name), data) for name, data in pairs]
