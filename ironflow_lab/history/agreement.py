"""Whether what the audit trail tells of a run agrees with the run's own rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.equality import agree
from ironflow_lab.history.fold import History
from ironflow_lab.history.snapshot import StepState
from ironflow_lab.models.runs import Run, Step

_NAMED = 3
_SHOWN = 60


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`fold` when trail and rows agree, else `incomplete`; `differences` and `note` are texts for a person."""

    source: str
    differences: tuple[str, ...] = ()
    note: str = ""


def check(history: History, steps: Sequence[Step], run: Run | None = None) -> Verdict:
    """Compare the end of a history with the run's step rows, and with its run row when given.

    Statuses must agree, and outputs and errors wherever both sides tell one: servers differ in how much
    of them their trails keep. Numbers are compared by value, for a server may write 1.0 as 1.
    """
    found = (*_run_differences(history, run), *_step_differences(history, steps))
    if not found:
        return Verdict(source="fold")
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    note = f"the audit trail does not tell all of this run: {'; '.join(found[:_NAMED])}{more}"
    return Verdict(source="incomplete", differences=found, note=note)


def _run_differences(history: History, run: Run | None) -> Iterator[str]:
    if run is None:
        return
    state = history.run_at(history.length)
    if state.status != run.status:
        yield f"the run is {run.status}, by its trail {state.status or 'not created'}"
    if run.status == "completed" and state.output is not msgspec.UNSET and not agree(state.output, run.output):
        yield "the run's output is another"
    if state.input is not msgspec.UNSET and not agree(state.input, run.input):
        yield "the run's input is another"


def _step_differences(history: History, steps: Sequence[Step]) -> Iterator[str]:
    if steps and not history.steps:
        yield f"none of its steps ({len(steps)}) is in it (a function with the profile run_lifecycle records no steps)"
        return
    folded = {state.step_id: state for state in history.steps}
    for row in steps:
        state = folded.pop(row.step_id, None)
        if state is None:
            yield f"step {_name(row.step_id)} is not in it"
        else:
            yield from _differences(state, row)
    for state in folded.values():
        yield f"step {_name(state.label)} has no row"


def _differences(state: StepState, row: Step) -> Iterator[str]:
    if state.status != row.status:
        yield f"step {_name(state.label)} is {row.status}, by its trail {state.status}"
    elif state.status == "completed" and state.output is not msgspec.UNSET and not agree(state.output, row.output):
        yield f"the output of step {_name(state.label)} is another"
    elif state.status == "failed" and row.error is not None and _message(state.error) not in ("", row.error.message):
        yield f"the error of step {_name(state.label)} is another"


def _message(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def _name(label: str) -> str:
    return redaction.clip(label, limit=_SHOWN)
