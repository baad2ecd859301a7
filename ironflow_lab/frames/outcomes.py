"""Outcomes of events, one row a run, alone or joined to the rows that were sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd

from ironflow_lab.frames import schema, times
from ironflow_lab.frames.columns import Table
from ironflow_lab.models.runs import Error, Run
from ironflow_lab.wire import codec

_NO_RUN = Run(id="")
_NO_ERROR = Error()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One event and one of its runs: `run` is None when it started none, or was refused.

    `position` is the place of the row that was sent.
    """

    position: int = 0
    event_id: str = ""
    run: Run | None = None
    emit_error: str = ""


def outcome_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return the outcomes with `schema.OUTCOMES` as columns."""
    runs = [one.run or _NO_RUN for one in outcomes]
    errors = [run.error or _NO_ERROR for run in runs]
    started = times.from_instants([run.started_at for run in runs])
    ended = times.from_instants([run.ended_at for run in runs])
    table = Table(schema.OUTCOMES)
    table.add(
        len(outcomes),
        {
            "run_id": [run.id for run in runs],
            "status": [run.status for run in runs],
            "output": [_output(run) for run in runs],
            "error": [error.message for error in errors],
            "error_code": [error.code for error in errors],
            "attempts": [run.attempt for run in runs],
            "duration": ended - started,
            "function_id": [run.function_id for run in runs],
            "event_id": [one.event_id for one in outcomes],
            "emit_error": [one.emit_error for one in outcomes],
        },
    )
    return table.frame()


def join(frame: pd.DataFrame, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return the sent rows with their outcomes beside them; index and order are those of the rows.

    A row whose event started several runs appears once for each. An outcome column whose name the
    frame has already is called `run_<name>`, or `run_run_<name>` and so on; `attrs["columns"]` maps
    the plain names to those in the frame.
    """
    found = outcome_frame(outcomes)
    joined = frame.iloc[[one.position for one in outcomes]].copy()
    names: dict[str, str] = {}
    for plain in found.columns:
        name = str(plain)
        while name in joined.columns:
            name = f"run_{name}"
        joined[name] = found[plain].array
        names[str(plain)] = name
    joined.attrs = {**frame.attrs, "columns": names}
    return joined


def _output(run: Run) -> Any:
    return codec.encode(run.output) if run.status == "completed" else None
