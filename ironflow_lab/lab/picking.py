"""The steps of the runs of a frame, read from the lab that made it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ironflow_lab.errors import DefinitionError, ForeignFrameError
from ironflow_lab.lab import loading
from ironflow_lab.lab.handles import run_ids
from ironflow_lab.lab.session import Session, open_sessions
from ironflow_lab.wire import stepid


def steps(frame: pd.DataFrame, which: Any) -> pd.DataFrame:
    """Return the steps of the frame's runs, or of each the one meant by number, name or label."""
    if isinstance(which, bool) or not isinstance(which, int | str | None) or (isinstance(which, int) and which < 1):
        raise DefinitionError(f"which={which!r:.60} is a step's number, counted from 1, its name or its label")
    if "run_id" not in (*frame.columns, *frame.attrs.get("columns", {})):
        raise ForeignFrameError("the frame has no column run_id to tell the runs by; take it along from lab.runs()")
    found = loading.steps(_session(frame), run_ids(frame), payloads=True)
    if which is None:
        return found
    picked: pd.DataFrame = found[_picked(found, which)].reset_index(drop=True)
    picked.attrs = {**found.attrs, "rows": len(picked), "query": {**found.attrs["query"], "which": which}}
    return picked


def _picked(found: pd.DataFrame, which: int | str) -> Any:
    if isinstance(which, int):
        order = found.sort_values(["sequence", "started_at"], kind="stable").groupby("run_id", sort=False)
        return order.cumcount().reindex(found.index) == which - 1
    labels = [stepid.label(*ids) for ids in zip(found["run_id"], found["step_id"], strict=True)]
    return (found["name"] == which).to_numpy(dtype=bool) | (pd.Series(labels, dtype=object) == which).to_numpy()


def _session(frame: pd.DataFrame) -> Session:
    server = frame.attrs.get("server", "")
    fitting = [one for one in open_sessions() if one.joined.server_url == server]
    if not server or not fitting:
        where = (
            f"no lab that is open here is joined to {server}" if server else "the frame does not say where it is from"
        )
        raise ForeignFrameError(f"{where}; use lab.steps(frame)")
    if len({(one.joined.environment, one.naming.namespace) for one in fitting}) > 1:
        raise ForeignFrameError(f"several labs that are open here are joined to {server}; use lab.steps(frame)")
    return fitting[0]
