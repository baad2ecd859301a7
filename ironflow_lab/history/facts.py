"""What can be said of one run, to be counted over many: values in its payloads, its steps, its surroundings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.acts import is_marker
from ironflow_lab.history.paths import Path, path_text
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.values import json_text
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import Error, Run, Step
from ironflow_lab.wire import stepid

INPUT, SURROUNDINGS, STEP, OUTPUT, TIME, ATTEMPTS, ERROR = (
    *("input", "surroundings", "step", "step output", "time", "attempts", "error"),
)
KINDS = (INPUT, SURROUNDINGS, STEP, OUTPUT, TIME, ATTEMPTS, ERROR)
# Stands in a path for any item of a list.
ANY = -1
LENGTH = "len()"
_DEEPEST = 12
_MOST_LEAVES = 300
_MOST_ITEMS = 100
_LONGEST = 200
_HOUR = 3_600_000_000_000
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F-]{12,}\b|\d+(?:\.\d+)?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_DONE = "completed"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is so or not: the value at `path` passes `test` (=, !=, >, <=, present, absent)."""

    kind: str
    path: Path
    test: str
    value: Any = msgspec.UNSET

    @property
    def secret(self) -> bool:
        """Whether the value stands under a secret-looking key."""
        named = self.path[2:] if self.path[:1] == ("steps",) else self.path
        return any(redaction.is_secret(part) for part in named if isinstance(part, str))

    def place(self) -> str:
        """Return the path as text: `input.items[].sku`, `len(input.items)`."""
        if self.path[-1:] == (LENGTH,):
            return f"len({_place(self.path[:-1])})"
        return _place(self.path)

    def words(self) -> str:
        """Return it in one line, redacted."""
        place = redaction.clip(self.place(), limit=_LONGEST)
        if self.value is msgspec.UNSET:
            return f"{place} is {self.test}"
        if self.path == ("created_at",):
            return f"{place} {self.test} {format_instant(self.value)}"
        value = redaction.HIDDEN if self.secret else self.value
        return f"{place} {self.test} {redaction.clip(json_text(value).decode('utf-8', 'replace'), limit=_LONGEST)}"


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What one run shows: the values at each path (several below a list), and what cannot be known of it.

    `hidden` are places whose values are redacted, `steps` the labels of its steps in order, `done` those
    that completed; of a run that is not `whole`, steps behind its last may only not have been reached.
    """

    values: dict[Path, frozenset[Any]]
    hidden: tuple[Path, ...] = ()
    steps: tuple[str, ...] = ()
    done: frozenset[str] = frozenset()
    whole: bool = False


def observe(recording: Recording) -> Observation:
    """Return what a run shows; of payloads at most 300 values each."""
    run = recording.run
    values: dict[Path, set[Any]] = {}
    hidden: list[Path] = []
    for path, value in _surroundings(recording):
        values.setdefault(path, set()).add(value)
    _payload(("input",), run.input, values, hidden)
    labels, done = [], set()
    attempt = 1
    for step in sorted(recording.steps, key=lambda one: (one.sequence, one.started_at or one.created_at)):
        if step.status == "pending" and not step.started_at:
            continue
        label = stepid.label(run.id, step.step_id)
        labels.append(label)
        values[("steps", label)] = {True}
        if step.status == _DONE:
            done.add(label)
            # The attempt of a step is that of its run, which earlier steps may have raised.
            values[("steps", label, "tries")] = {max(1, step.attempt - attempt + 1)}
            _payload(("steps", label, "output"), step.output, values, hidden)
            _corrected(label, step, values)
        attempt = max(attempt, step.attempt)
    return Observation(
        values={path: frozenset(found) for path, found in values.items()},
        hidden=tuple(hidden),
        steps=tuple(labels),
        done=frozenset(done),
        whole=run.status == _DONE,
    )


def kind_of(path: Path) -> str:
    """Return which of `KINDS` a path's facts are."""
    head = path[0]
    if head == "steps":
        return OUTPUT if path[2:3] == ("output",) else STEP
    named = {"input": INPUT, "error": ERROR, "failed_at": ERROR, "attempts": ATTEMPTS, "hour": TIME}
    return TIME if head == "created_at" else named.get(str(head), SURROUNDINGS)


def message_class(error: Error) -> str:
    """Return an error's message without what differs from one time to the next: numbers, ids, quoted texts."""
    first = error.message.strip().partition("\n")[0]
    return redaction.clip(_NUMBERS.sub("#", _QUOTED.sub("'…'", first)), limit=_LONGEST)


def _surroundings(recording: Recording) -> Iterator[tuple[Path, Any]]:
    run = recording.run
    told = {
        "function": run.function_id,
        "function_version": run.function_version,
        "code_hash": recording.code.code_hash,
        "event": run.event_name,
        "worker": run.worker_id,
        "attempts": run.attempt,
        "created_at": int(run.created_at),
        "hour": run.created_at // _HOUR % 24 if run.created_at else None,
    }
    for name, value in told.items():
        if value or (name == "hour" and value is not None):
            yield (name,), value
    if run.error is not None and run.status != _DONE:
        yield from _error(run, run.error, recording.steps)


def _error(run: Run, error: Error, steps: tuple[Step, ...]) -> Iterator[tuple[Path, Any]]:
    failed = [step for step in steps if step.status in ("failed", "dead", "timed_out")]
    last = max(failed, key=lambda step: step.sequence, default=None)
    # A run's own code only says that a step failed.
    own = last.error.code if last is not None and last.error is not None else ""
    if own or error.code:
        yield ("error", "code"), own or error.code
    yield ("error", "message"), message_class(error)
    if last is not None:
        yield ("failed_at",), stepid.label(run.id, last.step_id)


def _corrected(label: str, step: Step, values: dict[Path, set[Any]]) -> None:
    if step.patched_at or step.original_output is not None:
        values[("steps", label, "corrected")] = {True}


def _payload(root: Path, value: Any, values: dict[Path, set[Any]], hidden: list[Path]) -> None:
    pending: list[tuple[Path, Any]] = [(root, value)]
    leaves = 0
    while pending and leaves < _MOST_LEAVES:
        path, one = pending.pop()
        if is_marker(one):
            hidden.append(path)
        elif isinstance(one, dict):
            values.setdefault(path, set())
            if len(path) < _DEEPEST:
                pending += [((*path, key), inner) for key, inner in list(one.items())[:_MOST_LEAVES]][::-1]
        elif isinstance(one, list):
            values.setdefault(path, set())
            values.setdefault((*path, LENGTH), set()).add(len(one))
            if len(path) < _DEEPEST:
                pending += [((*path, ANY), inner) for inner in one[:_MOST_ITEMS]][::-1]
        else:
            leaves += 1
            found = values.setdefault(path, set())
            if not isinstance(one, str) or len(one) <= _LONGEST:
                found.add(key(one))


def key(value: Any) -> Any:
    """Return a scalar as what equals it alone: true is not 1, and 1.0 is 1."""
    return ("bool", value) if isinstance(value, bool) else value


def scalar(key: Any) -> Any:
    """Return the value of a key."""
    return key[1] if isinstance(key, tuple) else key


def _place(path: Path) -> str:
    return path_text(path).replace(f"[{ANY}]", "[]")
