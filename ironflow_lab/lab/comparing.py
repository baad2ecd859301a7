"""Two runs side by side: aligned steps, and where they part first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from ironflow_lab.clock import Clock, SystemClock
from ironflow_lab.errors import DefinitionError
from ironflow_lab.history import align, divergence
from ironflow_lab.history.acts import Act
from ironflow_lab.history.align import SAME, Alignment, Pair
from ironflow_lab.history.diff import Change, redacted
from ironflow_lab.history.divergence import Divergence, RunDifference, clean, shown
from ironflow_lab.history.paths import path_text
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab.card import CELL, FAINT, TEXT, badge

if TYPE_CHECKING:
    import pandas as pd

    from ironflow_lab.lab.session import Session

MOST_ROWS = 50


class Comparison:
    """Run `a` beside run `b`: what differs, and where that begins.

    `same` says that both were given, did and came to the same (tries, versions and times do not count);
    `first` is where they part first (None when nothing differs), `differences` what differs of the runs
    themselves, `pairs` every step beside its counterpart, `notes` what cannot be known.
    """

    def __init__(self, a: Recording, b: Recording, *, server: str = "", clock: Clock | None = None) -> None:
        self.a, self.b = a, b
        self._server = server
        self._at = (clock or SystemClock()).now()
        self.alignment: Alignment = align.align(a, b)
        self.differences: tuple[RunDifference, ...] = divergence.runs(self.alignment)
        self.first: Divergence | None = divergence.first(self.alignment, self.differences)
        self.same: bool = divergence.is_same(self.alignment, self.differences)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The steps of both runs, paired, in the order of execution."""
        return self.alignment.pairs

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The pairs as a frame, with `frames.comparison.COMPARISON` as columns; outputs are exact."""
        from ironflow_lab.frames.comparison import comparison_frame
        from ironflow_lab.frames.provenance import stamp

        frame = stamp(
            comparison_frame(self.pairs),
            source="comparison",
            server=self._server,
            query={"a": self.a.run.id, "b": self.b.run.id},
            fetched_at=self._at,
        )
        frame.attrs["notes"] = list(self.notes)
        return frame

    @property
    def frame(self) -> pd.DataFrame:
        """The same as `steps`."""
        return self.steps

    @property
    def notes(self) -> tuple[str, ...]:
        """What cannot be known of the two, in words."""
        return tuple(_notes(self))

    def __repr__(self) -> str:
        return f"<Comparison of {self.a.run.id} and {self.b.run.id}: {_verdict(self)}>"

    def __str__(self) -> str:
        """Return the comparison as text, one fact a line; equal steps in a row are counted."""
        lines = [f"a {_head(self.a)}", f"b {_head(self.b)}", _verdict(self)]
        lines += [f"  {one.line()}" for one in self.differences]
        lines += [f"  {_flat(row)}" for row in _rows(self.pairs)]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        heads = "".join(
            f"<div>{side} {badge(str(one.run.status))} <code>{escape(one.run.id)}</code>"
            f' <span style="{FAINT}">{escape(_facts(one))}</span></div>'
            for side, one in (("a", self.a), ("b", self.b))
        )
        lines = "".join(f"<div>{escape(one.line())}</div>" for one in self.differences)
        notes = "".join(f'<div style="{FAINT}">{escape(note)}</div>' for note in self.notes)
        return (
            f'<div class="ironflow-comparison" style="{TEXT};font-size:13px;line-height:1.5;max-width:70em">'
            f"{heads}<div><strong>{escape(_verdict(self))}</strong></div>{lines}{_table(self.pairs)}{notes}</div>"
        )


def compare(session: Session, recording: Recording, other: object) -> Comparison:
    """Return a run beside another, given as a run, its id, a recording, or anything that has one.

    Raises `NotFoundError` for an unknown id and `DefinitionError` for what is no run.
    """
    return Comparison(recording, taken(session, other), server=session.joined.server_url, clock=session.clock)


def taken(session: Session, other: object) -> Recording:
    """Return the recording of a run, of an id, or of what has `recording()` or `as_recording()`."""
    if isinstance(other, Recording):
        return other
    if isinstance(other, str):
        from ironflow_lab.lab.run import Run

        other = Run(session, session.client.runs.get(other))
    for name in ("recording", "as_recording"):
        found = getattr(other, name, None)
        made = found() if callable(found) else found
        if isinstance(made, Recording):
            return made
    raise DefinitionError(f"a {type(other).__name__} is no run; give a run, its id or a recording")


def _verdict(one: Comparison) -> str:
    if one.first is None:
        return "the same" if one.same else "the same steps and ends; " + "; ".join(x.line() for x in one.differences)
    told = one.first.message
    if one.same:
        told = f"the same in the end; {told}"
    return f"{told} (not certain: {one.first.why})" if one.first.why and one.first.why not in told else told


def _notes(one: Comparison) -> Iterator[str]:
    for side, recording in (("a", one.a), ("b", one.b)):
        if not recording.recorded and recording.source != "local":
            yield (
                f"{side} was not recorded: its steps are known as they ended, and how often each was tried is"
                " guessed from attempts"
            )
        elif recording.note:
            yield f"{side}: {recording.note}"
        if recording.source == "local":
            yield f"{side} was executed in this process, not by a server"
        if not recording.ended:
            yield f"{side} has not ended: it is {recording.run.status}"
    unknown = [pair.label for pair in one.pairs if pair.unknown]
    if unknown:
        named = ", ".join(clean(label) for label in unknown[:5])
        yield f"redacted, so only compared as far as it shows: what {named} returned" + (
            f", and {len(unknown) - 5:,} more steps" if len(unknown) > 5 else ""
        )
    if any(pair.kind not in (align.ONLY_A, align.ONLY_B) and _called(pair) for pair in one.pairs):
        yield "what plain steps are called with is not recorded: only their outputs are compared"


def _called(pair: Pair) -> bool:
    return pair.a is not None and pair.b is not None and pair.a.type in ("invoke", "") and not pair.given_known


def _head(one: Recording) -> str:
    return f"{one.run.id} {one.run.status}: {_facts(one)}"


def _facts(one: Recording) -> str:
    run = one.run
    facts = [run.function_id, f"attempt {run.attempt}", f"{len(one.steps)} steps"]
    facts += [f"version {run.function_version}"] if run.function_version else []
    facts += [f"code {one.code.code_hash[:12]}"] if one.code.code_hash else []
    facts += [one.source] if one.source != "server" else []
    return ", ".join(fact for fact in facts if fact)


def _rows(pairs: Sequence[Pair]) -> list[tuple[str, str, str, str]]:
    """Return step, kind, and what each side shows; equal steps in a row are one, and 50 rows are the most."""
    rows: list[tuple[str, str, str, str]] = []
    told = 0
    for is_same, found in groupby(pairs, key=lambda pair: pair.kind == SAME and not pair.unknown):
        many = list(found)
        if len(rows) >= MOST_ROWS:
            break
        many = many if is_same else many[: MOST_ROWS - len(rows)]
        told += len(many)
        if is_same and len(many) > 2:
            first, last = (clean(one.label) for one in (many[0], many[-1]))
            rows.append((f"{first} … {last}", f"{len(many):,} same", "", ""))
        else:
            rows += [(clean(pair.label), _kind(pair), *_sides(pair)) for pair in many]
    rest = len(pairs) - told
    return [*rows, (f"and {rest:,} more steps; see .steps", "", "", "")] if rest else rows


def _kind(pair: Pair) -> str:
    differs = [one for one in pair.differs if one not in ("name", "place")]
    unknown = ["partly redacted"] if pair.unknown and pair.kind == SAME else []
    return ": ".join(part for part in (pair.kind, ", ".join(differs + unknown)) if part)


def _sides(pair: Pair) -> tuple[str, str]:
    if pair.kind == SAME:
        return (_result(pair.a, pair), "")
    found = pair.changes()
    if found and len(found) <= 3 and not {"name", "status", "error"} & set(pair.differs):
        return (
            "; ".join(f"{_at(one)}{shown(one.before)}" for one in map(redacted, found)),
            "; ".join(f"{_at(one)}{shown(one.after)}" for one in map(redacted, found)),
        )
    return (_result(pair.a, pair), _result(pair.b, pair))


def _at(change: Change) -> str:
    return f"{clean(path_text(change.path))}: " if change.path else ""


def _result(act: Act | None, pair: Pair) -> str:
    if act is None:
        return "—"
    other = pair.a is not None and pair.b is not None and pair.a.label != pair.b.label
    named = f"{clean(act.label)}: " if other else ""
    tries = f" ({act.tries} tries)" if "attempts" in pair.differs else ""
    marks = [name for name in ("patched", "injected") if getattr(act, name)]
    said = f" [{', '.join(marks)}]" if marks else ""
    if act.error is not None:
        line = act.error.message.strip().partition("\n")[0]
        return f"{named}{act.status}: {clean(line)}{tries}{said}"
    value = act.status if act.output is msgspec.UNSET else shown(act.output)
    return f"{named}{value}{tries}{said}"


def _flat(row: tuple[str, str, str, str]) -> str:
    step, kind, a, b = row
    values = f"{a}  ->  {b}" if b else a
    return f"{step:<24} {kind:<18} {values}".rstrip()


def _table(pairs: Sequence[Pair]) -> str:
    if not pairs:
        return ""
    head = "".join(f'<th style="{CELL}">{name}</th>' for name in ("step", "", "a", "b"))
    body = "".join(
        "<tr>" + "".join(f'<td style="{CELL}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in _rows(pairs)
    )
    return (
        '<table style="border-collapse:collapse;margin:6px 0;background:transparent">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
