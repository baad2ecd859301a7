"""Where a frame's rows came from and whether they are all there, in `DataFrame.attrs`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ironflow_lab.models.instant import format_instant


def stamp(
    frame: pd.DataFrame,
    *,
    source: str,
    server: str,
    query: dict[str, Any],
    fetched_at: int,
    truncated: str | None = None,
) -> pd.DataFrame:
    """Return the same frame with `attrs` set: plain texts, numbers and flags, which survive copies.

    `complete` is False when the rows are not all that matched, and `truncated` then says why.
    `fetched_at` is RFC 3339, the time at which reading ended.
    """
    frame.attrs = {
        "source": source,
        "server": server,
        "query": query,
        "fetched_at": format_instant(fetched_at),
        "rows": len(frame),
        "complete": truncated is None,
        "truncated": truncated,
    }
    return frame
