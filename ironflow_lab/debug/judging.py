"""Where an execution with a check's answers leaves its recording first, and in which way."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate, takewhile
from math import inf

import msgspec
from msgspec import UNSET

from ironflow_lab.debug.answers import hidden
from ironflow_lab.debug.calls import Call, Stop
from ironflow_lab.debug.leads import Leads
from ironflow_lab.debug.outline import Place, Scope, related, scope_of
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.history import diff, equality, redaction
from ironflow_lab.history.paths import path_text
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.runs import Error

# The name of a step says what it does: another one is another function or topic.
_NAMED = frozenset({"invoke", "invoke_async", "publish"})
# Steps looked at for one that comes too late.
_FARTHEST = 50
_SHOWN = 60
_LONGEST = 200


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One divergence; `at` is the order of the call at which it shows, infinity for the end of the handler."""

    at: float
    reason: str
    step: str = ""
    became: str = ""
    detail: str = ""
    file: str = ""
    line: int = 0


class Judge:
    """One replay beside its recording.

    `goes_on` says that the run did not end by its code, so that code which asks for more is no divergence;
    `by_itself` that the replayed handler came to its own end; `alike` that this is the recorded one;
    `uncompared` where the recorded output is redacted.
    """

    def __init__(self, recording: Recording, replayed: Replayed, leads: Leads) -> None:
        self.run, self.replayed, self.leads = recording.run, replayed, leads
        # One whose attempts are used up stands where its code failed, whether it may be resumed or not.
        exhausted = self.run.status == "paused" and self.run.pause_reason == "retries_exhausted"
        self.status = "failed" if exhausted else str(self.run.status)
        self.goes_on = leads.recorded.may_go_on() and not exhausted
        last = replayed.asked[-1].answer if replayed.asked else None
        ended = replayed.status in ("completed", "failed")
        # A wait that timed out: the run ended as it was recorded, without its code.
        self.by_itself = ended and not isinstance(last, Stop)
        self.uncompared = ""
        self.alike = self._alike() if self.by_itself else ended
        self.renamed = self._renamed()
        self._matched = [(one, place) for one in replayed.asked if (place := self._place(one.call)) is not None]
        gone = {place.step_id for _, place in self._matched}
        self._unasked = [place for place in leads.outline.places.values() if place.step_id not in gone]

    def first(self) -> Finding | None:
        """Return the divergence that shows first, None when there is none."""
        found = [*self._calls(), *self._missing(), *self._moved(), *self._end()]
        return min(found, key=lambda one: one.at, default=None)

    def _place(self, call: Call) -> Place | None:
        return self.leads.exact.get(call.step_id) or self.renamed.get(call.step_id)

    def _alike(self) -> bool:
        run, replayed = self.run, self.replayed
        if replayed.status != self.status:
            return False
        if replayed.status == "failed":
            return _told(replayed.error) == _told(run.error)
        self.uncompared = hidden(run.output)
        return bool(self.uncompared) or equality.agree(replayed.output, run.output)

    def _renamed(self) -> dict[str, Place]:
        """Return the guesses that came true: the rest is as recorded, and nothing asked for the step itself."""
        leads = self.leads
        own: dict[Scope, int] = {}
        under: dict[Scope, int] = {}
        for one in self.replayed.asked:
            place = leads.exact.get(one.call.step_id)
            if place is not None:
                own[place.scope] = max(own.get(place.scope, 0), one.call.order)
                for depth in range(0, len(place.scope) + 1, 2):
                    scope = place.scope[:depth]
                    under[scope] = max(under.get(scope, 0), one.call.order)
        found = {}
        rest = self.alike or (self.goes_on and not (self.by_itself and self.replayed.status == "failed"))
        for call in self.replayed.calls:
            place = leads.guessed.get(call.step_id)
            if place is None or place.step_id in leads.exact:
                continue
            around = (own.get(place.scope[:depth], 0) for depth in range(0, len(place.scope), 2))
            if rest or max(under.get(place.scope, 0), *around, 0) > call.order:
                found[call.step_id] = place
        return found

    def _calls(self) -> Iterator[Finding]:
        """Yield what single calls ask for otherwise."""
        leads = self.leads
        for call in self.replayed.calls:
            if call.step_id in leads.changed:
                yield _finding(call, "changed input", call.label, leads.changed[call.step_id])
            elif call.step_id in self.renamed:
                yield self._other_name(call, self.renamed[call.step_id])
            elif call.step_id in leads.guessed:
                yield self._new(call, leads.guessed[call.step_id].label)
        unknown = leads.unknown
        if unknown is not None:
            following = self._following(unknown)
            if following or not self.goes_on:
                yield self._new(unknown, following)

    def _other_name(self, call: Call, place: Place) -> Finding:
        was, now = _shown(place.label), _shown(call.label)
        if call.kind in _NAMED:
            verb = "publishes to" if call.kind == "publish" else "invokes"
            return _finding(call, "changed input", place.label, f"step {was} {verb} {call.name!r:.60} now")
        return msgspec.structs.replace(
            _finding(call, "renamed", place.label, f"step {was} is called {now} now"), became=call.label
        )

    def _following(self, call: Call) -> str:
        """Return the label of the recorded step that comes next where a call stands, "" for none."""
        scope = scope_of(self.run.id, call.step_id)
        return next((place.label for place in self._unasked if related(place.scope, scope)), "")

    def _new(self, call: Call, following: str) -> Finding:
        rest = f"the recording has {_shown(following)} next"
        if not following:
            rest = (
                f"the run {self.status} {'before' if self.status == 'failed' else 'without'} it{_why(self.run.error)}"
            )
        detail = f"the code asks for step {_shown(call.label)} ({call.kind}), which was not recorded; {rest}"
        return _finding(call, "new", call.label, detail)

    def _missing(self) -> Iterator[Finding]:
        """Yield the first recorded step that the code has gone past without asking for it."""
        if not self._unasked:
            return
        gaps = _Gaps(self._unasked)
        for one, place in sorted(self._matched, key=lambda pair: pair[0].call.order):
            gap = gaps.before(place)
            if gap is not None:
                detail = f"the code asks for step {_shown(one.call.label)} without {_shown(gap.label)} before it"
                yield Finding(at=one.call.order, reason="missing", step=gap.label, detail=detail)
                return
        left = self._left_at_end()
        if left and self.by_itself and (self.replayed.status == "completed" or self.alike):
            more = f" and {len(left) - 1:,} more" if len(left) > 1 else ""
            detail = f"the code {self.replayed.status} without step {_shown(left[0].label)}{more}"
            yield Finding(at=inf, reason="missing", step=left[0].label, detail=detail)

    def _left_at_end(self) -> list[Place]:
        failed = self.status == "failed"
        # Which branches had begun when one failed depends on time; a run that does not fail undoes nothing.
        return [
            place
            for place in self._unasked
            if not (failed and self.alike and place.scope)
            and not (failed and self.replayed.status == "completed" and place.step.step_type == "compensate")
        ]

    def _end(self) -> Iterator[Finding]:
        """Yield that the handler ends otherwise than the recorded one."""
        if not self.by_itself or self.alike:
            return
        run, replayed = self.run, self.replayed
        if replayed.status == "failed":
            left = self._left_at_end()
            if self.goes_on and not left:
                return
            to = f"went on to step {_shown(left[0].label)}" if left else f"{self.status}{_why(run.error)}"
            detail = f"the code fails{_why(replayed.error)} where the run {to}"
            yield Finding(at=inf, reason="error", step=left[0].label if left else "", detail=detail)
        elif self.goes_on or self._left_at_end():
            return
        elif self.status == "failed":
            detail = f"the code completes where the run failed{_why(run.error)}"
            yield Finding(at=inf, reason="error", detail=detail)
        else:
            yield Finding(at=inf, reason="output", detail=_output(run.output, replayed.output))

    def _moved(self) -> Iterator[Finding]:
        """Yield the first step of each scope that comes before one it came after."""
        lists: dict[Scope, list[tuple[int, Place]]] = {}
        groups: dict[Scope, Place] = {}
        for one, place in self._matched:
            for depth in range(0, len(place.scope), 2):
                group = place.scope[: depth + 1]
                if group not in groups:
                    groups[group] = self._group(group, place)
                    lists.setdefault(group[:-1], []).append((one.call.order, groups[group]))
            lists.setdefault(place.scope, []).append((one.call.order, place))
        for items in lists.values():
            yield from _moved(items)

    def _group(self, group: Scope, place: Place) -> Place:
        """Return a parallel or map as one place, with the order of all that is in it."""
        inner = [one for one in self.leads.outline.under[group[:-1]] if one.scope[: len(group)] == group]
        return msgspec.structs.replace(
            place,
            label=":".join(group),
            index=min(one.index for one in inner),
            start=min(one.start for one in inner),
            end=max(one.end for one in inner),
        )


class _Gaps:
    """Recorded steps that were not asked for, to be found by what comes after them."""

    def __init__(self, unasked: Iterable[Place]) -> None:
        self._own: dict[Scope, list[Place]] = {}
        self._under: dict[Scope, list[Place]] = {}
        for place in unasked:
            self._own.setdefault(place.scope, []).append(place)
            for depth in range(0, len(place.scope) + 1, 2):
                self._under.setdefault(place.scope[:depth], []).append(place)
        self._ends = {id(places): _least_ends(places) for kept in (self._own, self._under) for places in kept.values()}

    def before(self, place: Place) -> Place | None:
        """Return the first of those that came before a step, where the code says so."""
        around = (self._own.get(place.scope[:depth], []) for depth in range(0, len(place.scope), 2))
        lists = [places for places in (self._under.get(place.scope, []), *around) if places]
        found = [gap for places in lists if (gap := self._first(places, place)) is not None]
        return min(found, key=lambda gap: gap.index, default=None)

    def _first(self, places: list[Place], place: Place) -> Place | None:
        until = bisect_left(places, place.index, key=lambda one: one.index)
        if not until or (place.start and self._ends[id(places)][until - 1] > place.start):
            return None
        return next((one for one in places[:until] if one.before(place)), None)


def _least_ends(places: list[Place]) -> list[int]:
    return list(accumulate((place.end for place in places), min))


def _moved(items: list[tuple[int, Place]]) -> Iterator[Finding]:
    places = [place for _, place in items]
    least = list(accumulate(reversed(places), _earlier))[::-1]
    for at, (order, place) in enumerate(items[:-1]):
        if least[at + 1].index > place.index:
            continue
        # Most often it is the earliest of those that come later; of steps at once it may be another.
        near = (least[at + 1], *places[at + 1 : at + 1 + _FARTHEST])
        late = next((one for one in near if one.before(place)), None)
        if late is None:
            continue
        alone = sum(one.before(place) for one in places[at + 1 :]) == 1
        yield _moving(order, place, late, late_moved=alone and _passing(places, late) > 1)
        return


def _earlier(one: Place, other: Place) -> Place:
    return one if one.index <= other.index else other


def _passing(places: list[Place], late: Place) -> int:
    """Return how many steps come before this one that came after it."""
    return sum(late.before(one) for one in takewhile(lambda one: one is not late, places))


def _moving(order: int, early: Place, late: Place, *, late_moved: bool) -> Finding:
    detail = f"step {_shown(early.label)} comes before {_shown(late.label)}; in the recording it came after it"
    moved = late if late_moved else early
    return Finding(at=order, reason="reordered", step=moved.label, detail=detail)


def _finding(call: Call, reason: str, step: str, detail: str) -> Finding:
    return Finding(at=call.order, reason=reason, step=step, detail=detail, file=call.file, line=call.line)


def _told(error: Error | None) -> tuple[str, str]:
    return ("", "") if error is None else (error.message, error.code or "ERROR")


def _why(error: Error | None) -> str:
    if error is None or not error.message:
        return ""
    return f" with {redaction.clip(' '.join(error.message.split()), limit=_LONGEST)!r}"


def _output(before: object, after: object) -> str:
    """Return in words where two outputs differ first, redacted."""
    for change in diff.changes(before, after):
        if change.before is UNSET or change.after is UNSET or not equality.agree(change.before, change.after):
            shown = diff.redacted(change)
            place = path_text(("output", *change.path))
            was, now = (
                "absent" if one is UNSET else redaction.show(one, limit=_SHOWN) for one in (shown.before, shown.after)
            )
            return f"the code returns something else: {redaction.clip(place, limit=_LONGEST)} was {was} and is {now}"
    return "the code returns something else"


def _shown(label: str) -> str:
    return repr(redaction.clip(label, limit=_SHOWN))
