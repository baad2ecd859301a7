"""A what-if: the recorded run up to a step, and from there on what the caller decides.

Local and in memory: the handler's own code stays behind the gate, and no body is executed unless its step was
named for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from ironflow_lab.debug.answers import Recorded, answer_of, differs
from ironflow_lab.debug.calls import Answer, Call, Execute, Fail, Give, Stop
from ironflow_lab.debug.choices import Choices, Given, Names, Word, forms
from ironflow_lab.history import redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.runs import Error, Step
from ironflow_lab.runtime.journal import PUBLISH
from ironflow_lab.wire import stepid

Decided = Literal["recorded", "given", "stub", "run", "stop"]

_SHOWN = 60
_KINDS = {"sleep": "sleep", "wait_for_event": "wait_for_event", "invoke_function": "invoke", "compensate": "compensate"}
# What can be executed here: the others need a server.
_BODIES = ("run", "compensate")
_SERVERS = {
    "publish": "a publish is never sent",
    "invoke": "no child run is started",
    "invoke_async": "no child run is started",
    "wait_for_event": "no event comes",
}
# The members of an event as the server writes it into the step that waited.
_EVENT = frozenset({"id", "name", "data", "timestamp", "version", "source", "metadata"}) | {
    *("idempotencyKey", "idempotency_key", "emittedBy", "emitted_by")
}

Handed = TypeVar("Handed", Give, Fail)


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One step and what a fork would do with it.

    `output` is what the step would return (`UNSET` for not known yet), `effects` whether its kind acts on the
    world by its nature (None: that depends on its body).
    """

    label: str
    step_id: str
    kind: str
    decision: Decided
    why: str
    output: Any = UNSET
    error: Error | None = None
    effects: bool | None = None


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """A step that a fork cannot go past by itself, and why."""

    label: str
    kind: str
    why: str


class Plan:
    """What a fork would do with every step, known before anything of it is executed.

    `start` is the recorded step from which the choices count, None for the beginning. Raises `NotFoundError` for
    a `from_step` the run does not have, and `InvalidArgumentError` for a name that several steps have.
    """

    def __init__(self, recording: Recording, choices: Choices) -> None:
        self.recording, self.choices = recording, choices
        self.recorded = Recorded(recording)
        run_id = recording.run.id
        self._names = Names(run_id, self.recorded.order)
        self.given: dict[str, Given] = {}
        self.decided: dict[str, Word] = {}
        # By the words of the caller: no recorded step has them, the code may ask for such a step.
        self.new_outputs: dict[str, Given] = {}
        self.new_decided: dict[str, Word] = {}
        for word, output in choices.outputs.items():
            step = self._names.one(word)
            if step is not None:
                self.given[step.step_id] = output
            else:
                self.new_outputs[word] = output
        for word, decision in choices.decided.items():
            found = self._names.all(word)
            self.decided.update((step.step_id, decision) for step in found)
            if not found:
                self.new_decided[word] = decision
        self.start = self._start()
        self._last = max((step.sequence for step in self.recorded.order), default=-1)

    def before(self, step: Step) -> bool:
        """Return whether a recorded step lies before the fork."""
        return self.start is not None and step.sequence < self.start.sequence

    def went_on(self, step: Step) -> bool:
        """Return whether the run went on after a step that failed: its code had caught the error."""
        return step.sequence < self._last or self.recording.run.status == "completed"

    def rows(self) -> tuple[Planned, ...]:
        """Return every recorded step in order, then what was said of steps that are not recorded."""
        known = [self._planned(step) for step in self.recorded.order]
        absent = "not recorded; counts if the code asks for it"
        for word, output in self.new_outputs.items():
            known.append(_new(word, "given", absent, output.output if output.error is None else UNSET, output.error))
        known += [_new(word, decision, absent, UNSET, None) for word, decision in self.new_decided.items()]
        return tuple(known)

    def executed(self) -> tuple[str, ...]:
        """Return the labels of the steps whose bodies would be executed for real, "any new step" among them."""
        labels = [row.label for row in self.rows() if row.decision == "run"]
        return (*labels, "any step that was not recorded") if self.choices.otherwise == "run" else tuple(labels)

    def word(self, step_id: str) -> tuple[Word, bool]:
        """Return the decision for a step and whether it was made for this one."""
        decision = self.decided.get(step_id)
        return (decision, True) if decision is not None else (self.choices.otherwise, False)

    def _start(self) -> Step | None:
        if self.choices.from_step:
            return self._names.must(self.choices.from_step)
        steps = self.recorded.order
        first = next((step for step in steps if step.step_id in self.given), None)
        return first or next((step for step in steps if _failed(step)), None)

    def _planned(self, step: Step) -> Planned:
        kind = kind_of(step)
        row = Planned(
            label=stepid.label(self.recording.run.id, step.step_id),
            step_id=step.step_id,
            kind=kind,
            decision="stop",
            why="as you said",
            effects=has_effects(kind),
        )
        known = self.given.get(step.step_id)
        if known is not None:
            why = "your output" if known.error is None else "your error"
            output = known.output if known.error is None else UNSET
            return replace(row, decision="given", why=why, output=output, error=known.error)
        if self.before(step):
            output = step.output if step.status == "completed" else UNSET
            return replace(row, decision="recorded", why="before the fork", output=output, error=step.error)
        decision, named = self.word(step.step_id)
        if decision == "stop":
            return row
        if decision == "run" and kind in _BODIES:
            why = "you named it" if named else "you said so for every step"
            return replace(row, decision="run", why=f"{why}: its body is executed for real")
        never = f"{_SERVERS[kind]} by a fork: " if decision == "run" and kind in _SERVERS else ""
        return self._stub(step, row, never, named=named)

    def _stub(self, step: Step, row: Planned, never: str, *, named: bool) -> Planned:
        if row.kind == "sleep":
            return replace(row, decision="stub", why="passes at once")
        need = "give its output" if never and named else self.lacking(step)
        if need:
            return replace(row, why=f"{never}needs a decision: {need}", error=step.error)
        if step.status == "completed":
            return replace(
                row, decision="stub", why=f"{never}its recorded output, if asked the same", output=step.output
            )
        return replace(row, decision="stub", why=f"{never}it fails again, as recorded", error=step.error)

    def lacking(self, step: Step) -> str:
        """Return why a recorded step has no outcome to be repeated, "" when it has one."""
        if step.status == "completed":
            return ""
        if not _failed(step):
            return f"it had not ended ({step.status})"
        if self.start is not None and step.step_id == self.start.step_id:
            return "it failed, and the fork begins here"
        return "" if self.went_on(step) else "it failed, and so did the run"


class Deciding:
    """The answers of one fork; `needs` and `unused` are to be read when it has ended."""

    def __init__(self, plan: Plan) -> None:
        self.needs: list[Need] = []
        self._plan = plan
        self._recorded = Recorded(plan.recording)
        self.notes: list[str] = self._recorded.notes
        self._run_id = plan.recording.run.id
        self._passed = plan.start is None
        run_id = self._run_id
        self._open = {step_id: stepid.label(run_id, step_id) for step_id in (*plan.given, *plan.decided)}
        self._open |= {word: word for word in (*plan.new_outputs, *plan.new_decided)}

    @property
    def unused(self) -> tuple[str, ...]:
        """The steps the caller spoke of that the code did not ask for."""
        return tuple(self._open.values())

    def answer(self, call: Call) -> Answer:
        """Return what a call gets."""
        self._open.pop(call.step_id, None)
        step = self._plan.recorded.step(call.step_id)
        given = self._plan.given.get(call.step_id) if step is not None else self._said(call, self._plan.new_outputs)
        if given is not None:
            self._passed = True
            return _handed(call, given, step)
        if step is not None and self._plan.before(step):
            return self._recorded.answer(call)
        decision, named = self._plan.word(call.step_id)
        if step is None:
            # A decision by name is for every step of that name, an output for one step.
            own: Word | None = self._said(call, self._plan.choices.decided, call.name)
            decision, named = (own, True) if own is not None else (decision, False)
            if not self._passed and not named:
                # The code has left the recording before it came to the step it was to be forked at.
                return self._recorded.answer(call)
        self._passed = True
        return self._decide(call, step, decision, named=named)

    def _decide(self, call: Call, step: Step | None, decision: Word, *, named: bool) -> Answer:
        if decision == "stop":
            return self._need(call, "you said to stop here", verb="stops")
        if decision == "run" and call.kind in _BODIES:
            return Execute()
        if decision == "run" and named and call.kind in _SERVERS:
            return self._need(call, f"{_SERVERS[call.kind]} by a fork: give its output")
        return self._stub(call, step)

    def _stub(self, call: Call, step: Step | None) -> Answer:
        if call.kind == "sleep":
            return _times(Give(source="stub"), step)
        if step is None:
            if call.kind == "compensate":
                self.notes.append(f"{_cut(call.label)} would undo its step now; it was not executed")
                return Give(source="stub")
            return self._need(call, "it was not recorded")
        changed = differs(call, step)
        lacking = changed or self._plan.lacking(step)
        if lacking:
            return self._need(call, lacking)
        answer = answer_of(step, call)
        if isinstance(answer, Stop):
            return self._need(call, answer.reason)
        return answer if isinstance(answer, Execute) else replace(answer, source="stub")

    def _need(self, call: Call, why: str, *, verb: str = "needs a decision") -> Stop:
        self.needs.append(Need(label=call.label, kind=call.kind, why=why))
        return Stop(reason=f"step {_cut(call.label)!r} {verb}: {why}. {_remedy(call)}", source="stub")

    def _said(self, call: Call, words: Any, *others: str) -> Any:
        for form in (*forms(self._run_id, call.step_id), *others):
            if form in words:
                self._open.pop(form, None)
                return words[form]
        return None


def kind_of(step: Step) -> str:
    """Return the kind of call that a recorded step came from; one that started a child is an `invoke`."""
    if stepid.step_name(step.step_id).startswith(PUBLISH):
        return "publish"
    return _KINDS.get(str(step.step_type), "run")


def has_effects(kind: str) -> bool | None:
    """Return whether a kind of step acts on the world by its nature; None where its body decides it."""
    return None if kind in _BODIES else kind in ("publish", "invoke", "invoke_async")


def _failed(step: Step) -> bool:
    return step.status in ("failed", "timed_out", "dead", "retrying")


def _new(word: str, decision: Decided, why: str, output: Any, error: Error | None) -> Planned:
    return Planned(label=word, step_id="", kind="", decision=decision, why=why, output=output, error=error)


def _handed(call: Call, given: Given, step: Step | None) -> Answer:
    """Return what the caller made of a step, in the form in which a server would tell it."""
    if given.error is not None:
        if call.kind == "sleep":
            return Stop(reason=given.error.message, status="failed", error=given.error, source="given")
        return _times(Fail(error=given.error, source="given"), step)
    output = given.output
    if call.kind == "wait_for_event" and not _is_event(output):
        wanted = call.wanted if isinstance(call.wanted, dict) else {}
        output = {"id": "", "name": wanted.get("event", ""), "data": output}
    elif call.kind == "publish" and not (isinstance(output, dict) and output.get("eventId")):
        output = {"eventId": "evt_fork", "sequence": 0}
    elif call.kind == "invoke_async" and isinstance(output, str):
        output = {"run_id": output}
    return _times(Give(output=output, source="given"), step)


def _is_event(output: Any) -> bool:
    # The recorded output of a wait, changed; anything else is meant as the event's data.
    return isinstance(output, dict) and {"name", "data"} <= output.keys() <= _EVENT


def _times(answer: Handed, step: Step | None) -> Handed:
    return answer if step is None else replace(answer, started_at=step.started_at, ended_at=step.ended_at)


def _remedy(call: Call) -> str:
    label = _cut(call.label)
    run = f"fork.decide({{{label!r}: 'run'}}) executes its body for real, " if call.kind in _BODIES else ""
    return f"{run}fork.decide(with_outputs={{{label!r}: ...}}) gives its output"


def _cut(label: str) -> str:
    return redaction.clip(label, limit=_SHOWN)


def labels(needs: Iterable[Need]) -> tuple[str, ...]:
    """Return the steps that need a decision, each once."""
    return tuple(dict.fromkeys(need.label for need in needs))
