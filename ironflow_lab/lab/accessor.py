"""`df.ironflow`: what can be done with a frame that a lab made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ironflow_lab.errors import DefinitionError, ForeignFrameError
from ironflow_lab.frames.expand import expand
from ironflow_lab.frames.jsonarray import JsonDtype

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAME = "ironflow"


class FrameVerbs:
    """`df.ironflow` of frames with a `run_id` or a JSON column, such as `lab.runs()` gives."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._columns: dict[str, str] = frame.attrs.get("columns", {})
        has_json = any(isinstance(dtype, JsonDtype) for dtype in frame.dtypes)
        if not has_json and self._column("run_id") not in frame.columns:
            raise ForeignFrameError(
                "df.ironflow is for frames of a lab: lab.runs(), lab.steps(...) or emission.frame();"
                " this one has neither a column run_id nor one of JSON"
            )

    def expand(self, column: str, *paths: str) -> pd.DataFrame:
        """Return the frame with a column more for each dotted path inside a JSON column.

        `df.ironflow.expand("input", "customer.id")` adds `input.customer.id`. Without paths, one for
        every key. Integers stay exact. Raises `DefinitionError` for a column that is not JSON.
        """
        return expand(self._frame, self._column(column), *paths)

    def steps(self, which: int | str | None = None) -> pd.DataFrame:
        """Return the steps of the frame's runs with their outputs, with `frames.schema.STEPS` as columns.

        `which` picks one of each run by its number, counted from 1 in the order of the run, or all of a
        name, or of a label such as `charge:1`. They are read from the lab that made the frame; raises
        `ForeignFrameError` where that is closed, and `DefinitionError` for a number below 1.
        """
        from ironflow_lab.lab.picking import steps

        return steps(self._frame, which)

    def failures(self, *, most: int = 20) -> go.Figure:
        """Return a figure of the failed rows counted by cause, the `most` frequent causes."""
        from ironflow_lab.plots.failures import failures

        return failures(
            self._frame,
            most=most,
            status=self._column("status"),
            error=self._column("error"),
            code=self._column("error_code"),
        )

    def latency(self, *, by: str | None = None) -> go.Figure:
        """Return a figure of how long rows took: by function, or of steps by name, or `by` a column."""
        from ironflow_lab.plots.latency import latency

        if by is not None and by not in self._frame.columns:
            raise DefinitionError(f"the frame has no column {by!r} to group by")
        runs = self._column("function_id")
        default = runs if runs in self._frame.columns else "name"
        return latency(self._frame, by=by or default, duration=self._column("duration"))

    def _column(self, name: str) -> str:
        return self._columns.get(name, name)


def register() -> None:
    """Make `df.ironflow` known to pandas; doing it again changes nothing."""
    if not hasattr(pd.DataFrame, NAME):
        pd.api.extensions.register_dataframe_accessor(NAME)(FrameVerbs)
