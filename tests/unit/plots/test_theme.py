"""One look for light and dark pages: enough contrast with both, no background, works without a kernel."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from ironflow_lab.plots import theme

WHITE, NOTEBOOK_BLACK = "#ffffff", "#111111"


def luminance(colour: str) -> float:
    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.03928 else float(((part + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(int(colour[place : place + 2], 16) / 255) for place in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", [WHITE, NOTEBOOK_BLACK])
@pytest.mark.parametrize("colour", [theme.TEXT, theme.BAR])
def test_colours_read_on_light_and_on_dark_pages(colour: str, page: str) -> None:
    assert contrast(colour, page) >= 4.2


def test_the_page_shows_through() -> None:
    layout = theme.figure(title="t", x="x", y="y", rows=3).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == theme.PLAIN
    assert layout.template.layout.paper_bgcolor is None


def test_a_plain_figure_that_shows_without_a_kernel() -> None:
    figure = theme.nothing("title", "why")
    assert type(figure) is go.Figure
    assert "why" in figure.to_html(include_plotlyjs=False)
