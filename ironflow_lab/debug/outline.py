"""The recorded steps as a tree of scopes, the handler and its branches, with what is known of their order."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from ironflow_lab.history.payloads import instant, payload_of
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.runs import Step
from ironflow_lab.wire import stepid

# What a step id is made of: texts between colons, those that are escaped left in them.
_PART = re.compile(r"(?:[^:\\]|\\.?)+", re.DOTALL)

_WAITS = frozenset({"sleep", "wait_for_event", "invoke_function"})
# The names and indexes of the branches around a step: () is the handler itself.
Scope = tuple[str, ...]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded step: its place in the order of the recording, and when it began first and ended (ns, 0: unknown)."""

    step: Step
    label: str
    scope: Scope
    index: int
    start: int
    end: int

    @property
    def step_id(self) -> str:
        """The deterministic id."""
        return self.step.step_id

    def before(self, other: Place) -> bool:
        """Return whether it had certainly ended when the other began; of two at once neither is before the other."""
        if self.index >= other.index:
            return False
        # The server keeps the time of waits and the worker that of bodies: their clocks differ.
        alike = (self.step.step_type in _WAITS) == (other.step.step_type in _WAITS)
        return not alike or not self.end or not other.start or self.end <= other.start


class Outline:
    """The places of a recording's steps: by id, in order, and of each scope with all that is inside.

    `groups` are its parallels and maps: the scopes around each and its name.
    """

    def __init__(self, recording: Recording, steps: Iterable[Step]) -> None:
        run_id, first = recording.run.id, _first_starts(recording)
        self.places: dict[str, Place] = {}
        self.under: dict[Scope, list[Place]] = {(): []}
        for index, step in enumerate(steps):
            place = Place(
                step=step,
                label=stepid.label(run_id, step.step_id),
                scope=scope_of(run_id, step.step_id),
                index=index,
                start=first.get(step.step_id, step.started_at),
                end=step.ended_at,
            )
            self.places[step.step_id] = place
            for depth in range(0, len(place.scope) + 1, 2):
                self.under.setdefault(place.scope[:depth], []).append(place)
        self.groups = {scope[:-1] for scope in self.under if scope}


def scope_of(run_id: str, step_id: str) -> Scope:
    """Return the scope of a step's id."""
    parts = _PART.findall(step_id.removeprefix(run_id + ":"))
    # Behind the scope stand a name and its number; a compensation and a publish have a word before these.
    return tuple(parts[: len(parts) - (2 if len(parts) % 2 == 0 else 3)])


def related(one: Scope, other: Scope) -> bool:
    """Return whether one scope is the other or inside it: only then does the code say which comes first."""
    depth = min(len(one), len(other))
    return one[:depth] == other[:depth]


def _first_starts(recording: Recording) -> dict[str, int]:
    """Return when the first attempt of each step began that was tried again; its row tells of the last."""
    again = {step.step_id for step in recording.steps if step.attempt > 1}
    found: dict[str, int] = {}
    if again:
        for event in recording.events:
            if event.step_id in again and event.step_id not in found:
                found[event.step_id] = instant(payload_of(event), "startedAt", event.created_at)
    return found
