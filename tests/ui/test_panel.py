"""The side panel and the tab: from no server to a run that is followed, over the Jupyter server alone."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from ironflow_lab import local
from ironflow_lab.client import Client
from ironflow_lab.local import lock, ports
from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger
from tests.ui import axe
from tests.ui.conftest import JupyterLab, Notebook

pytestmark = pytest.mark.ui

KEY = "key-of-the-engine"
CONNECT = "import ironflow_lab as il\nlab = il.connect()"
GREET = (
    "@lab.function('greet', on='greet.asked')\n"
    "async def greet(ctx):\n"
    "    await ctx.step.run('hello', lambda: 'hi')\n"
    "    await ctx.step.sleep('rest', ctx.event.data['rest'])\n"
    "    return 'greeted'"
)
EMIT = "lab.emit_sync('greet.asked', {'rest': '1ms'}).runs[0].status"
LATER = "later = lab.emit('greet.asked', {'rest': '3s'})"


@pytest.fixture
def folder(jupyterlab: JupyterLab, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with a data folder of its own, and the file that a killed server left there.

    Without the file whatever listens at the default address would be found.
    """
    path = jupyterlab.folder / request.node.name
    (path / ".ironflow").mkdir(mode=0o700, parents=True)
    stale = {"version": 1, "url": f"http://127.0.0.1:{ports.next_free(9500)}", "instance": "gone"}
    (path / ".ironflow" / "engine.json").write_bytes(msgspec.json.encode(stale))
    yield path
    local.stop(path / ".ironflow", force=True)


def panel_of(page: Page) -> Locator:
    """The panel, opened."""
    page.locator('.lm-TabBar-tab[title="Ironflow runs"]').click()
    panel = page.locator("#ironflow-lab-panel")
    expect(panel).to_be_visible()
    return panel


def with_key(folder: Path) -> None:
    """Have the discovery file of a folder name a key."""
    path = folder / ".ironflow" / "engine.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), "api_key": KEY}))


def kill(folder: Path) -> str:
    """Kill the server of a folder; return the URL it had."""
    running = local.find(folder / ".ironflow")
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    while lock.holder(folder / ".ironflow") is not None:
        os.sched_yield()
    return running.url


def test_the_panel_from_no_server_to_a_run_that_is_followed(
    jupyterlab: JupyterLab, folder: Path, open_notebook: Callable[[str], Notebook]
) -> None:
    notebook = open_notebook(jupyterlab.write(f"{folder.name}/panel.ipynb", CONNECT, GREET, EMIT, LATER))
    page, panel = notebook.page, panel_of(notebook.page)

    expect(panel).to_contain_text("No server")
    notebook.shot("panel-light-none")
    assert axe.serious(page, "#ironflow-lab-panel") == []
    start = panel.get_by_role("button", name="Start embedded server")
    start.click()
    expect(panel).to_have_attribute("data-state", "found")
    expect(start).to_be_hidden()
    expect(panel).to_contain_text("No runs yet")
    with_key(folder)

    notebook.run_cells(0, 1, 2)
    row = panel.locator(".ifp-run").first
    expect(row).to_contain_text("completed")
    row.get_by_role("button", name=re.compile("greet")).click()
    notebook.wait_done(3)
    expect(notebook.cells.nth(3)).to_contain_text(f'lab.run("{row.get_attribute("data-run")}")')
    expect(notebook.output(3).locator(".ironflow-run")).to_contain_text("completed")

    notebook.run_cells(4)
    expect(panel.locator(".ifp-run")).to_have_count(2)
    panel.locator(".ifp-run").first.get_by_role("button", name="in time travel").click()
    tab = page.locator(".ifp-tab")
    scrub = tab.locator(".ifl-scrub")
    expect(tab.locator(".ifl-head")).to_contain_text("waiting")
    before = int(scrub.get_attribute("data-position") or "0")
    # Nothing is pressed: the tab follows the run to its end.
    expect(tab.locator(".ifl-head")).to_contain_text("completed")
    assert int(scrub.get_attribute("data-position") or "0") > before
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        for part in ("#ironflow-lab-panel", ".ifp-tab"):
            assert axe.serious(page, part) == [], theme
        notebook.shot(f"panel-{theme.split()[-1].lower()}-tab")
    assert notebook.traffic.errors == []

    url = kill(folder)
    expect(panel).to_have_attribute("data-state", "gone")
    expect(panel).to_contain_text("The server is gone")
    notebook.shot("panel-dark-gone", panel)
    assert axe.serious(page, "#ironflow-lab-panel") == []
    local.start(cwd=folder, port=int(url.rpartition(":")[2]))
    expect(panel).to_have_attribute("data-state", "found")
    expect(panel.locator(".ifp-run")).to_have_count(2)
    # A browser complains of every answer that is a refusal, such as one in the moment the server was killed.
    assert [error for error in notebook.traffic.errors if "502" not in error] == []
    assert notebook.traffic.beyond(jupyterlab.url) == []
    assert notebook.traffic.mentions(KEY) == []
    assert len(notebook.traffic.mentions("greet")) > 3


def test_a_cell_is_inserted_for_whoever_asks(
    jupyterlab: JupyterLab, folder: Path, open_notebook: Callable[[str], Notebook]
) -> None:
    local.start(cwd=folder)
    notebook = open_notebook(jupyterlab.write(f"{folder.name}/insert.ipynb", "x = 1"))
    page = notebook.page
    handled = page.evaluate(
        """() => !document.querySelector('.jp-NotebookPanel').dispatchEvent(new CustomEvent(
            'ironflow-lab:insert-cell', {detail: {code: 'lab.run("run_1")'}, bubbles: true, cancelable: true}))"""
    )
    assert handled
    expect(notebook.cells).to_have_count(2)
    # The notebook had no lab, and nothing was run.
    expect(notebook.cells.nth(1)).to_contain_text("lab = il.connect()")
    expect(notebook.cells.nth(1).locator(".jp-InputPrompt")).to_have_text("[ ]:")


def test_the_panel_by_keyboard(jupyterlab: JupyterLab, folder: Path, open_notebook: Callable[[str], Notebook]) -> None:
    local.start(cwd=folder)
    notebook = open_notebook(jupyterlab.write(f"{folder.name}/keys.ipynb", CONNECT, GREET, EMIT, EMIT))
    page, panel = notebook.page, panel_of(notebook.page)
    notebook.run_cells(0, 1, 2, 3)
    newest, older = (panel.locator(".ifp-run").nth(index) for index in (0, 1))
    expect(newest).to_contain_text("completed")
    expect(older).to_contain_text("completed")

    panel.get_by_label("Filter runs").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(newest.locator(".ifp-show")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(older.locator(".ifp-show")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab = page.locator(".ifp-tab")
    expect(tab).to_have_attribute("data-run", older.get_attribute("data-run") or "")
    expect(tab.locator(".ifl-scrub")).to_be_visible()

    panel.get_by_label("Filter runs").fill("nothing like it")
    expect(panel).to_contain_text("No run fits the filter")
    panel.get_by_label("Filter runs").fill("greet completed")
    expect(newest).to_be_visible()
    panel.get_by_label("Status of the runs").select_option("failed")
    expect(panel).to_contain_text("No run has this status")

    # The tab is there again after the page was loaded anew.
    reloaded(page)
    expect(page.locator(".ifp-tab .ifl-scrub")).to_be_attached()
    assert notebook.traffic.beyond(jupyterlab.url) == []


def test_without_a_notebook_a_run_opens_in_a_tab(jupyterlab: JupyterLab, page: Page) -> None:
    server = local.start(cwd=jupyterlab.folder)
    with Client(server.url, "", "") as client:
        client.functions.register(RegisterFunctionRequest(id="idle", triggers=(Trigger(event="idle.asked"),)))
        (run,) = client.events.emit("idle.asked", {"n": 1}).run_ids
    page.goto(f"{jupyterlab.url}/lab/workspaces/alone")
    row = panel_of(page).locator(f'.ifp-run[data-run="{run}"]')
    expect(row).to_contain_text("queued")
    row.locator(".ifp-show").click()
    tab = page.locator(f'.ifp-tab[data-run="{run}"]')
    # It was registered without recording, and says so.
    expect(tab).to_contain_text("not recorded")
    expect(tab).to_contain_text("idle")


def reloaded(page: Page) -> None:
    """Load the page anew once JupyterLab has kept its layout."""
    with page.expect_response(lambda answer: "/api/workspaces/" in answer.url and answer.request.method == "PUT"):
        page.locator(".lm-TabBar-tab", has_text=".ipynb").first.click()
    page.reload()
