"""What acts on a run: which step is meant, and what a change would do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ironflow_lab.errors import DefinitionError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.models.runs import Run, Step
from ironflow_lab.wire.stepid import label, step_name

_MOST_NAMED = 20
_MARKER = {"$redacted", "sha256", "redactedAt"}


def named(steps: Iterable[Step], wanted: Any, run_id: str) -> Step:
    """Return the step meant by an id, a row's id, a name, or a name with its number such as `charge:1`.

    In a branch its place will do too, such as `pack:0:wrap`. Raises `NotFoundError` that names the steps
    there are, and `InvalidArgumentError` with the candidates for a name that several steps have.
    """
    known = tuple(steps)
    if not isinstance(wanted, str) or not wanted:
        raise DefinitionError(f"{wanted!r:.60} is no step; give its name, such as 'charge' or 'charge:1', or its id")
    exact = [step for step in known if wanted in (step.step_id, step.id)]
    exact = exact or [step for step in known if wanted in (_placed(step), _shown(step))]
    same = [step for step in known if wanted in (_name(step), _numbered(step))]
    # A plain name is the card's word for the first step of that name, and means all of them here.
    found = same if len(same) > 1 and wanted == _name(same[0]) else exact or same
    if not found:
        there = ", ".join(map(_numbered, known[:_MOST_NAMED])) or "none yet"
        raise NotFoundError(f"run {run_id} has no step {wanted[:60]!r}; its steps are {there}")
    if len(found) > 1:
        numbers = list(map(_numbered, found))
        ways = numbers if len(set(numbers)) == len(numbers) else [_placed(step) for step in found]
        candidates = ", ".join(repr(one) for one in ways[:_MOST_NAMED])
        raise InvalidArgumentError(f"run {run_id} has {len(found)} steps called {wanted!r}; name one of {candidates}")
    return found[0]


def resume_plan(run: Run, steps: Iterable[Step], first: Step | None) -> str:
    """Return what resuming the run, from a step or where it stands, would do."""
    if first is None:
        return f"resume run {run.id} where it stands; its finished steps are kept"
    later = sum(step.sequence > first.sequence for step in steps)
    corrected = first.patched_at or is_injected(first)
    own = "keeps its corrected output" if corrected else "runs again"
    rest = f", and so do the {later} after it" if not corrected else f"; the {later} after it run again"
    return f"resume run {run.id} from step {step_name(first.step_id)!r}, which {own}{rest if later else ''}"


def is_injected(step: Step) -> bool:
    """Return whether the step's output was injected: it has another before it, and no patch."""
    return step.original_output is not None and not step.patched_at


def input_again(run: Run, given: Any) -> Any:
    """Return the input for another run, `UNSET` for the first one's.

    Raises `FailedPreconditionError` where that is redacted.
    """
    if given is not msgspec.UNSET:
        return given
    if isinstance(run.input, dict) and run.input.keys() == _MARKER:
        raise FailedPreconditionError(
            f"the input of run {run.id} has been redacted; give another one: run.rerun(input)"
        )
    return run.input


def _name(step: Step) -> str:
    return step_name(step.step_id)


def _numbered(step: Step) -> str:
    """Return the step's name with its number, as `charge:1`; of the first of a name without `:0` too."""
    number = step.step_id.rpartition(":")[2]
    return f"{_name(step)}:{number}" if number.isdecimal() else step.step_id


def _shown(step: Step) -> str:
    """Return what the card calls the step."""
    return label(step.run_id, step.step_id)


def _placed(step: Step) -> str:
    """Return the step's id without its run's, as `pack:0:wrap:0`."""
    return step.step_id.removeprefix(f"{step.run_id}:")
