"""Recorded runs against changed code: which would go the same way, and where the others would not."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from ironflow_lab.debug.check import check as check_one
from ironflow_lab.debug.verdict import CANNOT, DIVERGES, SAME, SO_FAR, Verdict, summary
from ironflow_lab.errors import DefinitionError, IronflowWarning, NotFoundError
from ironflow_lab.history import redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab import sources
from ironflow_lab.lab.card import CELL, FAINT, TEXT, badge
from ironflow_lab.lab.handles import RunsLike, run_ids
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.progress import count
from ironflow_lab.lab.recordings import read
from ironflow_lab.lab.run import Run
from ironflow_lab.lab.serving import look
from ironflow_lab.lab.session import Session
from ironflow_lab.runtime import revival
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.function import function as durable
from ironflow_lab.runtime.sourcestore import SourceStore

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_LIMIT = 100
NEWEST = 20
MOST_ROWS = 50
_LONGEST = 200

Checkable = DurableFunction | Callable[[Any], Any] | str
Checked = RunsLike | Recording | Iterable[Run | Recording | str]


class Check:
    """What changed code would have made of recorded runs: `summary` in a line, `verdicts` and `frame` run by run.

    `same` says that there are runs, that every one could be checked and none diverges; `diverging` are the
    verdicts of those that do, `notes` what there is to know beside them. Nothing was executed but the handler's
    own code, behind a gate.
    """

    def __init__(self, function_id: str, verdicts: Sequence[Verdict], *, server: str, at: int, notes: Iterable[str]):
        self.function_id = function_id
        self.verdicts = tuple(verdicts)
        self.notes = tuple(notes)
        self._server, self._at = server, at

    @property
    def same(self) -> bool:
        """Whether there are runs, every one could be checked and none diverges."""
        return bool(self.verdicts) and all(one.verdict in (SAME, SO_FAR) for one in self.verdicts)

    @property
    def diverging(self) -> tuple[Verdict, ...]:
        """The verdicts of the runs that diverge."""
        return tuple(one for one in self.verdicts if one.verdict == DIVERGES)

    @property
    def summary(self) -> str:
        """How many are the same, and where the others diverge: "41 same, 2 diverge at step 'charge' (new)"."""
        return summary(self.verdicts)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The verdicts as a frame, with `frames.checks.CHECKS` as columns."""
        from ironflow_lab.frames.checks import check_frame
        from ironflow_lab.frames.provenance import stamp

        query = {"function": self.function_id}
        found = stamp(check_frame(self.verdicts), source="check", server=self._server, query=query, fetched_at=self._at)
        found.attrs["notes"] = list(self.notes)
        return found

    def __repr__(self) -> str:
        return f"<Check of {self.function_id!r}: {self.summary}>"

    def __str__(self) -> str:
        """Return the summary, what the runs that are not the same do, at most 50 different ways, and the notes."""
        alike, hidden = self._alike()
        lines = [f"{self.function_id}: {self.summary}"]
        lines += [f"  {_runs(ones)}  {ones[0].verdict}: {_told(ones[0])}" for ones in alike]
        lines += [f"  and {hidden:,} more"] if hidden else []
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        alike, hidden = self._alike()
        title = f"<strong>{escape(self.function_id)}</strong> {escape(self.summary)}"
        rows = "".join(map(_row, alike))
        heads = "".join(f'<th style="{CELL}">{name}</th>' for name in ("run", "was", "now", "why"))
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        below = [f"and {hidden:,} more; see .frame"] if hidden else []
        notes = "".join(f'<div style="{FAINT}">{escape(note)}</div>' for note in (*below, *self.notes))
        return f'<div class="ironflow-check" style="{TEXT};font-size:13px"><div>{title}</div>{table}{notes}</div>'

    def _alike(self) -> tuple[list[list[Verdict]], int]:
        """Return the verdicts worth a line, those that say the same together, and how many more lines there are."""
        found: dict[tuple[str, str, str], list[Verdict]] = {}
        for one in self.verdicts:
            if one.verdict in (DIVERGES, CANNOT):
                found.setdefault((one.verdict, one.where(), _told(one)), []).append(one)
        groups = list(found.values())
        return groups[:MOST_ROWS], max(0, len(groups) - MOST_ROWS)


def check(session: Session, fn: Checkable, runs: Checked | None, *, limit: int | None) -> Check:
    """Return what a function would have made of runs; by default of its 20 newest."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise DefinitionError(f"limit={limit!r:.40} must be a whole number from 1 on, or None for the default")
    function = _function(session, fn)
    if runs is None:
        wanted: list[Run | Recording | str] = list(newest(session, _id(session, fn), limit or NEWEST))
    else:
        wanted = _targets(runs)
    taken = wanted[: limit or DEFAULT_LIMIT]
    notes = (
        [f"the first {len(taken):,} of {len(wanted):,} runs; pass limit= for more"] if len(taken) < len(wanted) else []
    )
    recordings = [_recording(session, one) for one in taken]
    others = sorted({one.run.function_id for one in recordings} - {_id(session, fn)})
    if others and not (callable(fn) and not isinstance(fn, DurableFunction) and len(others) == 1):
        of = ", ".join(repr(redaction.clip(one, limit=80)) for one in others[:3])
        notes.insert(0, f"these are runs of {of}, checked against the code of {_id(session, fn)!r:.80}")
        warnings.warn(notes[0], IronflowWarning, stacklevel=3)
    verdicts = [verdict_of(session, one, function) for one in recordings]
    notes += _notes(recordings, verdicts)
    return Check(function.id, verdicts, server=session.joined.server_url, at=session.clock.now(), notes=notes)


def newest(session: Session, function_id: str, most: int) -> Iterator[str]:
    """Yield the ids of a function's newest runs, newest first."""
    page = session.client.runs.list(function_id=function_id, limit=most)
    yield from (run.id for run in page.runs[:most])


def recording_of(session: Session, run_id: str) -> Recording:
    """Return all that is known of a run of the session's server; raises `NotFoundError`."""
    return read(session, Past(session, run_id))


def verdict_of(session: Session, recording: Recording, function: DurableFunction) -> Verdict:
    """Return what the function would have made of one run; where it diverges, the code of the run is asked too."""
    return check_one(recording, function, before=functools.partial(_former, session, recording, function))


def _former(session: Session, recording: Recording, function: DurableFunction) -> DurableFunction | None:
    """Return the function with the code the run was executed with, None where it cannot be had."""
    code_hash = recording.code.code_hash
    if not code_hash:
        return None
    source = SourceStore(look(session).sources).find(recording.run.function_id, code_hash)
    return None if source is None else revival.revive(function, source)


def _function(session: Session, fn: Checkable) -> DurableFunction:
    if isinstance(fn, DurableFunction):
        return session.naming.placed(fn) if not fn.namespace else fn
    if callable(fn):
        return session.naming.placed(durable()(fn))
    if not isinstance(fn, str):
        raise DefinitionError(
            f"{type(fn).__name__} cannot be checked; pass what @lab.function made, a handler, or a function's id"
        )
    found = look(session).definition(_id(session, fn))
    if found is None:
        kept = sources.store(session).versions(_id(session, fn))
        remedy = f" Its source is kept: lab.restore({fn!r:.80}) puts it into a new cell" if kept else ""
        raise NotFoundError(f"the function {fn!r:.80} is not defined in this process; run its cell first.{remedy}")
    return found


def _id(session: Session, fn: Checkable) -> str:
    if isinstance(fn, str | DurableFunction):
        return session.naming.function(fn)
    return session.naming.placed(durable()(fn)).id


def _targets(runs: Any) -> list[Run | Recording | str]:
    if isinstance(runs, Recording | Run):
        return [runs]
    if isinstance(runs, list | tuple):
        return [one if isinstance(one, Recording | Run) else run_ids([one])[0] for one in runs]
    return list(dict.fromkeys(run_ids(runs)))


def _recording(session: Session, one: Run | Recording | str) -> Recording:
    if isinstance(one, Recording):
        return one
    return one.recording() if isinstance(one, Run) else recording_of(session, one)


def _notes(recordings: Sequence[Recording], verdicts: Sequence[Verdict]) -> Iterator[str]:
    rows = sum(1 for one in recordings if not one.recorded)
    if rows:
        were = "was" if rows == 1 else "were"
        yield (
            f"{count(rows, 'run')} {were} not recorded, and checked by the rows of the steps: earlier attempts, and"
            " how an event was matched, are not known"
        )
    yield "of what a step's body was called with nothing is recorded, nor what was published: that is not compared"
    seen = dict.fromkeys(note for one in verdicts for note in one.notes)
    yield from (redaction.clip(note, limit=_LONGEST) for note in list(seen)[:3])
    if len(seen) > 3:
        yield f"and {len(seen) - 3:,} more notes in .verdicts"


def _told(one: Verdict) -> str:
    place = f" (line {one.line})" if one.line else ""
    return f"{redaction.clip(one.detail, limit=_LONGEST)}{place}"


def _runs(alike: Sequence[Verdict]) -> str:
    more = len(alike) - 1
    return f"{alike[0].run_id} and {more:,} more" if more else alike[0].run_id


def _row(alike: Sequence[Verdict]) -> str:
    one = alike[0]
    now = escape(f"{one.verdict} {one.where()}")
    more = f" and {len(alike) - 1:,} more" if len(alike) > 1 else ""
    was = " ".join(badge(status) for status in dict.fromkeys(one.status for one in alike))
    cells = (f"<code>{escape(one.run_id)}</code>{more}", was, now, escape(_told(one)))
    return "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells) + "</tr>"
