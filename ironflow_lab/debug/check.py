"""Changed code against a recorded run: whether it asks for the same steps and ends the same, or where it does not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ironflow_lab.debug.answers import hidden
from ironflow_lab.debug.judging import Finding, Judge
from ironflow_lab.debug.leads import Leads
from ironflow_lab.debug.replay import execute
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.debug.verdict import CANNOT, DIVERGES, SAME, SO_FAR, Verdict
from ironflow_lab.history import redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.runtime.function import DurableFunction

# In seconds of real time: what code between its steps may take.
PATIENCE = 10.0
# Differences of values that chance makes, where the steps are the same.
_VALUES = frozenset({"output", "changed input", "error"})
# What the notes of a replay say of time and chance outside the steps.
_CHANCE = "was not recorded"
_UNCHANGED = "the function's own code is that of the run: something it uses has changed, or depends on chance"
_SO_DOES_THE_FORMER = "so does the code of the run when it is replayed today: it is not this change"
_LONGEST = 400


def check(
    recording: Recording,
    function: DurableFunction,
    *,
    before: Callable[[], DurableFunction | None] = lambda: None,
    patience: float = PATIENCE,
) -> Verdict:
    """Return what a function's code would have made of a recorded run, told by replaying it in this process.

    `before` returns the code the run was executed with, where it is at hand: what diverges with that as well is
    not blamed on the change. The code gets `patience` seconds. Never raises for what the code does.
    """
    verdict = _judged(recording, function, patience)
    if verdict.verdict != DIVERGES:
        return verdict
    chance = next((note for note in verdict.notes if _CHANCE in note), "")
    if function.code_hash == recording.code.code_hash:
        if chance:
            return _cannot(verdict, "nondeterministic", f"{verdict.detail}; {chance}")
        return msgspec.structs.replace(verdict, detail=f"{verdict.detail} ({_UNCHANGED})")
    former = before()
    if former is not None:
        was = _judged(recording, former, patience)
        if was.verdict == SAME:
            return verdict
        if (was.reason, was.step) == (verdict.reason, verdict.step):
            return _cannot(verdict, "not repeatable", f"{verdict.detail}; {_SO_DOES_THE_FORMER}")
    if chance and verdict.reason in _VALUES:
        return _cannot(verdict, "nondeterministic", f"{verdict.detail}; {chance}")
    return verdict


def _judged(recording: Recording, function: DurableFunction, patience: float) -> Verdict:
    leads = Leads(recording)
    replayed = execute(recording, function, leads, patience=patience)
    judge = Judge(recording, replayed, leads)
    found = judge.first()
    run = recording.run
    verdict = Verdict(
        run_id=run.id,
        function_id=run.function_id,
        status=str(run.status),
        verdict=SO_FAR if judge.goes_on or not judge.alike else SAME,
        agreed=_agreed(replayed, found),
        notes=replayed.notes,
    )
    if replayed.violations and (found is not None or replayed.status == "stopped"):
        return _cannot(verdict, "side effects", f"between its steps the code would {_first_violation(replayed)}")
    if found is not None:
        return _diverging(verdict, found)
    if replayed.status == "stopped" and not (leads.unknown is not None and judge.goes_on):
        return _cannot(verdict, "redacted" if _redacted(recording, replayed) else "stopped", replayed.reason)
    if judge.uncompared:
        said = f"the steps are the same, but the recorded output is redacted at {judge.uncompared}"
        return _cannot(verdict, "redacted", f"{said}: it cannot be compared")
    return verdict


def _diverging(verdict: Verdict, found: Finding) -> Verdict:
    return msgspec.structs.replace(
        verdict,
        verdict=DIVERGES,
        reason=found.reason,
        step=found.step,
        became=found.became,
        detail=redaction.clip(found.detail, limit=_LONGEST),
        file=found.file,
        line=found.line,
    )


def _cannot(verdict: Verdict, reason: str, detail: str) -> Verdict:
    shown = redaction.clip(" ".join(detail.split()), limit=_LONGEST)
    return msgspec.structs.replace(verdict, verdict=CANNOT, reason=reason, step="", became="", detail=shown)


def _agreed(replayed: Replayed, found: Finding | None) -> int:
    return sum(1 for call in replayed.calls if found is None or call.order < found.at)


def _first_violation(replayed: Replayed) -> str:
    one = replayed.violations[0]
    return f"{one.what}, which a replay refuses"


def _redacted(recording: Recording, replayed: Replayed) -> bool:
    if hidden(recording.run.input):
        return True
    last = {replayed.calls[-1].step_id} if replayed.asked else set()
    return any(step.step_id in last and hidden(step.output) for step in recording.steps)
