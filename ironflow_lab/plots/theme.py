"""One look that reads on light and on dark pages: no background, mid tones, words beside colours."""

from __future__ import annotations

import plotly.graph_objects as go

# Both keep a contrast of at least 4.2 with white and with the notebook's black (tests/unit/plots).
TEXT = "#777777"
BAR = "#2a7fb8"
GRID = "rgba(128, 128, 128, 0.25)"
PLAIN = "rgba(0, 0, 0, 0)"


def figure(*traces: go.Bar | go.Box, title: str, x: str, y: str, rows: int) -> go.Figure:
    """Return a figure of horizontal bars or boxes, one of `rows` a line, with named axes."""
    made = go.Figure(data=list(traces), layout=go.Layout(template=go.layout.Template()))
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
    made.update_layout(
        title={"text": title, "x": 0, "xref": "paper"},
        font={"color": TEXT, "size": 13},
        paper_bgcolor=PLAIN,
        plot_bgcolor=PLAIN,
        showlegend=False,
        height=130 + 34 * max(rows, 2),
        margin={"l": 10, "r": 20, "t": 50, "b": 50},
        xaxis={"title": {"text": x}, **axis},
        yaxis={"title": {"text": y}, "autorange": "reversed", **axis, "showgrid": False},
    )
    return made


def nothing(title: str, message: str) -> go.Figure:
    """Return an empty figure that says in words why it is empty."""
    made = figure(title=title, x="", y="", rows=2)
    made.update_xaxes(visible=False)
    made.update_yaxes(visible=False)
    made.add_annotation(text=message, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return made
