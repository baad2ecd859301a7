"""The steps of a run as they are compared with another's: what each was given and what came of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.snapshot import StepState
from ironflow_lab.history.values import json_text
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import NOT_SET, Error, Step, StepStatus, StepType
from ironflow_lab.wire import stepid

# Deeper than this no branch holds branches; what is below counts as one place.
_DEEPEST = 32
# A shorter id may stand in a payload by chance.
_SHORTEST_ID = 12
_PART = re.compile(r"(?:[^:\\]|\\.?)*", re.DOTALL)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_MARKER = frozenset({"$redacted", "sha256", "redactedAt"})
_HINTS = (redaction.HIDDEN.encode(), b"$redacted")
_TRIVIAL: tuple[Any, ...] = (None, True, False, 0, 1, "", {}, [])
_STARTS = frozenset({"step.started", "saga.compensation.started"})


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run. `scope` is its place, a name and a number a branch; `order` its place among all.

    `tries` counts its executions (`counted` False: guessed from the attempts of the rows), `given` is
    what it was called with as far as that is recorded (`UNSET` where it is not), `digest` stands for what
    came of it, `hidden` says that some of that is redacted, `trivial` that it is a value such as null.
    """

    label: str
    name: str
    index: int = 0
    scope: tuple[tuple[str, int], ...] = ()
    order: int = 0
    type: str = ""
    status: str = ""
    output: Any = msgspec.UNSET
    error: Error | None = None
    tries: int = 1
    counted: bool = False
    patched: bool = False
    injected: bool = False
    given: Any = msgspec.UNSET
    length: int = 0
    started_at: Instant = NOT_SET
    ended_at: Instant = NOT_SET
    digest: bytes = b""
    given_digest: bytes = b""
    hidden: bool = False
    trivial: bool = False

    def __repr__(self) -> str:
        return f"Act({redaction.clip(self.label, limit=80)!r}, status={self.status!r})"

    @property
    def place(self) -> tuple[str, ...]:
        """The names of the branches around it and its own, which the numbers of loops and branches leave alone."""
        return (*(name for name, _ in self.scope), self.name)


def acts(recording: Recording) -> list[Act]:
    """Return the steps that have begun, in the order of the code: branch by branch where there are several."""
    history = recording.history() if recording.events else None
    states = {state.step_id: state for state in history.steps} if history is not None else {}
    starts = Counter(one.step_id for one in recording.events if one.event_type in _STARTS)
    rows = [row for row in recording.steps if row.started_at or row.ended_at or row.status != "pending"]
    rows.sort(key=lambda row: (row.sequence, row.started_at or row.created_at))
    if not rows:
        rows = [_row(recording.run.id, state) for state in states.values() if state.status != "pending"]
    found, attempt = [], 1
    for row in rows:
        tries = starts[row.step_id] or max(1, row.attempt - attempt + 1)
        attempt = max(attempt, row.attempt)
        found.append(_act(recording, row, states.get(row.step_id), tries, counted=bool(starts[row.step_id])))
    return [msgspec.structs.replace(one, order=order) for order, one in enumerate(_in_order(found, 0))]


def digest(value: Any, *names: str) -> bytes:
    """Return what is equal for equal JSON values; `names`, such as the run's own id, count as one and the same."""
    state = blake2b(digest_size=16)
    text = _text(value)
    for number, name in enumerate(one.encode("utf-8", "surrogatepass") for one in names if len(one) >= _SHORTEST_ID):
        text = text.replace(name, b"<%d>" % number)
    state.update(text)
    return state.digest()


def is_marker(value: Any) -> bool:
    """Return whether the value stands for one that was redacted."""
    return value == redaction.HIDDEN or (isinstance(value, dict) and value.keys() == _MARKER)


def is_hidden(value: Any) -> bool:
    """Return whether the value, or a part of it, is redacted."""
    text = _text(value)
    return any(hint in text for hint in _HINTS) and any(map(is_marker, _inner(value)))


def error_key(error: Error | None) -> Any:
    """Return what two equal failures have in common: no addresses, no lines of code."""
    if error is None:
        return None
    return [error.code, _ADDRESS.sub("0x", error.message), error.details]


def _act(recording: Recording, row: Step, state: StepState | None, tries: int, *, counted: bool) -> Act:
    run_id, step_id = recording.run.id, row.step_id
    scope, name, index = _placed(run_id, step_id)
    ended = row.status not in ("pending", "running", "sleeping", "waiting", "retrying")
    output = row.output if ended and row.error is None else msgspec.UNSET
    own = (run_id, row.child_run_id)
    given = _given(row, state)
    silent = output is msgspec.UNSET or any(output is one or output == one for one in _TRIVIAL)
    failed = [] if row.error is None else error_key(row.error)
    outcome = [str(row.status), failed, [] if output is msgspec.UNSET else [_settled(output)]]
    until = row.sleep_until or (state.until if state is not None else NOT_SET)
    return Act(
        label=stepid.label(run_id, step_id),
        name=name,
        index=index,
        scope=scope,
        # Who leaves it open means a plain step.
        type=str(row.step_type) or "invoke",
        status=str(row.status),
        output=output,
        error=row.error,
        tries=tries,
        counted=counted,
        patched=bool(row.patched_at) or (state is not None and state.patched),
        injected=state.injected if state is not None else row.original_output is not None and not row.patched_at,
        given=given,
        length=max(0, until - row.started_at) if until and row.step_type == "sleep" else 0,
        started_at=row.started_at,
        ended_at=row.ended_at,
        digest=digest(outcome, *own),
        given_digest=b"" if given is msgspec.UNSET else digest(given, *own),
        hidden=output is not msgspec.UNSET and is_hidden(output),
        trivial=row.error is None and silent,
    )


def _given(row: Step, state: StepState | None) -> Any:
    """Return what the step was called with; a plain step's arguments are recorded nowhere."""
    told: dict[str, Any] = {}
    given = row.input if row.input is not None or state is None else state.input
    if given is not None and given is not msgspec.UNSET:
        told["input"] = given
    if state is not None:
        told |= {name: value for name in ("event", "function_id") if (value := getattr(state, name))}
        if state.match is not msgspec.UNSET:
            told["match"] = state.match
    if row.wait_event_name:
        told["event"] = row.wait_event_name
    return told or msgspec.UNSET


def _row(run_id: str, state: StepState) -> Step:
    """Return a step that only the audit events tell as a row."""
    error = state.error if isinstance(state.error, dict) else None
    known = error or ({"message": state.error} if isinstance(state.error, str) else {})
    told = {name: text for name in ("message", "code") if isinstance(text := known.get(name), str)}
    return Step(
        id=state.step_id,
        run_id=run_id,
        step_id=state.step_id,
        step_type=StepType(state.type),
        sequence=state.sequence,
        status=StepStatus(state.status),
        output=None if state.output is msgspec.UNSET else state.output,
        error=Error(message=told.get("message", ""), code=told.get("code", "")) if known else None,
        attempt=state.attempt,
        child_run_id=state.child_run_id,
        started_at=state.started_at,
        ended_at=state.completed_at,
    )


def _placed(run_id: str, step_id: str) -> tuple[tuple[tuple[str, int], ...], str, int]:
    """Return the branches around a step, its name, and how often that was used before there."""
    name, inner = stepid.step_name(step_id), step_id.removeprefix(run_id + ":")
    index = inner.rpartition(":")[2]
    own = f"{stepid.escape(name)}:{index}"
    if inner == step_id or not index.isdecimal() or len(index) > 9 or not inner.endswith(own):
        return (), inner if name == step_id else name, 0
    parts = [part for part in _PART.findall(inner.removesuffix(own)) if part]
    pairs = list(zip(parts[::2], parts[1::2], strict=False))
    if len(parts) % 2 or len(pairs) > _DEEPEST or not all(n.isdecimal() and len(n) < 10 for _, n in pairs):
        return ((":".join(parts), 0),), name, int(index)
    return tuple((group, int(number)) for group, number in pairs), name, int(index)


def _in_order(found: Iterable[Act], depth: int) -> Iterator[Act]:
    """Yield acts with every group of branches where its first step stands, branch by branch."""
    groups: dict[Any, dict[int, list[Act]]] = {}
    for number, one in enumerate(found):
        if len(one.scope) == depth:
            groups[number] = {0: [one]}
        else:
            group, branch = one.scope[depth]
            groups.setdefault(group, {}).setdefault(branch, []).append(one)
    for key, branches in groups.items():
        for branch in sorted(branches):
            if isinstance(key, int):
                yield from branches[branch]
            else:
                yield from _in_order(branches[branch], depth + 1)


def _settled(output: Any) -> Any:
    # Two markers of one value were written at two times.
    return {"sha256": output["sha256"]} if isinstance(output, dict) and output.keys() == _MARKER else output


def exact(value: Any) -> bytes:
    """Return a JSON value as JSON text, however deeply it is nested."""
    try:
        return json_text(value)
    except RecursionError:
        return _spelled(value)


def _text(value: Any) -> bytes:
    try:
        text = msgspec.json.encode(value, order="sorted")
        # The encoder writes null for NaN.
        return _spelled(value) if b"null" in text and "nan" in repr(value) else text
    except (UnicodeEncodeError, OverflowError, RecursionError):
        return _spelled(value)


def _spelled(value: Any) -> bytes:
    """Return a JSON value's text whatever it holds and however deep; keys sorted."""
    parts: list[bytes] = []
    pending: list[Any] = [value]
    while pending:
        one = pending.pop()
        if type(one) is bytes:
            parts.append(one)
        elif isinstance(one, dict):
            pending.append(b"}")
            for at, key in enumerate(sorted(one, reverse=True), 1):
                pending += [one[key], b":", str(key), *([b","] if at < len(one) else [])]
            parts.append(b"{")
        elif isinstance(one, list | tuple):
            pending.append(b"]")
            for at, inner in enumerate(reversed(one), 1):
                pending += [inner, *([b","] if at < len(one) else [])]
            parts.append(b"[")
        else:
            parts.append(json.dumps(one).encode())
    return b"".join(parts)


def _inner(value: Any) -> Iterator[Any]:
    pending = [value]
    while pending:
        one = pending.pop()
        yield one
        if isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list | tuple):
            pending += one
