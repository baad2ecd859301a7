"""A recorded run executed again in this process, as a notebook holds and shows it; and with which code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from ironflow_lab.debug import breaks
from ironflow_lab.debug.answers import Recorded
from ironflow_lab.debug.calls import Asked, Divergence
from ironflow_lab.debug.replay import execute
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.errors import DefinitionError, IronflowError, NotFoundError
from ironflow_lab.history import redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.values import redacted_text
from ironflow_lab.lab import card, sources
from ironflow_lab.lab.card import CELL, FAINT, TEXT, badge
from ironflow_lab.lab.progress import count
from ironflow_lab.lab.serving import look
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import TERMINAL, Error
from ironflow_lab.models.workers import JobEvent
from ironflow_lab.runtime import codehash, revival
from ironflow_lab.runtime import function as definition
from ironflow_lab.runtime import sources as texts
from ironflow_lab.runtime.function import DurableFunction

if TYPE_CHECKING:
    import pandas as pd

MOST_CALLS = 30
MOST_NOTES = 12
_LONGEST = 300
_WIDEST = 80

Code = DurableFunction | Callable[..., Any] | str


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """The code that a run is executed again with; `note` says what it is, where that is not the run's own."""

    function: DurableFunction
    note: str = ""


class Replay:
    """A run executed again: `status` is `completed`, `failed`, `waiting`, `stopped` or `diverged`.

    `output` is what the handler returned, None unless it completed; `error` why it failed, with the stack of
    this execution; `reason` says in words why it waits, was stopped or diverged, `divergence` where it left
    the recording. `same` is whether it ended as the run did, None where that cannot be said. `calls` are the
    step calls in order, `asked` the same as records; `notes` say what the replay cannot know. `code_hash` is
    that of the code that was executed.
    """

    def __init__(self, session: Session, replayed: Replayed, note: str) -> None:
        self._session = session
        self.replayed = replayed
        self.notes = _notes(replayed, note)

    @property
    def run_id(self) -> str:
        """The id of the recorded run."""
        return self.replayed.run_id

    @property
    def status(self) -> str:
        """How the execution ended."""
        return self.replayed.status

    @property
    def output(self) -> Any:
        """What the handler returned, as JSON reads it."""
        return None if self.replayed.output is UNSET else self.replayed.output

    @property
    def error(self) -> Error | None:
        """Why the handler failed."""
        return self.replayed.error

    @property
    def reason(self) -> str:
        """Why it waits, was stopped or diverged."""
        return self.replayed.reason

    @property
    def divergence(self) -> Divergence | None:
        """Where the code left the recording."""
        return self.replayed.divergence

    @property
    def same(self) -> bool | None:
        """Whether it ended as the run did."""
        return self.replayed.same

    @property
    def asked(self) -> tuple[Asked, ...]:
        """The step calls in order, each with what it got."""
        return self.replayed.asked

    @property
    def code_hash(self) -> str:
        """The hash of the code that was executed."""
        return self.replayed.function.code_hash

    @property
    def calls(self) -> pd.DataFrame:
        """The step calls in order, with `frames.replays.CALLS` as columns, payloads exact if not nested too deep."""
        from ironflow_lab.frames import provenance, replays

        frame = replays.calls_frame(self.asked)
        return provenance.stamp(
            frame,
            source="replay",
            server=self._session.joined.server_url,
            query={"run_id": self.run_id, "code_hash": self.code_hash},
            fetched_at=self._session.clock.now(),
            truncated=None if self.status in ("completed", "failed") else self.reason or self.status,
        )

    def recording(self) -> Recording:
        """Return the execution as a run at rest, to be compared: `run.compare(replay.recording())`."""
        return self.replayed.as_recording()

    def __repr__(self) -> str:
        return f"<Replay {self.run_id}: {self.status}, {count(len(self.asked), 'step call')}; {self._verdict()}>"

    def __str__(self) -> str:
        """Return the verdict, then one call a line, then the notes."""
        lines = [f"replay of {self.run_id}: {self.status}; {self._verdict()}"]
        lines += [f"  {_line(one)}" for one in self.asked[:MOST_CALLS]] + [f"  {line}" for line in self._more()]
        return "\n".join([*lines, *(f"  note: {note}" for note in self._shown_notes())])

    def _repr_html_(self) -> str:
        run = self.replayed.recording.run
        head = f"replay of <code>{escape(self.run_id)}</code> <strong>{escape(run.function_id)}</strong>"
        failed = self.error if self.status == "failed" else None
        parts = [
            f'<div class="ironflow-replay" style="{TEXT};font-size:13px;line-height:1.5;max-width:60em">',
            f"<div>{head} {badge(self.status)}</div><div>{escape(self._verdict())}</div>",
            card.error(failed.message.strip().partition("\n")[0]) if failed is not None else "",
            _table(self.asked[:MOST_CALLS]),
            *(f"<div>{escape(line)}</div>" for line in self._more()),
            card.payload("output", self.output) if self.status == "completed" else "",
            *(f'<div style="{FAINT}">{escape(note)}</div>' for note in self._shown_notes()),
            f'<div style="{FAINT}">executed here: local, nothing was sent, the run itself is untouched</div></div>',
        ]
        return "".join(parts)

    def _verdict(self) -> str:
        if self.status in ("stopped", "waiting", "diverged"):
            return redaction.clip(self.reason, limit=_LONGEST)
        run = self.replayed.recording.run
        if self.same:
            return f"it {self.status} as the run did"
        if self.divergence is not None:
            return redaction.clip(self.divergence.message, limit=_LONGEST)
        if self.same is None:
            return f"the run is {run.status}, so there is nothing to compare its end with"
        if self.status == run.status:
            what = "output" if self.status == "completed" else "error"
            return f"it {self.status} as the run did, with another {what}"
        return f"it {self.status}, and the run {run.status}"

    def _more(self) -> list[str]:
        hidden = len(self.asked) - MOST_CALLS
        return [f"and {hidden:,} more step calls; see replay.calls"] if hidden > 0 else []

    def _shown_notes(self) -> list[str]:
        shown = [redaction.clip(note, limit=_LONGEST) for note in self.notes[:MOST_NOTES]]
        hidden = len(self.notes) - MOST_NOTES
        return [*shown, *([f"and {hidden} more; see replay.notes"] if hidden > 0 else [])]


def replay(
    session: Session,
    recording: Recording,
    fn: Code | None = None,
    *,
    until: str | None = None,
    break_at: str | Iterable[str] | None = None,
) -> Replay:
    """Return how the run's code goes when each of its steps gives what was recorded; raises as `resolve`."""
    found = resolve(session, recording, fn)
    if until == "" or not isinstance(until, str | None):
        raise DefinitionError(f"until={until!r:.60} must be a step's label or name, such as 'charge'")
    stop = breaks.stopper(break_at)
    answers = Recorded(recording)
    event = occasion(session, recording)
    replayed = execute(recording, found.function, answers, at_step=stop, until=until or "", event=event)
    notes = [found.note, _unmet(replayed, until)]
    return Replay(session, replayed, "\n".join(note for note in notes if note))


def occasion(session: Session, recording: Recording) -> JobEvent | None:
    """Return the event that started the run, its data as the run was given them; None where it cannot be read."""
    run = recording.run
    try:
        event = session.client.events.get(run.event_id) if run.event_id else None
    except IronflowError:
        return None
    if event is None or event.name != run.event_name:
        return None
    return JobEvent(
        id=event.id,
        name=event.name,
        data=run.input,
        timestamp=event.timestamp,
        version=event.version,
        source=event.source,
        idempotency_key=event.idempotency_key,
        metadata=event.metadata,
    )


def resolve(session: Session, recording: Recording, fn: Code | None = None) -> Resolved:
    """Return the code to execute a run with: `fn`, else the code the run began with, else the newest, with a note.

    `fn` is a durable function, a plain handler, or the beginning of the hash of one of the function's versions.
    Raises `NotFoundError` where the code is not defined in this process, or there is no such version, and
    `DefinitionError` for anything else.
    """
    run = recording.run
    newest = look(session).definition(run.function_id)
    if isinstance(fn, DurableFunction):
        placed = session.naming.placed(fn) if not fn.namespace else fn
        other = placed.id != run.function_id
        said = f"the code given is of {fn.id!r:.80}, and the run is one of {run.function_id!r:.80}" if other else ""
        return Resolved(function=placed, note=said)
    if isinstance(fn, str):
        return _version(session, newest, run.function_id, fn)
    if callable(fn):
        return Resolved(function=_wrapped(newest, run.function_id, fn))
    if fn is not None:
        raise DefinitionError(
            f"fn={type(fn).__name__} is no code; give a durable function, a handler, or the hash of a version"
        )
    if newest is None:
        raise _gone(session, run.function_id)
    return _own(session, recording, newest)


def _own(session: Session, recording: Recording, newest: DurableFunction) -> Resolved:
    wanted, function_id = recording.code.code_hash, recording.run.function_id
    if not wanted:
        note = f"which code the run began with is not known here: this is the newest, {newest.code_hash:.8}"
        return Resolved(function=newest, note=note)
    if wanted == newest.code_hash:
        return Resolved(function=newest)
    source = sources.store(session).find(function_id, wanted)
    revived = revival.revive(newest, source) if source is not None else None
    if revived is not None:
        note = f"executed with version {wanted:.8}, which the run began with; the newest is {newest.code_hash:.8}"
        return Resolved(function=revived, note=note)
    how = "is not kept here" if source is None else "cannot be made from its text alone"
    note = f"the run began with version {wanted:.8}, which {how}: this is the newest, {newest.code_hash:.8}"
    return Resolved(function=newest, note=note)


def _version(session: Session, newest: DurableFunction | None, function_id: str, wanted: str) -> Resolved:
    if newest is None:
        raise _gone(session, function_id)
    kept = sources.store(session).versions(function_id)
    found = [one for one in kept if wanted and one.code_hash.startswith(wanted)]
    if wanted and newest.code_hash.startswith(wanted):
        return Resolved(function=newest)
    if len(found) != 1:
        there = ", ".join(one.code_hash for one in kept[-10:]) or "none"
        many = "several versions" if found else "no version"
        raise NotFoundError(f"{function_id!r:.80} has {many} {wanted!r:.40}; there is {there}")
    revived = revival.revive(newest, found[0])
    if revived is None:
        raise NotFoundError(
            f"version {found[0].code_hash} of {function_id!r:.80} cannot be made from its text alone: run its cell"
            f" again ({found[0].place()}), or give its handler as fn="
        )
    return Resolved(function=revived)


def _wrapped(newest: DurableFunction | None, function_id: str, handler: Callable[..., Any]) -> DurableFunction:
    """Return a plain handler as the function: with the options it is defined with here, else with none."""
    if newest is None:
        return definition.function(function_id)(handler)
    definition.check_callable(handler)
    code_hash = codehash.of(handler)
    return newest.with_handler(handler, texts.of(handler, code_hash) or texts.Source(code_hash=code_hash))


def _gone(session: Session, function_id: str) -> NotFoundError:
    versions = sources.store(session).versions(function_id)
    if not versions:
        return NotFoundError(
            f"the code of {function_id!r:.80} is not defined in this process, and no source of it is kept: define it,"
            " or give it as fn="
        )
    return NotFoundError(
        f"the code of {function_id!r:.80} is not defined in this process; it was last defined in"
        f" {versions[-1].place()}. Run that cell again, put it into a new one by lab.restore({function_id!r:.80}), or"
        " give the code as fn="
    )


def _notes(replayed: Replayed, note: str) -> tuple[str, ...]:
    recording = replayed.recording
    told = [*note.splitlines(), *([recording.note] if recording.note else [])]
    if not recording.recorded:
        told.append(
            "the run was not recorded: its rows give the newest outcome of each step, and nothing of earlier attempts"
        )
    if recording.run.status not in TERMINAL:
        told.append(f"the run is {recording.run.status}: this is what was recorded so far")
    return tuple(dict.fromkeys((*told, *replayed.notes)))


def _unmet(replayed: Replayed, until: str | None) -> str:
    if not until or any(until in (one.call.label, one.call.name) for one in replayed.asked):
        return ""
    names = ", ".join(redaction.clip(one.call.label, limit=60) for one in replayed.asked[:10]) or "no step"
    return f"the code never asked for step {until!r:.60}; it asked for {names}"


def _line(one: Asked) -> str:
    return f"{redaction.clip(one.call.label, limit=40):<20} {one.source:<9} {_result(one)}".rstrip()


def _table(asked: tuple[Asked, ...]) -> str:
    heads = "".join(f'<th style="{CELL}">{name}</th>' for name in ("step", "kind", "got", "line", "result"))
    rows = "".join(f"<tr>{''.join(_cells(one))}</tr>" for one in asked)
    style = "border-collapse:collapse;margin:6px 0;background:transparent"
    return f'<table style="{style}"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>' if asked else ""


def _cells(one: Asked) -> Iterable[str]:
    result = _result(one)
    cells = (
        escape(redaction.clip(one.call.label, limit=_WIDEST)),
        escape(one.call.kind),
        escape(one.source),
        str(one.call.line or ""),
        f"<code>{escape(result)}</code>" if result else "",
    )
    return (f'<td style="{CELL}">{cell}</td>' for cell in cells)


def _result(one: Asked) -> str:
    if one.error is not None:
        return redaction.clip(one.error.message.strip().partition("\n")[0], limit=_WIDEST)
    if one.output is UNSET or one.call.kind == "sleep":
        return ""
    return redaction.preview(redacted_text(one.output), limit=_WIDEST)
