"""What may stand for runs: ids, runs, emissions, frames; without loading pandas to find out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeGuard, Union

from ironflow_lab.errors import DefinitionError
from ironflow_lab.lab.emission import Emission
from ironflow_lab.lab.run import Run

if TYPE_CHECKING:
    import pandas as pd

# What `Lab.runs` reads when no limit is given.
DEFAULT_LIMIT = 10_000

RunsLike = Union[str, Run, Emission, "pd.DataFrame", "pd.Series", Iterable[str | Run]]


def run_ids(wanted: RunsLike) -> list[str]:
    """Return the ids meant by an id, a run, an emission, a frame with `run_id`, or a list of ids."""
    if isinstance(wanted, str):
        return [wanted]
    if isinstance(wanted, Run):
        return [wanted.id]
    if isinstance(wanted, Emission):
        return list(wanted.run_ids)
    if is_frame(wanted):
        named = wanted.attrs.get("columns", {}).get("run_id", "run_id")
        if named not in wanted.columns:
            raise DefinitionError("the frame has no column run_id; take one from lab.runs()")
        return [str(one) for one in wanted[named].dropna()]
    if _is_series(wanted):
        return [str(one) for one in wanted.dropna()]
    return [_run_id(one) for one in wanted]


def _run_id(one: Any) -> str:
    if isinstance(one, Run):
        return one.id
    if not isinstance(one, str):
        raise DefinitionError(f"{one!r:.60} is not a run or a run's id")
    return one


def is_frame(wanted: Any) -> TypeGuard[pd.DataFrame]:
    """Return whether it is a DataFrame, without loading pandas to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(wanted, pandas.DataFrame)


def _is_series(wanted: Any) -> TypeGuard[pd.Series]:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(wanted, pandas.Series)
