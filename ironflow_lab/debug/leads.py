"""The answers of a check: those of the recording, under another name too where only the name has changed."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.debug.answers import Recorded, differs
from ironflow_lab.debug.calls import Answer, Call, Divergence, Stop
from ironflow_lab.debug.outline import Outline, Place, Scope, scope_of
from ironflow_lab.history import redaction
from ironflow_lab.history.payloads import payload_of, text
from ironflow_lab.history.recording import Recording
from ironflow_lab.wire import stepid

_SHOWN = 60
_PUBLISH = "publish:"


class Leads:
    """Answers that go on where a plain replay stops, at a step that was not recorded.

    It gets the output of the recorded step in its place, if that may be the same under another name; whether
    it was is told from what comes after. `exact` are the places asked for by their ids, `guessed` those given
    for other ids, `changed` is why a call is not what was recorded, `unknown` the call for which there was
    nothing.
    """

    def __init__(self, recording: Recording) -> None:
        self.recorded = Recorded(recording)
        self.notes = self.recorded.notes
        self.outline = Outline(recording, self.recorded.order)
        self.exact: dict[str, Place] = {}
        self.guessed: dict[str, Place] = {}
        self.changed: dict[str, str] = {}
        self.unknown: Call | None = None
        self._run_id = recording.run.id
        self._matches = _matches(recording)
        self._taken: set[str] = set()
        self._latest: dict[Scope, tuple[Place, Place]] = {}
        self._passed: dict[Scope, int] = {}
        self._groups: dict[Scope, Scope] = {}

    def answer(self, call: Call) -> Answer:
        """Return what the recording has for a call, or for the step in its place."""
        place = self.outline.places.get(call.step_id)
        if place is not None:
            self.exact[call.step_id] = place
            self._take(place)
            return self._given(call, place)
        place = self._in_its_place(call)
        if place is None:
            self.unknown = call
            return self.recorded.answer(call)
        self.guessed[call.step_id] = place
        self._take(place)
        return self.recorded.answer(_as(call, place))

    def _given(self, call: Call, place: Place) -> Answer:
        answer = self.recorded.answer(call)
        fault = answer.divergence.message if isinstance(answer, Stop) and answer.divergence else ""
        fault = fault or self._waits_otherwise(call)
        if not fault:
            return answer
        self.changed[call.step_id] = fault
        divergence = Divergence(kind="changed", label=call.label, expected=place.label, message=fault)
        return Stop(reason=fault, status="diverged", divergence=divergence)

    def _waits_otherwise(self, call: Call) -> str:
        """Return in words how a wait looks for other events than were recorded; the rows do not tell, the events do."""
        recorded = self._matches.get(call.step_id)
        if call.kind != "wait_for_event" or recorded is None or not isinstance(call.wanted, dict):
            return ""
        label = redaction.clip(call.label, limit=_SHOWN)
        path, value = recorded
        now = call.wanted.get("match", "")
        if now != path:
            return f"step {label!r} waits with match={now!r:.80} and was recorded with {path!r:.80}"
        given = call.wanted.get("match_value")
        if given is not None and value not in (None, redaction.HIDDEN) and str(given) != str(value):
            return f"step {label!r} waits for another value at {path!r:.80} than was recorded"
        return ""

    def _take(self, place: Place) -> None:
        self._taken.add(place.step_id)
        for depth in range(0, len(place.scope) + 1, 2):
            scope = place.scope[:depth]
            far, late = self._latest.get(scope, (place, place))
            self._latest[scope] = (
                place if place.index > far.index else far,
                place if place.start > late.start else late,
            )

    def _in_its_place(self, call: Call) -> Place | None:
        """Return the recorded step that comes next where the call stands, if it can be what the call asks for."""
        scope = scope_of(self._run_id, call.step_id)
        there = self._translated(scope)
        if there is None:
            return None
        if there != scope:
            inner = call.step_id.removeprefix(f"{self._run_id}:{':'.join(scope)}:")
            place = self.outline.places.get(f"{self._run_id}:{':'.join(there)}:{inner}")
            if place is not None and place.step_id not in self._taken:
                return place if _may_be(call, place) else None
        place = self._next(there)
        return place if place is not None and place.scope == there and _may_be(call, place) else None

    def _next(self, scope: Scope) -> Place | None:
        places, at = self.outline.under.get(scope, []), self._passed.get(scope, 0)
        while at < len(places) and places[at].step_id in self._taken:
            at += 1
        self._passed[scope] = at
        latest = self._latest.get(scope, ())
        for place in places[at:]:
            if place.step_id not in self._taken and not any(place.before(one) for one in latest):
                return place
        return None

    def _translated(self, scope: Scope) -> Scope | None:
        """Return the recorded scope that stands for this one: its parallel or map may be called otherwise."""
        there: Scope = ()
        for depth in range(0, len(scope), 2):
            group, number = (*there, scope[depth]), scope[depth + 1]
            if group not in self.outline.groups:
                lead = self._groups.get(group) or self._other_group(there)
                if lead is None:
                    return None
                self._groups[group] = lead
                group = lead
            there = (*group, number)
        return there if there in self.outline.under else None

    def _other_group(self, scope: Scope) -> Scope | None:
        """Return the parallel or map that comes next in a scope, if none of its steps has been asked for."""
        place, depth = self._next(scope), len(scope) + 1
        group = () if place is None else place.scope[:depth]
        if len(group) < depth or group in self._groups.values():
            return None
        return group


def _may_be(call: Call, place: Place) -> bool:
    """Return whether a step may be what the call asks for, but for its name."""
    is_publish = stepid.step_name(place.step_id).startswith(_PUBLISH)
    # After a failure there is no rest to tell a new name by.
    return place.step.status == "completed" and is_publish == (call.kind == "publish") and not differs(call, place.step)


def _as(call: Call, place: Place) -> Call:
    return msgspec.structs.replace(call, step_id=place.step_id, label=place.label)


def _matches(recording: Recording) -> dict[str, tuple[str, Any]]:
    """Return by which path and value each recorded wait looked for its event, as far as the events tell."""
    found = {}
    for event in recording.events:
        if event.event_type == "step.started":
            payload = payload_of(event)
            if text(payload, "event"):
                found[event.step_id] = (text(payload, "match"), payload.get("value"))
    return found
