"""Frames of runs and of steps, from the client's bulk rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from ironflow_lab.frames import schema, times
from ironflow_lab.frames.collector import paused
from ironflow_lab.frames.columns import Table
from ironflow_lab.models.runs import Error, RunRow, RunRowPage, StepRow
from ironflow_lab.wire.stepid import step_name

_RUN_AS_IS = (
    "function_id",
    "status",
    "attempt",
    "max_attempts",
    "event_name",
    "event_id",
    "worker_id",
    "function_version",
    "parent_run_id",
    "pause_reason",
    "cancellation_cause",
)
_EMPTY_RUN, _EMPTY_STEP = RunRow(id=""), StepRow(id="")
_STEP_AS_IS = ("run_id", "sequence", "status", "attempt", "sleep_until", "step_id")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A frame and whether it holds all that was asked for; `truncated` says why not."""

    frame: pd.DataFrame
    truncated: str | None = None


def run_frame(pages: Iterable[RunRowPage], *, limit: int | None = None, payloads: bool = False) -> Reading:
    """Return runs in the order of the pages, at most `limit`, with `schema.RUNS` as columns.

    `payloads` adds `schema.RUN_PAYLOADS`. Pages are taken one at a time and only as far as needed.
    """
    table = Table(schema.RUNS + (schema.RUN_PAYLOADS if payloads else ()))
    rest = iter(pages)
    more = 0
    while True:
        with paused():
            page = next(rest, None)
            if page is None:
                break
            room = len(page.runs) if limit is None else limit - table.rows
            rows = page.runs[:room]
            table.add(len(rows), _runs(rows, payloads=payloads))
        more = len(page.runs) - len(rows)
        if limit is not None and table.rows >= limit and (more or page.next_cursor):
            return Reading(frame=table.frame(), truncated=_cut(limit, page.total_count))
    return Reading(frame=table.frame())


def step_frame(groups: Iterable[Sequence[StepRow]], *, payloads: bool = True) -> pd.DataFrame:
    """Return steps, one group a run, with `schema.STEPS` as columns.

    `payloads` adds `schema.STEP_PAYLOADS`.
    """
    table = Table(schema.STEPS + (schema.STEP_PAYLOADS if payloads else ()))
    for rows in groups:
        with paused():
            table.add(len(rows), _steps(rows, payloads=payloads))
    return table.frame()


def _cut(limit: int, total: int) -> str:
    known = f" of {total:,} that match" if total > limit else "; more match"
    return f"limit: the first {limit:,}{known}"


def _runs(rows: Sequence[RunRow], *, payloads: bool) -> dict[str, Any]:
    fields = _fields(RunRow, rows)
    created, started, ended, updated = _times(fields, "created_at", "started_at", "ended_at", "updated_at")
    page = {
        "run_id": fields["id"],
        **{name: fields[name] for name in _RUN_AS_IS},
        "created_at": created,
        "started_at": started,
        "ended_at": ended,
        "duration": ended - started,
        "updated_at": updated,
        **_errors(fields["error"]),
    }
    if payloads:
        page["input"] = _payloads(_EMPTY_RUN, fields, "input")
        page["output"] = _payloads(_EMPTY_RUN, fields, "output")
    return page


def _steps(rows: Sequence[StepRow], *, payloads: bool) -> dict[str, Any]:
    fields = _fields(StepRow, rows)
    created, started, ended, updated = _times(fields, "created_at", "started_at", "ended_at", "updated_at")
    page = {
        **{name: fields[name] for name in _STEP_AS_IS},
        "name": [step_name(one) for one in fields["step_id"]],
        "type": fields["step_type"],
        "created_at": created,
        "started_at": started,
        "ended_at": ended,
        "duration": _durations(started, ended, fields["duration_ms"]),
        "updated_at": updated,
        **_errors(fields["error"]),
    }
    if payloads:
        page["output"] = _payloads(_EMPTY_STEP, fields, "output")
    return page


def _fields(kind: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> dict[str, Any]:
    names = kind.__struct_fields__
    if not rows:
        return dict.fromkeys(names, ())
    return dict(zip(names, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True))


def _times(fields: dict[str, Any], *names: str) -> list[np.ndarray]:
    texts = [text for name in names for text in fields[name]]
    return np.split(times.nanoseconds(texts), len(names))


def _payloads(empty: Any, fields: dict[str, Any], name: str) -> list[bytes | None]:
    # Absent fields share the default object, which spares most of the copies. The rest are copied
    # out of the page, which could not be freed otherwise.
    no_value, no_struct = getattr(empty, f"{name}_value"), getattr(empty, name)
    return [
        (b"" if value is no_value else bytes(value)) or (b"" if struct is no_struct else bytes(struct)) or None
        for value, struct in zip(fields[f"{name}_value"], fields[name], strict=True)
    ]


def _durations(started: np.ndarray, ended: np.ndarray, told_ms: Sequence[int]) -> np.ndarray:
    spans: np.ndarray = ended - started
    told = np.fromiter(told_ms, dtype=np.int64, count=len(told_ms)).view("timedelta64[ms]")
    use_told = np.isnat(spans) & (told > np.timedelta64(0, "ms"))
    spans[use_told] = told[use_told]
    return spans


def _errors(errors: Sequence[Error | None]) -> dict[str, list[str]]:
    return {
        "error": ["" if error is None else error.message for error in errors],
        "error_code": ["" if error is None else error.code for error in errors],
    }
