"""How far an emission has come, as a mime bundle: for our renderer, as HTML without scripts, and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.lab import card, summary
from ironflow_lab.lab.progress import tally_line
from ironflow_lab.lab.tally import Standing, Tally

MIME = "application/vnd.ironflow-lab.progress+json"
LONGEST_EVENT = 200


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says beside the counts: `at` is an instant in nanoseconds, `note` what went wrong."""

    event: str
    server_url: str
    at: int
    note: str = ""


def bundle(tally: Tally, told: Told, text: str) -> dict[str, Any]:
    """Return the mime bundle of a batch of runs as it stands; `text` is its plain form."""
    counts, rows, settled = tally.counts(), tally.rows(), tally.settled
    return {
        MIME: {
            "version": 1,
            "server_url": told.server_url,
            "event": redaction.clip(told.event, limit=LONGEST_EVENT),
            "total": tally.total,
            "counts": counts,
            "settled": settled,
            "run_ids": tally.followed(),
            "rows": [msgspec.structs.asdict(row) for row in rows],
            "note": told.note,
            "at": told.at // 1_000_000,
        },
        "text/html": _html(tally, counts, rows, told),
        "text/plain": text,
    }


def _html(tally: Tally, counts: dict[str, int], rows: Sequence[Standing], told: Told) -> str:
    event = escape(redaction.clip(told.event, limit=LONGEST_EVENT))
    line = escape(tally_line(counts, tally.total))
    # Who reads a saved notebook reads what was known then.
    when = "" if tally.settled else f" as of {escape(summary.moment(told.at))}"
    parts = [
        f'<div class="ironflow-progress" style="{card.TEXT};font-size:13px;line-height:1.5;max-width:60em">',
        f'<div><strong>{event}</strong> <span style="{card.FAINT}">{line}{when}</span></div>',
        f'<div style="{card.FAINT}">{escape(told.note)}</div>' if told.note else "",
        *_rows(rows),
        "</div>",
    ]
    return "".join(parts)


def _rows(rows: Sequence[Standing]) -> Iterator[str]:
    for row in rows:
        badge = card.badge(row.status or "sent")
        about = f' <strong>{escape(row.function_id)}</strong> <span style="{card.FAINT}">{escape(row.note)}</span>'
        yield f"<div>{badge} <code>{escape(row.run_id)}</code>{about}</div>"
