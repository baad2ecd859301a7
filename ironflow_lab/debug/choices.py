"""What a fork was told to do otherwise, and which step each of it means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec

from ironflow_lab.errors import DefinitionError, InvalidArgumentError, NotFoundError
from ironflow_lab.history import redaction
from ironflow_lab.models.instant import Int64
from ironflow_lab.models.runs import Error, Step
from ironflow_lab.runtime import faults, payloads
from ironflow_lab.wire import stepid

Word = Literal["stub", "run", "stop"]
WORDS: tuple[Word, ...] = get_args(Word)
_MOST_NAMED = 20
_SHOWN = 60


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a step returns in a fork, or the error it raises."""

    output: Any = None
    error: Error | None = None


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What a fork does otherwise than the run.

    `from_step` is a label, "" for the default. `outputs` are by the word that the caller used, `decided` by a
    step's word too, and `otherwise` is for all steps that nothing was said of.
    """

    from_step: str = ""
    outputs: Mapping[str, Given] = {}
    decided: Mapping[str, Word] = {}
    otherwise: Word = "stub"


def choices(
    from_step: str | None = None,
    with_outputs: Mapping[str, Any] | None = None,
    steps: Word | Mapping[str, Word] | None = None,
) -> Choices:
    """Return what the caller wants; raises `DefinitionError` for what means nothing, `PayloadError` for no JSON."""
    start = "" if from_step is None else _step(from_step)
    if with_outputs is not None and not isinstance(with_outputs, Mapping):
        raise DefinitionError("with_outputs takes a dict of steps and their outputs: {'charge': {'ok': True}}")
    outputs = {_step(key): given(key, value) for key, value in (with_outputs or {}).items()}
    decided = {_step(key): word(key, value) for key, value in steps.items()} if isinstance(steps, Mapping) else {}
    twice = sorted(outputs.keys() & decided.keys())
    if twice:
        raise DefinitionError(f"step {twice[0]!r:.60} has an output and a decision; give one of them")
    otherwise = "stub" if steps is None or isinstance(steps, Mapping) else word("steps", steps)
    return Choices(from_step=start, outputs=outputs, decided=decided, otherwise=otherwise)


def more(known: Choices, decided: Mapping[str, Any], with_outputs: Mapping[str, Any] | None) -> Choices:
    """Return the choices with more of them; the newer one counts where both speak of a step."""
    new = choices(None, with_outputs, decided)
    outputs = {key: value for key, value in known.outputs.items() if key not in new.decided}
    words = {key: value for key, value in known.decided.items() if key not in new.outputs}
    return msgspec.structs.replace(known, outputs={**outputs, **new.outputs}, decided={**words, **new.decided})


def given(key: str, value: Any) -> Given:
    """Return what a step is made to return, as JSON reads it, or an exception, to raise."""
    if isinstance(value, type) and issubclass(value, BaseException):
        raise DefinitionError(f"step {key!r:.60} was given the class {value.__name__}; give an error, with its message")
    if not isinstance(value, BaseException):
        return Given(output=payloads.settle(value, f"step {key!r:.60}", verb="was given")[1])
    if not isinstance(value, Exception):
        raise DefinitionError(f"step {key!r:.60} cannot fail with {type(value).__name__}, which ends a process")
    code, retryable, delay = faults.advice(value)
    message = faults.describe(value)
    return Given(error=Error(message=message, code=code, retryable=retryable, retry_after_ms=Int64(delay or 0)))


def word(key: str, value: Any) -> Word:
    """Return a decision; raises `DefinitionError` for any other value."""
    if value not in WORDS:
        shown = redaction.clip(repr(redaction.redact(value)), limit=_SHOWN)
        raise DefinitionError(
            f"{key!r:.60}: {shown} is no decision; say 'stub' (its recorded output), 'run' (its body, for real) or"
            " 'stop'. An output is given by with_outputs={step: output}"
        )
    found: Word = value
    return found


class Names:
    """Which of the recorded steps a word means: a label, `charge:1`, a place in a branch, an id, or a name."""

    def __init__(self, run_id: str, steps: Iterable[Step]) -> None:
        self._run_id = run_id
        self._steps = {step.step_id: step for step in steps}

    def all(self, wanted: str) -> list[Step]:
        """Return the steps that a word means; a name means every step of that name."""
        inside = f":{stepid.escape(wanted)}:"
        same = [step for key, step in self._steps.items() if inside in key and stepid.step_name(step.step_id) == wanted]
        if len(same) > 1:
            return same
        exact = (self._steps.get(step_id) for step_id in self._ids(wanted))
        return next(([step] for step in exact if step is not None), same)

    def _ids(self, wanted: str) -> Iterator[str]:
        """Yield the ids that a word may stand for: the reverse of `forms`."""
        run_id = self._run_id
        yield wanted
        yield f"{run_id}:{wanted}"
        yield f"{run_id}:{stepid.escape(wanted)}:0"
        yield f"{run_id}:{wanted}:0"
        name, _, number = wanted.rpartition(":")
        if number.isdecimal():
            yield f"{run_id}:{stepid.escape(name)}:{number}"

    def one(self, wanted: str) -> Step | None:
        """Return the one step that a word means, None for none; raises `InvalidArgumentError` for several."""
        found = self.all(wanted)
        if len(found) > 1:
            ways = ", ".join(repr(step.step_id.removeprefix(f"{self._run_id}:")) for step in found[:_MOST_NAMED])
            raise InvalidArgumentError(
                f"run {self._run_id} has {len(found)} steps called {wanted!r:.60}; name one of {ways}"
            )
        return found[0] if found else None

    def must(self, wanted: str) -> Step:
        """Return the one step; raises `NotFoundError` that names those there are."""
        found = self.one(wanted)
        if found is None:
            there = ", ".join(
                stepid.label(self._run_id, step.step_id) for step in [*self._steps.values()][:_MOST_NAMED]
            )
            raise NotFoundError(f"run {self._run_id} has no step {wanted!r:.60}; its steps are {there or 'none yet'}")
        return found


def forms(run_id: str, step_id: str) -> tuple[str, ...]:
    """Return the words that mean exactly this step: its id, its place, its label, its name with its number."""
    place, label = step_id.removeprefix(f"{run_id}:"), stepid.label(run_id, step_id)
    name, number = stepid.step_name(step_id), step_id.rpartition(":")[2]
    # In a branch the same name and number stand elsewhere too.
    own = (f"{name}:{number}",) if label in (name, f"{name}:{number}") else ()
    return tuple(dict.fromkeys((step_id, place, label, *own)))


def _step(key: object) -> str:
    if not isinstance(key, str) or not key:
        raise DefinitionError(f"{key!r:.60} is no step; give its name, such as 'charge' or 'charge:1'")
    return key
