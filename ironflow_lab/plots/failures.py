"""Why runs or steps failed, counted by cause."""

from __future__ import annotations

import html
import re

import pandas as pd
import plotly.graph_objects as go

from ironflow_lab.errors import DefinitionError
from ironflow_lab.plots import theme

FAILED = ("failed", "timed_out", "dead")
# Codes that say no more than "it failed": the message tells causes apart.
_GENERAL = frozenset({"", "ERROR", "STEP_FAILED", "STEP_ERROR", "NON_RETRYABLE"})
_VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+(?:[.,]\d+)*")
_LONGEST = 60


def cause(code: str, message: str) -> str:
    """Return what to count a failure under: its code, or for a general code its message.

    Numbers and UUIDs in a message are replaced by `#`, so that "order 7 unknown" and "order 8
    unknown" are one cause.
    """
    if code not in _GENERAL:
        return code
    text = _VARYING.sub("#", _first_line(message)) or code or "no error recorded"
    return _short(text)


def causes(
    frame: pd.DataFrame, *, status: str = "status", error: str = "error", code: str = "error_code"
) -> pd.DataFrame:
    """Return the failed rows counted: `cause`, `count`, `example`, the most frequent first.

    Where all messages of a cause are the same, the cause is the message, numbers and all.
    """
    missing = [name for name in (status, error, code) if name not in frame.columns]
    if missing:
        raise DefinitionError(f"failures need the columns status, error and error_code; absent: {missing}")
    failed = frame[frame[status].isin(FAILED)]
    codes, messages = failed[code].fillna(""), failed[error].fillna("")
    found = [cause(str(one), str(other)) for one, other in zip(codes, messages, strict=True)]
    table = pd.DataFrame({"cause": pd.array(found, dtype="string"), "example": messages.to_numpy()})
    counted = table.groupby("cause", sort=False, as_index=False).agg(
        count=("cause", "size"), example=("example", "first"), distinct=("example", "nunique")
    )
    spoken = counted["example"].map(lambda text: cause("", str(text))) == counted["cause"]
    alike = (counted["distinct"] == 1) & (counted["example"] != "") & spoken
    counted["cause"] = counted["cause"].mask(alike, counted["example"].map(lambda text: _short(_first_line(text))))
    counted = counted.drop(columns="distinct")
    return counted.sort_values(["count", "cause"], ascending=[False, True], ignore_index=True)


def failures(frame: pd.DataFrame, *, most: int = 20, **columns: str) -> go.Figure:
    """Return a bar for each of the `most` frequent causes of failure in a frame of runs or steps.

    `columns` names other columns than `status`, `error` and `error_code`.
    """
    table = causes(frame, **columns)
    total = int(table["count"].sum())
    title = f"Failures by cause: {total:,} of {len(frame):,}"
    if total == 0:
        return theme.nothing(title, "Nothing failed.")
    shown = table.head(most)
    bars = go.Bar(
        orientation="h",
        # Labels are read as HTML by plotly, and causes are other people's words.
        y=[html.escape(text) for text in shown["cause"]],
        x=shown["count"].tolist(),
        text=shown["count"].tolist(),
        textposition="outside",
        cliponaxis=False,
        marker={"color": theme.BAR},
        customdata=[html.escape(_clip(str(text))) for text in shown["example"]],
        hovertemplate="%{y}<br>%{x} failed<br>for example: %{customdata}<extra></extra>",
    )
    made = theme.figure(bars, title=title, x="failed", y="cause", rows=len(shown))
    made.update_xaxes(rangemode="tozero", tickformat=",d")
    made.update_yaxes(type="category")
    return made


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _clip(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
