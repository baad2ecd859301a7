"""Who or what put a value where it stands in a run, as a notebook holds and shows it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import msgspec

from ironflow_lab.history import blame as lines
from ironflow_lab.history import redaction
from ironflow_lab.history.blame import Blamed, Equal, Put
from ironflow_lab.history.paths import Path, path_text, shown_at
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.values import redacted_text
from ironflow_lab.lab import card, summary
from ironflow_lab.lab.session import Session
from ironflow_lab.models.instant import Instant

if TYPE_CHECKING:
    import pandas as pd

_LONGEST, _LONGEST_NAME = 100, 120
_MOST_SHOWN, _MOST_EQUAL = 20, 5


class Blame:
    """What put the value in its place: the newest event that did, and those before it.

    `value` is what stands there now, exact; None where it is gone. `step`, `attempt`, `position`, `event_type`,
    `event_id`, `at`, `actor` and `reason` tell of the event: `actor` is who patched or injected, the worker's id,
    `operator`, or empty for the server itself; `position` is None where only rows tell. `earlier` are the
    events before, newest first. `equal` are places with an equal value, for a place in the run's output: where
    it may have come from, which is not proven.
    """

    def __init__(self, session: Session, recording: Recording, found: Blamed) -> None:
        self._session, self._recording, self._found = session, recording, found
        self._put = found.puts[-1]
        self._way = _way(found)

    @property
    def path(self) -> str:
        """The place, as it can be given again."""
        return path_text(self._found.path)

    @property
    def value(self) -> Any:
        """What stands there now; None where nothing does any more."""
        return None if self._found.value is msgspec.UNSET else self._found.value

    @property
    def step(self) -> str:
        """The label of the step that made it; "" for the run itself."""
        return self._put.step

    @property
    def attempt(self) -> int:
        """The attempt, of the step or of the run, that made it; 0 where it is not told."""
        return self._put.attempt

    @property
    def position(self) -> int | None:
        """The position right after the event, as `run.at` takes it; None where only rows tell."""
        return self._put.position or None

    @property
    def event_type(self) -> str:
        """What happened, such as `step.completed`."""
        return self._put.event_type

    @property
    def event_id(self) -> str:
        """The event's id; "" where only rows tell."""
        return self._put.event_id

    @property
    def at(self) -> Instant:
        """When it happened."""
        return self._put.at

    @property
    def actor(self) -> str:
        """Who made it happen; "" for the server itself."""
        return self._put.actor

    @property
    def reason(self) -> str:
        """The reason that was given, or why the run moved; "" for none."""
        return self._put.reason

    @property
    def earlier(self) -> tuple[Put, ...]:
        """The events that put something there before, newest first."""
        return self._found.puts[-2::-1]

    @property
    def equal(self) -> tuple[Equal, ...]:
        """Places in the input and in outputs of steps that held an equal value before, in order."""
        return self._found.equal

    @property
    def notes(self) -> tuple[str, ...]:
        """What cannot be known, and why."""
        return self._found.notes

    @property
    def frame(self) -> pd.DataFrame:
        """All events that changed the place, oldest first, with `frames.blame.BLAME` as columns."""
        # Loads pandas, which the other properties do without.
        from ironflow_lab.frames.blame import blame_frame
        from ironflow_lab.frames.provenance import stamp

        return stamp(
            blame_frame(self._found.puts, self._way),
            source="audit" if self._put.position else "rows",
            server=self._session.joined.server_url,
            query={"run_id": self._recording.run.id, "path": self.path},
            fetched_at=self._session.clock.now(),
            truncated=self._found.notes[0] if not self._put.position and self._found.notes else None,
        )

    def __repr__(self) -> str:
        """Return one line."""
        return f"<Blame {self._short()} of {self._recording.run.id}: {_told(self._put)}>"

    def __str__(self) -> str:
        """Return the value, the event that put it there, what was there before, and where it may be from."""
        rows = [f"{self._short()} of {self._recording.run.id}: {self._shown(self._found.value)}"]
        rows.append(f"  {_told(self._put)}")
        rows += [f"  before: {self._shown(one.after)}, {_told(one)}" for one in self.earlier[:_MOST_SHOWN]]
        rows += [f"  {line}" for line in (*self._more(), *self._equals(), *self.notes)]
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        head = (
            f"<div><code>{escape(self._short())}</code> of <code>{escape(self._recording.run.id)}</code>:"
            f" <code>{escape(self._shown(self._found.value))}</code></div>"
        )
        puts = [self._put, *self.earlier[:_MOST_SHOWN]]
        rows = [(f"<code>{escape(self._shown(one.after))}</code>", escape(_told(one))) for one in puts]
        below = [f'<div style="{card.FAINT}">{escape(line)}</div>' for line in (*self._more(), *self.notes)]
        equals = [f"<div>{escape(line)}</div>" for line in self._equals()]
        table = _table(rows)
        inside = "".join([head, table, *equals, *below])
        return f'<div class="ironflow-blame" style="{card.TEXT};font-size:13px;max-width:60em">{inside}</div>'

    def _shown(self, value: Any) -> str:
        if value is msgspec.UNSET:
            return "nothing"
        fit = shown_at(self._way, value)
        return redaction.clip(redacted_text(fit).decode(), limit=_LONGEST)

    def _short(self) -> str:
        return redaction.clip(self.path, limit=_LONGEST_NAME)

    def _more(self) -> list[str]:
        hidden = len(self.earlier) - _MOST_SHOWN
        return [f"and {hidden:,} more before; see .frame"] if hidden > 0 else []

    def _equals(self) -> list[str]:
        lines = [
            f"equal value, not proven: {redaction.clip(path_text(one.path), limit=_LONGEST_NAME)}, {_told(one.put)}"
            for one in self.equal[:_MOST_EQUAL]
        ]
        hidden = len(self.equal) - _MOST_EQUAL
        return [*lines, f"and {hidden} more places with an equal value; see .equal"] if hidden > 0 else lines


def blame(session: Session, recording: Recording, path: str) -> Blame:
    """Return what put the value there; raises as `history.blame.blame` does."""
    return Blame(session, recording, lines.blame(recording, path))


def _told(put: Put) -> str:
    """Return the event in words: what, which attempt, where, when, who and why."""
    parts = [redaction.clip(put.words, limit=2 * _LONGEST_NAME)]
    parts += [f"attempt {put.attempt}"] if put.attempt else []
    parts += [f"position {put.position}"] if put.position else []
    parts += [summary.moment(put.at)] if put.at else []
    parts += [f"by {redaction.clip(put.actor, limit=_LONGEST_NAME)}"] if put.actor else []
    reason = " ".join(put.reason.split())
    given = f" ({redaction.clip(reason, limit=_LONGEST)})" if reason and reason not in put.words else ""
    return ", ".join(parts) + given


def _way(found: Blamed) -> Path:
    """Return the way into a payload by which the value is judged: what is hidden elsewhere stays hidden here."""
    ways = [_inside(found.path), *(_inside(one.path) for one in found.equal)]
    return next((way for way in ways if shown_at(way, "x") != "x"), ways[0])


def _inside(path: Path) -> Path:
    """Return the way into a payload: a step's label is a name, not a key of anybody's data."""
    return path[3:] if path[:1] == ("steps",) else path[1:]


def _table(rows: list[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr><td style="{card.CELL}">{one}</td><td style="{card.CELL}">{two}</td></tr>' for one, two in rows
    )
    return f'<table style="border-collapse:collapse;margin:6px 0;background:transparent"><tbody>{body}</tbody></table>'
