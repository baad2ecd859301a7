"""A what-if as HTML and as text: what it would do while it is not executed, else what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import msgspec

from ironflow_lab.debug.calls import Asked
from ironflow_lab.debug.fork import Planned
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.history import redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab import card
from ironflow_lab.lab.card import CELL, FAINT, TEXT, badge
from ironflow_lab.lab.progress import count
from ironflow_lab.models.runs import Error, Step
from ironflow_lab.wire import stepid

MOST_ROWS = 50
_MOST_NAMED = 10
_LONGEST = 500
_SHOWN = 60
_LOCAL = "local, in this process and not durable; the run itself is not touched"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What the card of a fork shows; `outcome` is None while it is not executed."""

    run_id: str
    function_id: str
    start: str
    rows: tuple[Planned, ...]
    bodies: tuple[str, ...]
    outcome: Replayed | None
    before: int
    notes: tuple[str, ...]


def html(shown: Card) -> str:
    """Return the card, escaped, redacted and cut."""
    status = badge(shown.outcome.status if shown.outcome is not None else "planned")
    parts = [
        f'<div class="ironflow-fork" style="{TEXT};font-size:13px;line-height:1.5;max-width:60em">',
        f"<div>fork of <strong>{escape(shown.function_id)}</strong> {status} <code>{escape(shown.run_id)}</code></div>",
        f'<div style="{FAINT}">{escape(_facts(shown))}</div>',
    ]
    if shown.outcome is None:
        parts.append(f"<div>{escape(_pending(shown))}</div>")
    elif reason(shown.outcome):
        told = reason(shown.outcome)
        failed = shown.outcome.status == "failed"
        parts.append(card.error(told) if failed else f"<div>{escape(redaction.clip(told, limit=_LONGEST))}</div>")
    parts.append(_table(shown))
    if shown.outcome is not None and shown.outcome.status == "completed":
        parts.append(card.payload("output", shown.outcome.output))
    parts += [
        f'<div style="{FAINT}">{escape(redaction.clip(note, limit=_LONGEST))}</div>' for note in (*shown.notes, _LOCAL)
    ]
    return "".join([*parts, "</div>"])


def text(shown: Card) -> Iterator[str]:
    """Yield the card as text, a fact a line."""
    status = shown.outcome.status if shown.outcome is not None else "planned"
    yield f"fork of {shown.run_id} ({shown.function_id}): {status}"
    yield f"  {_facts(shown)}"
    if shown.outcome is None:
        yield f"  {_pending(shown)}"
    elif reason(shown.outcome):
        yield f"  {redaction.clip(reason(shown.outcome), limit=_LONGEST)}"
    if shown.outcome is not None and shown.outcome.status == "completed":
        yield f"  output  {redaction.show(shown.outcome.output, limit=100)}"
    rows = _rows(shown)
    for name, decision, result in rows[:MOST_ROWS]:
        yield f"  {name:<20} {decision:<9} {result}".rstrip()
    yield from (f"  {line}" for line in _more(rows))
    yield from (f"  {redaction.clip(note, limit=_LONGEST)}" for note in (*shown.notes, _LOCAL))


def reason(outcome: Replayed) -> str:
    """Return why a fork failed or did not come to its end, on one line; "" when it completed."""
    if outcome.reason:
        return " ".join(outcome.reason.split())
    return _told(outcome.error) if outcome.status == "failed" else ""


def notes(resolved: str, outcome: Replayed, unused: Sequence[str], original: Recording) -> Iterator[str]:
    """Yield what is to be said of an executed fork."""
    for word in unused:
        yield f"what you said of step {_cut(word)!r} had no effect: the code did not ask for it"
    if resolved:
        yield resolved
    if original.note:
        yield original.note
    stubs = sum(one.source == "stub" and one.call.kind != "sleep" for one in outcome.asked)
    if stubs:
        what = count(stubs, "step")
        yield f"{what} after the fork got what was recorded; whether their bodies would do the same now is not known"
    if outcome.unused and outcome.status in ("completed", "failed"):
        named = ", ".join(map(_cut, outcome.unused[:_MOST_NAMED]))
        more = f" and {len(outcome.unused) - _MOST_NAMED:,} more" if len(outcome.unused) > _MOST_NAMED else ""
        yield f"the run had steps that were not asked for here: {named}{more}"
    error = outcome.error
    if outcome.status == "failed" and error is not None and error.retryable:
        yield "a fork is one attempt; where a server would try again, it ends"
    yield from outcome.notes


def label(run_id: str, step: Step) -> str:
    """Return what a step is called."""
    return stepid.label(run_id, step.step_id)


def _facts(shown: Card) -> str:
    where = f"from step {_cut(shown.start)!r}" if shown.start else "from the beginning"
    before = f"{count(shown.before, 'recorded step')} before it" if shown.before else ""
    kinds = [f"{number} {word}" for word, number in _counted(shown).items()]
    return " · ".join(part for part in (where, before, ", ".join(kinds)) if part)


def _counted(shown: Card) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in shown.rows:
        found[row.decision] = found.get(row.decision, 0) + 1
    return found


def _pending(shown: Card) -> str:
    named = ", ".join(_cut(one) for one in shown.bodies[:_MOST_NAMED])
    more = f" and {len(shown.bodies) - _MOST_NAMED} more" if len(shown.bodies) > _MOST_NAMED else ""
    return (
        f"not executed yet: it would execute for real {named}{more}. fork.go() does so; fork.plan says what every"
        " step gets"
    )


def _table(shown: Card) -> str:
    rows = _rows(shown)
    if not rows:
        return ""
    head = "".join(f'<th style="{CELL}">{name}</th>' for name in ("step", "gets", "result"))
    body = "".join(
        f'<tr><td style="{CELL}">{escape(name)}</td><td style="{CELL}">{escape(decision)}</td>'
        f'<td style="{CELL}"><code>{escape(result)}</code></td></tr>'
        for name, decision, result in rows[:MOST_ROWS]
    )
    below = "".join(f"<div>{escape(line)}</div>" for line in _more(rows))
    return (
        '<table style="border-collapse:collapse;margin:6px 0;background:transparent">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"
    )


def _rows(shown: Card) -> list[tuple[str, str, str]]:
    if shown.outcome is None:
        return [(_cut(row.label), row.decision, _planned(row)) for row in shown.rows]
    asked = [one for one in shown.outcome.asked if one.source != "recorded"]
    return [(_cut(one.call.label), one.source, _got(one)) for one in asked]


def _more(rows: Sequence[object]) -> list[str]:
    hidden = len(rows) - MOST_ROWS
    return [f"and {hidden:,} more steps; see fork.calls and fork.plan"] if hidden > 0 else []


def _planned(row: Planned) -> str:
    if row.output is not msgspec.UNSET:
        return redaction.show(row.output, limit=80)
    return redaction.clip(_told(row.error) or row.why, limit=80)


def _got(one: Asked) -> str:
    if one.error is not None:
        return redaction.clip(_told(one.error), limit=80)
    return "" if one.output is msgspec.UNSET or one.call.kind == "sleep" else redaction.show(one.output, limit=80)


def _told(error: Error | None) -> str:
    if error is None:
        return ""
    first = error.message.strip().partition("\n")[0]
    return f"{error.code}: {first}" if error.code else first


def _cut(text: str) -> str:
    return redaction.clip(text, limit=_SHOWN)
