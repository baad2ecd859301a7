"""What a lab reads: frames of runs, steps and functions, with where they came from in `attrs`."""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Sequence
from typing import Any

import pandas as pd

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import DefinitionError
from ironflow_lab.frames.functions import function_frame
from ironflow_lab.frames.outcomes import Outcome, join, outcome_frame
from ironflow_lab.frames.provenance import stamp
from ironflow_lab.frames.runs import run_frame, step_frame
from ironflow_lab.lab import accessor
from ironflow_lab.lab.bounded import each
from ironflow_lab.lab.handles import DEFAULT_LIMIT
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import StepRow

_PAGE = 500
_STEPS_IN_FLIGHT = 8

accessor.register()


def runs(session: Session, *, limit: int | None, payloads: bool, **filters: Any) -> pd.DataFrame:
    """Return the runs that match, newest first."""
    check_limit(limit)
    pages = session.client.runs.row_pages(page_size=_PAGE if limit is None else min(_PAGE, limit), **filters)
    read = run_frame(pages, limit=limit, payloads=payloads)
    if read.truncated and limit == DEFAULT_LIMIT:
        warnings.warn(f"{read.truncated}; pass another limit=, or limit=None for all", stacklevel=3)
    given = {name: plain(value) for name, value in filters.items() if value}
    return stamp(
        read.frame,
        source="runs",
        server=session.joined.server_url,
        query={**given, "limit": limit},
        fetched_at=session.clock.now(),
        truncated=read.truncated,
    )


def steps(session: Session, ids: Sequence[str], *, payloads: bool) -> pd.DataFrame:
    """Return the steps of the runs, run by run in the order given, fetched 8 runs at a time."""
    ids = list(dict.fromkeys(ids))

    def work(client: AsyncClient) -> Coroutine[Any, Any, list[list[StepRow]]]:
        return each(client.runs.step_rows, ids, in_flight=_STEPS_IN_FLIGHT)

    groups = session.call(work) if ids else []
    return stamp(
        step_frame(groups, payloads=payloads),
        source="steps",
        server=session.joined.server_url,
        query={"run_ids": ids if len(ids) <= 20 else f"{len(ids)} runs"},
        fetched_at=session.clock.now(),
    )


def functions(session: Session) -> pd.DataFrame:
    """Return every registered function of the session's namespace."""
    naming = session.naming
    return stamp(
        function_frame([one for one in session.client.functions.iterate() if naming.owns(one.id)]),
        source="functions",
        server=session.joined.server_url,
        query={"namespace": naming.namespace} if naming.namespace else {},
        fetched_at=session.clock.now(),
    )


def outcomes(session: Session, event: str, found: Sequence[Outcome], source: pd.DataFrame | None) -> pd.DataFrame:
    """Return outcomes, joined to the rows of `source` when there are any."""
    frame = outcome_frame(found) if source is None else join(source, found)
    columns = frame.attrs.get("columns")
    stamp(
        frame,
        source="emission",
        server=session.joined.server_url,
        query={"event": event},
        fetched_at=session.clock.now(),
    )
    if columns:
        frame.attrs["columns"] = columns
    return frame


def check_limit(limit: Any) -> None:
    """Raise `DefinitionError` for a limit that is no count of rows; None means all."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise DefinitionError(f"limit={limit!r} must be a whole number from 1 on, or None for all")


def plain(value: Any) -> Any:
    """Return a filter as text, or as a list of what it holds, for `attrs`."""
    return list(value) if isinstance(value, tuple) else str(value)
