"""How long runs or steps took, by function or step name."""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from ironflow_lab.errors import DefinitionError
from ironflow_lab.plots import theme

_QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]


def latencies(frame: pd.DataFrame, *, by: str, duration: str = "duration") -> pd.DataFrame:
    """Return seconds by group: `count` and the quantiles p5, p25, p50, p75, p95, slowest p50 first.

    Rows that have not ended are left out.
    """
    missing = [name for name in (by, duration) if name not in frame.columns]
    if missing:
        raise DefinitionError(f"latencies need the columns {by} and {duration}; absent: {missing}")
    ended = frame[frame[duration].notna()]
    seconds = ended[duration].dt.total_seconds()
    groups = seconds.groupby(ended[by].astype("string").fillna("(unknown)"), sort=False)
    table = groups.quantile(_QUANTILES).unstack() if len(ended) else pd.DataFrame(columns=_QUANTILES)
    table.columns = pd.Index([f"p{round(100 * share)}" for share in _QUANTILES])
    table.insert(0, "count", groups.size() if len(ended) else pd.Series(dtype="int64"))
    return table.sort_values("p50", ascending=False)


def latency(frame: pd.DataFrame, *, by: str, duration: str = "duration", most: int = 20) -> go.Figure:
    """Return one box a value of the column `by`: p25 to p75, whiskers at p5 and p95.

    The figure holds quantiles and not the rows, so that its size does not grow with the frame.
    """
    table = latencies(frame, by=by, duration=duration)
    title = f"Duration by {by.removesuffix('_id')}: {int(table['count'].sum()):,} ended"
    if table.empty:
        return theme.nothing(title, "Nothing has ended yet.")
    shown = table.head(most)
    names = [html.escape(str(name)) for name in shown.index]
    boxes = go.Box(
        orientation="h",
        y=names,
        q1=shown["p25"].tolist(),
        median=shown["p50"].tolist(),
        q3=shown["p75"].tolist(),
        lowerfence=shown["p5"].tolist(),
        upperfence=shown["p95"].tolist(),
        marker={"color": theme.BAR},
        fillcolor=theme.GRID,
        hoverinfo="x+y",
    )
    made = theme.figure(boxes, title=title, x="duration in seconds", y=by, rows=len(shown))
    if (shown["p5"] > 0).all() and shown["p95"].max() > 50 * shown["p5"].min():
        made.update_xaxes(type="log", title={"text": "duration in seconds (logarithmic)"})
    made.update_yaxes(type="category")
    return made
