"""Frames of what was recorded, with where they came from in `attrs`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import pandas as pd

from ironflow_lab.errors import DefinitionError
from ironflow_lab.frames.history import audit_frame, change_frame, state_frame, timeline_frame
from ironflow_lab.frames.provenance import stamp
from ironflow_lab.history.diff import Explained
from ironflow_lab.history.snapshot import StepState
from ironflow_lab.lab import accessor
from ironflow_lab.lab.handles import DEFAULT_LIMIT
from ironflow_lab.lab.loading import check_limit, plain
from ironflow_lab.lab.past import NOT_RECORDED, Past
from ironflow_lab.lab.session import Session
from ironflow_lab.models.audit import AuditEvent, AuditRow

if TYPE_CHECKING:
    from ironflow_lab.lab.snapshot import Snapshot

_PAGE = 1_000

accessor.register()


def audit(session: Session, run_id: str | None, *, function: str, limit: int | None, **filters: Any) -> pd.DataFrame:
    """Return audit events: one run's, oldest first, or those of all runs, newest first."""
    check_limit(limit)
    if run_id is not None and function:
        raise DefinitionError("give a run or function=, not both: a run has one function")
    size = _PAGE if limit is None else min(_PAGE, limit)
    found: Iterator[AuditEvent] | Iterator[AuditRow] = (
        session.client.audit.search_iterate(function_id=function, page_size=size, **filters)
        if run_id is None
        else session.client.audit.iterate(run_id, page_size=size, **filters)
    )
    events: Sequence[Any] = list(islice(found, limit))
    truncated = f"limit: the first {limit:,}; more match" if next(found, None) is not None else None
    if truncated and limit == DEFAULT_LIMIT:
        warnings.warn(f"{truncated}; pass another limit=, or limit=None for all", stacklevel=3)
    if run_id is not None and not events and not any(filters.values()):
        session.client.runs.get(run_id)
        truncated = NOT_RECORDED.format(run_id)
    whole = run_id is not None and not filters["event_type"] and filters["since"] is None
    asked = {"run_id": run_id, "function": function, **filters}
    return stamp(
        audit_frame(events, first=1 if whole else 0),
        source="audit",
        server=session.joined.server_url,
        query={**{name: plain(value) for name, value in asked.items() if value}, "limit": limit},
        fetched_at=session.clock.now(),
        truncated=truncated,
    )


def trail(past: Past) -> pd.DataFrame:
    """Return every audit event of a run; none of a run that was not recorded, and `attrs` say so."""
    events = past.history.events if past.recorded else []
    return _stamped(past, audit_frame(events, first=1), source="audit")


def timeline(past: Past) -> pd.DataFrame:
    """Return every moment of a run; of one that was not recorded, what its rows tell."""
    return _stamped(past, timeline_frame(past.history), source=past.source)


def changes(past: Past, found: Sequence[Explained], between: Sequence[Any]) -> pd.DataFrame:
    """Return the differences between two moments of a run."""
    return _stamped(past, change_frame(found), source=past.source, between=[str(one) for one in between])


def states(snapshot: Snapshot, steps: Sequence[StepState], *, server: str, fetched_at: int) -> pd.DataFrame:
    """Return the steps of a run as they were at a moment."""
    return stamp(
        state_frame(steps),
        source=snapshot.source,
        server=server,
        query={"run_id": snapshot.run_id, "position": snapshot.position},
        fetched_at=fetched_at,
        truncated=snapshot.note if snapshot.source == "incomplete" else None,
    )


def _stamped(past: Past, frame: pd.DataFrame, *, source: str, **query: Any) -> pd.DataFrame:
    return stamp(
        frame,
        source=source,
        server=past.session.joined.server_url,
        query={"run_id": past.run_id, **query},
        fetched_at=past.session.clock.now(),
        truncated=past.note or None,
    )
