"""A run's history as plain HTML and as text: readable without a kernel, a script or a style sheet."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterable
from html import escape

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.pack import Chunk
from ironflow_lab.history.snapshot import RunState, Snapshot, StepState

MOST_STEPS = 50
WIDTH = 48
"""Characters of a bar."""
_SPAN = struct.Struct("<ddIHH")
_EVENT = struct.Struct("<dIHH")
_LONGEST_RESULT = 80
_HEAD = ("step", "status", "attempt", "took", "time", "result")
# By kind of span. Where several share a character, the later in this order is seen.
_SIGNS = {1: "·", 3: "z", 4: "…", 2: "~", 5: "=", 0: "█", 6: "X"}
_WORDS = {0: "executing", 6: "failed", 1: "queued", 2: "waiting for a retry", 3: "sleeping", 4: "waiting", 5: "paused"}
_CELL = "text-align:left;padding:1px 12px 1px 0;vertical-align:top"
_BAR = "white-space:pre;font-family:monospace"


def html(chunk: Chunk, last: Snapshot) -> str:
    """Return the steps with their times as bars of characters, as they were after the last event.

    Everything is escaped, redacted and capped at 50 steps; the markup passes notebook sanitizers.
    """
    title = f"Run {chunk.meta['run_id']} of {chunk.meta['function_id'] or 'an unknown function'}, without the view"
    bars, kinds = _bars(chunk)
    rows = [_row(chunk.lanes[0]["name"], last.run, bars.get(0, ""))]
    steps = enumerate(last.steps[:MOST_STEPS])
    rows += [_row(_name(chunk, index), step, bars.get(index + 1, "")) for index, step in steps]
    head = "".join(f'<th style="{_CELL}">{name}</th>' for name in _HEAD)
    notes = "".join(f"<div>{escape(note)}</div>" for note in _notes(chunk, last, kinds))
    return (
        f'<details class="ironflow-static"><summary>{escape(title)}</summary>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{notes}</details>"
    )


def text(chunk: Chunk, last: Snapshot) -> str:
    """Return the same as text, a step a line."""
    bars, kinds = _bars(chunk)
    lines = [f"{chunk.meta['run_id']}: {last.status or 'not created'}"]
    shown: list[tuple[str, RunState | StepState]] = [("run", last.run)]
    shown += [(_name(chunk, index), step) for index, step in enumerate(last.steps[:MOST_STEPS])]
    for lane, (name, state) in enumerate(shown):
        lines.append(f"  {redaction.clip(name, limit=20):<20} {state.status:<10} |{bars.get(lane, ''):<{WIDTH}}|")
    return "\n".join(lines + [f"  {note}" for note in _notes(chunk, last, kinds)])


def _row(name: str, state: RunState | StepState, bar: str) -> str:
    took = state.duration_ms if isinstance(state, StepState) else None
    cells = (
        escape(redaction.clip(name, limit=_LONGEST_RESULT)),
        escape(state.status),
        str(state.attempt or ""),
        "" if took is None else f"{took:,} ms",
        f'<code style="{_BAR}">{escape(bar)}</code>' if bar.strip() else "",
        f"<code>{escape(_result(state))}</code>" if _result(state) else "",
    )
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _result(state: RunState | StepState) -> str:
    value = state.output if state.status == "completed" else state.error
    shown = "" if value is msgspec.UNSET or value is None else redaction.show(value, limit=_LONGEST_RESULT)
    if isinstance(state, StepState) and (state.patched or state.injected):
        return f"{shown} (by {redaction.clip(state.by or 'hand', limit=40)})"
    return shown


def _name(chunk: Chunk, index: int) -> str:
    return chunk.lanes[index + 1]["name"]


def _notes(chunk: Chunk, last: Snapshot, kinds: Iterable[int]) -> list[str]:
    found = set(kinds)
    legend = [f"{_SIGNS[kind]} {words}" for kind, words in _WORDS.items() if kind in found]
    notes = [", ".join(legend), f"{len(chunk.events) // _EVENT.size:,} events; {chunk.meta['note']}".rstrip("; ")]
    if len(last.steps) > MOST_STEPS:
        notes.insert(0, f"and {len(last.steps) - MOST_STEPS:,} more steps")
    return [note for note in notes if note]


def _bars(chunk: Chunk) -> tuple[dict[int, str], set[int]]:
    spans = list(_SPAN.iter_unpack(chunk.spans))
    ends = [stop for _, stop, *_ in spans if not math.isnan(stop)]
    end = max([at for at, *_ in _EVENT.iter_unpack(chunk.events)] + ends, default=0)
    cells: dict[int, list[int | None]] = defaultdict(lambda: [None] * WIDTH)
    order = list(_SIGNS)
    for start, stop, lane, kind, _ in spans:
        if lane > MOST_STEPS or kind not in _SIGNS:
            continue
        first, after = _column(start, end), _column(end if math.isnan(stop) else stop, end)
        for at in range(first, max(after, first + 1)):
            known = cells[lane][at]
            cells[lane][at] = kind if known is None or order.index(kind) >= order.index(known) else known
    signs = {lane: "".join(" " if kind is None else _SIGNS[kind] for kind in row) for lane, row in cells.items()}
    return signs, {kind for row in cells.values() for kind in row if kind is not None}


def _column(at: float, end: float) -> int:
    return min(WIDTH - 1, max(0, int(at / end * WIDTH))) if end > 0 else 0
