"""The runs that a run's steps started, as a frame."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

import pandas as pd

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import NotFoundError
from ironflow_lab.frames.provenance import stamp
from ironflow_lab.frames.runs import run_frame
from ironflow_lab.lab import accessor
from ironflow_lab.lab.bounded import each
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import Run, RunRow, RunRowPage
from ironflow_lab.wire import codec

_IN_FLIGHT = 8

accessor.register()


def children(session: Session, run_id: str) -> pd.DataFrame:
    """Return the runs that the steps of a run started, in the order of the steps, 8 read at a time.

    No listing can be asked for them: the steps name them. `attrs["truncated"]` says how many are gone.
    """
    steps = session.client.runs.steps(run_id)
    ids = list(dict.fromkeys(step.child_run_id for step in steps if step.child_run_id))

    def work(client: AsyncClient) -> Coroutine[Any, Any, list[Run | None]]:
        return each(lambda child: _one(client, child), ids, in_flight=_IN_FLIGHT)

    found: Sequence[Run | None] = session.call(work) if ids else []
    rows = [codec.decode(codec.encode(run), RunRow) for run in found if run is not None]
    gone = len(found) - len(rows)
    return stamp(
        run_frame([RunRowPage(runs=rows)], payloads=True).frame,
        source="children",
        server=session.joined.server_url,
        query={"run_id": run_id},
        fetched_at=session.clock.now(),
        truncated=f"gone: {gone} of {len(found)} children have been deleted" if gone else None,
    )


async def _one(client: AsyncClient, run_id: str) -> Run | None:
    try:
        return await client.runs.get(run_id)
    except NotFoundError:
        return None
