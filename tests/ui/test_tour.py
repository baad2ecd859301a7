"""The tour, run and looked at in JupyterLab, in both themes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.conftest import ROOT, JupyterLab, Notebook

pytestmark = pytest.mark.ui


def test_tour_runs_and_reads_well_in_both_themes(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    shutil.copy(ROOT / "notebooks" / "00_tour.ipynb", jupyterlab.folder / "tour.ipynb")
    notebook = open_notebook("tour.ipynb")
    notebook.run_all()

    errors = notebook.page.locator(".jp-OutputArea [data-mime-type='application/vnd.jupyter.stderr']")
    assert errors.all_inner_texts() == []
    expect(notebook.page.locator(".js-plotly-plot").first).to_be_visible()
    card = notebook.page.locator(".ironflow-run").first
    expect(card).to_contain_text("completed")
    expect(card).to_contain_text("charge")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        card.scroll_into_view_if_needed()
        assert _contrast(card) >= 4.5, theme
        notebook.shot(f"tour-{theme.split()[-1].lower()}-card", card)
        notebook.page.locator(".js-plotly-plot").first.scroll_into_view_if_needed()
        notebook.shot(f"tour-{theme.split()[-1].lower()}")
    _find_what_the_retry_changed(notebook)
    _see_the_held_run(notebook)
    assert notebook.traffic.errors == []
    assert notebook.traffic.beyond(jupyterlab.url) == []


def _find_what_the_retry_changed(notebook: Notebook) -> None:
    """Do by hand what the last cells of the tour do in Python."""
    view, press = notebook.page.locator(".ifl-scrub"), notebook.page.keyboard.press
    view.scroll_into_view_if_needed()
    expect(view).to_have_attribute("data-position", "6")
    expect(view).to_contain_text("Step charge failed")
    expect(view.locator(".ifl-name[data-ghost] .ifl-label")).to_have_text(["settle", "receipt"])

    view.get_by_role("slider").click(position={"x": 5, "y": 5})
    press("End")
    expect(view).to_contain_text("Run completed")
    for _ in range(int(view.get_attribute("data-position") or 0) - 6):
        press("ArrowLeft")
    expect(view).to_contain_text("Step charge failed")
    press("[")
    while "Step charge completed" not in view.inner_text():
        press("ArrowRight")
    press("]")
    press("d")
    changed = view.locator("tr", has_text="status").filter(has_text="failed")
    expect(changed).to_contain_text("Step charge completed")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        view.scroll_into_view_if_needed()
        notebook.shot(f"tour-{theme.split()[-1].lower()}-scrub", view)


def _see_the_held_run(notebook: Notebook) -> None:
    """The reason, and the card of a run that was held and corrected, as its cell has shown it."""
    why = notebook.page.locator(".ironflow-why").first
    card = notebook.page.locator(".ironflow-run", has_text="refund-bill").first
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        why.scroll_into_view_if_needed()
        expect(why).to_contain_text("it waits for an event 'refund.approved' with '7' at data.bill")
        card.scroll_into_view_if_needed()
        expect(card).to_contain_text("paused")
        expect(card.locator("tr", has_text="look-up")).to_contain_text("injected")
        expect(card.locator("tr", has_text="look-up")).to_contain_text("19.9")
        for shown in (why, card):
            assert _contrast(shown) >= 4.5, theme
        notebook.shot(f"tour-{theme.split()[-1].lower()}-held", card)
        notebook.shot(f"tour-{theme.split()[-1].lower()}-why", why)


def _contrast(card: Locator) -> float:
    """Return the WCAG contrast of the card's text on what is really behind it."""
    colours = card.evaluate(
        """node => {
            let behind = node;
            const clear = c => c === 'transparent' || /, 0\\)$/.test(c);
            const back = one => getComputedStyle(one).backgroundColor;
            while (behind.parentElement && clear(back(behind))) behind = behind.parentElement;
            return [getComputedStyle(node).color, back(behind)];
        }"""
    )
    light, dark = sorted((_luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(float(number)) / 255 for number in re.findall(r"[\d.]+", colour)[:3]]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
