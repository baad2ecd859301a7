"""What a handler is given when it is executed again: the run's last attempt, as far as it was recorded."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

from msgspec import UNSET

from ironflow_lab.debug.world import World
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.workers import Assignment, JobContext, JobEvent
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.namespaces import outside

SECRET = "[secret]"
_DEEPEST = 8
# What a run's row does not say of its event, and what stands for it.
_UNKNOWN = {
    "timestamp": "its time is that of the run's creation",
    "metadata": "it has no metadata here",
    "idempotency_key": "it has no idempotency_key here",
    "source": "it has no source here",
}

_SET = (
    "the code makes a set and goes through something: the order of a set is another in each process, so steps that"
    " follow it may be given each other's outputs. Sort it"
)
_SETS = frozenset({"set", "frozenset"})


def assignment(recording: Recording, function: DurableFunction, world: World, event: JobEvent | None) -> Assignment:
    """Return the run's last attempt as a worker is given it, without a step done; notes what is not known.

    `event` is the one that started the run, where it is at hand: a run's row has only its data.
    """
    run = recording.run
    if event is None:
        event = JobEvent(id=run.event_id, name=run.event_name, data=run.input, timestamp=run.created_at)
        for note in _unknown(function, run.event_name):
            world.note(note)
    if _goes_by_a_set(getattr(inspect.unwrap(function.handler), "__code__", None)):
        world.note(_SET)
    fails = run.status == "failed" or (function.retry is not None and function.retry.on_exhausted == "fail")
    attempt = max(run.attempt, 1)
    return Assignment(
        job_id=f"replay of {run.id}",
        run_id=run.id,
        function_id=run.function_id,
        attempt=attempt,
        event=event,
        completed_steps=(),
        execution_seq=1,
        lease_token="",
        max_attempts=run.max_attempts or (attempt if run.status == "failed" else UNSET),
        on_exhausted="fail" if fails else "pause",
        context=JobContext(secrets=_Secrets(function.secrets, world)),
    )


class _Secrets(dict[str, str]):
    """Stand-ins for secrets, which are never read; each that the code reads is noted."""

    def __init__(self, names: tuple[str, ...], world: World) -> None:
        super().__init__(dict.fromkeys(names, SECRET))
        self._world = world

    def __getitem__(self, name: str) -> str:
        self._world.note(f"secret {name!r:.60} is never read in a replay: the code was given {SECRET!r}")
        return super().__getitem__(name)


def _unknown(function: DurableFunction, event_name: str) -> Iterator[str]:
    """Yield what the code asks of its event that is not known."""
    name = outside(function.namespace, event_name)
    if function.upcasters is not None and function.upcasters.latest_version(name) > 1:
        yield f"the version of the event {name!r:.60} was not recorded with the run: it is taken as 1"
    names = set(_names(getattr(inspect.unwrap(function.handler), "__code__", None), 0))
    if names.isdisjoint({"event", "event_meta"}):
        return
    for member, instead in _UNKNOWN.items():
        if member in names:
            yield f"the code reads {member!r} of its event, which was not recorded with the run: {instead}"


@functools.lru_cache(maxsize=256)
def _goes_by_a_set(code: CodeType | None) -> bool:
    """Return whether code makes a set that it does not sort, and has a loop."""
    if code is None:
        return False
    names = set(_names(code, 0))
    operations = set(_operations(code, 0))
    made = not (names.isdisjoint(_SETS) and operations.isdisjoint({"BUILD_SET", "SET_ADD"}))
    return made and "sorted" not in names and "FOR_ITER" in operations


def _operations(code: Any, depth: int) -> Iterator[str]:
    if isinstance(code, CodeType) and depth < _DEEPEST:
        yield from (one.opname for one in dis.get_instructions(code))
        for constant in code.co_consts:
            yield from _operations(constant, depth + 1)


def _names(code: Any, depth: int) -> Iterator[str]:
    if isinstance(code, CodeType) and depth < _DEEPEST:
        yield from code.co_names
        for constant in code.co_consts:
            yield from _names(constant, depth + 1)
