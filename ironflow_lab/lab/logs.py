"""What runs wrote, read from the data folder: also of a kernel that is gone, and without a worker here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from ironflow_lab.clock import SystemClock
from ironflow_lab.frames.logs import log_frame
from ironflow_lab.frames.provenance import stamp
from ironflow_lab.runtime import logs
from ironflow_lab.runtime.logs import Lines, LogLine


def read(data_folder: Path, run_ids: Sequence[str], *, server_url: str) -> pd.DataFrame:
    """Return the lines kept of these runs, run by run in the order given, with `schema.LOGS` as columns.

    `attrs["complete"]` is False when older lines are gone, and for a run that nothing is kept of: it
    wrote nothing, or elsewhere, or is too old.
    """
    store = logs.at(data_folder)
    return frame(store.read, run_ids, place=str(data_folder), server_url=server_url, now=SystemClock().now())


def frame(
    read_one: Callable[[str], Lines], run_ids: Sequence[str], *, place: str, server_url: str, now: int
) -> pd.DataFrame:
    """Return what `read_one` has of each run, as `read` does."""
    ids = list(dict.fromkeys(run_ids))
    lines: list[LogLine] = []
    dropped, unknown = 0, 0
    for run_id in ids:
        found = read_one(run_id)
        lines += found.lines
        dropped += found.dropped
        unknown += not found.found
    reasons = [f"{dropped:,} older lines are gone"] if dropped else []
    if unknown:
        reasons.append(f"nothing is kept here of {unknown:,} of {len(ids):,} runs")
    return stamp(
        log_frame(lines),
        source="logs",
        server=server_url,
        query={"run_ids": ids if len(ids) <= 20 else f"{len(ids)} runs", "folder": place},
        fetched_at=now,
        truncated="; ".join(reasons) or None,
    )
