"""The notebook on prototyping, as a reader goes through it: the kernel is restarted in the middle."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import ROOT, JupyterLab, Notebook

pytestmark = pytest.mark.ui

DEFINED, EDITED, LETTERS, DIFF, LAST = 1, 8, 9, 10, 11
JOINED, WHY, AGAIN, LOGS, MISTAKE, END = 12, 13, 14, 15, 16, 22


def test_a_reader_restarts_the_kernel_and_the_run_goes_on(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    shutil.copy(ROOT / "notebooks" / "04_prototyping.ipynb", jupyterlab.folder / "prototyping-restart.ipynb")
    notebook = open_notebook("prototyping-restart.ipynb")
    notebook.run_cells(*range(LAST + 1))
    log = notebook.output(DEFINED)
    expect(log).to_contain_text("waiting for the confirmation")
    expect(notebook.output(LETTERS)).to_contain_text("Welcome, grace@example.org!")
    expect(notebook.output(LETTERS)).to_contain_text("Dear alan@example.org")
    expect(notebook.output(DIFF)).to_contain_text("it is good to have you")
    _look(notebook, "edited", DEFINED, DIFF)

    notebook.command("Kernel", "kernelmenu:restart")
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(notebook.page.locator(".jp-Dialog")).to_have_count(0)
    notebook.run_cells(JOINED, WHY)
    expect(notebook.output(WHY)).to_contain_text("'onboard' is not defined in this process")
    expect(notebook.output(WHY)).to_contain_text("lab.restore('onboard')")
    _look(notebook, "missing", JOINED, WHY)

    notebook.run_cells(*range(AGAIN, END + 1))
    expect(notebook.output(AGAIN)).to_contain_text("Dear linus@example.org")
    expect(notebook.output(LOGS)).to_contain_text("creating an account for linus@example.org")
    expect(notebook.output(MISTAKE)).to_contain_text("DataFrame")
    _look(notebook, "again", AGAIN, MISTAKE, END)
    assert notebook.traffic.errors == []
    assert notebook.traffic.beyond(jupyterlab.url) == []


def _look(notebook: Notebook, name: str, *cells: int) -> None:
    """Save pictures of outputs in both themes."""
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        for cell in cells:
            part = notebook.output(cell)
            part.scroll_into_view_if_needed()
            notebook.shot(f"restart-{theme.split()[-1].lower()}-{name}-{cell}", part)
