"""What a person sees of functions in cells: log, progress, the trace of a call; and what is left without a kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import nbformat
import pytest
from playwright.sync_api import Locator, expect

from ironflow_lab import local
from ironflow_lab.client import Client
from tests.ui import axe
from tests.ui.conftest import JupyterLab, Notebook

pytestmark = pytest.mark.ui

TALK = (
    "def speak(who, many):\n"
    "    for n in range(many):\n"
    "        print(f'{who} says {n}<b>')\n"
    "@lab.function('talk', on='talk.asked')\n"
    "async def talk(ctx):\n"
    "    who = ctx.event.data['who']\n"
    "    await ctx.step.run('first', speak, who, 60)\n"
    "    await ctx.step.wait_for_event('go', 'talk.go')\n"
    "    await ctx.step.run('second', speak, who, 5)\n"
    "    await ctx.step.wait_for_event('more', 'talk.more')\n"
    "    await ctx.step.run('third', speak, who, 3)\n"
    "    await ctx.step.wait_for_event('end', 'talk.end')\n"
    "    if who == 'bob':\n"
    "        raise il.NonRetryableError('bob <b>left</b>', code='LEFT')\n"
    "    return who"
)
PAY = (
    "@lab.function('pay')\n"
    "async def pay(ctx):\n"
    "    await ctx.step.run('charge', lambda: ctx.event.data)\n"
    "    await ctx.step.wait_for_event('approval', 'pay.approved')\n"
    "    raise il.NonRetryableError('card <b>declined</b>', code='DECLINED')"
)
CELLS = (
    "import ironflow_lab as il, pandas as pd\nlab = il.start()",
    TALK,
    "lab.emit_frame('talk.asked', pd.DataFrame({'who': ['ada', 'bob']}))",
    PAY,
    "lab.invoke('pay', {'password': 'hunter2'})",
    "lab.emit('talk.asked', {'who': 'eve'})",
)
THEMES = ("JupyterLab Light", "JupyterLab Dark")
AT_END = "node => node.scrollHeight > node.clientHeight && node.scrollTop + node.clientHeight >= node.scrollHeight - 8"


@pytest.fixture
def notebook(jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]) -> Notebook:
    return open_notebook(jupyterlab.write("prototyping.ipynb", *CELLS))


@pytest.fixture
def client(jupyterlab: JupyterLab, notebook: Notebook) -> Iterator[Client]:
    """A client of the server of the notebook."""
    with Client(local.start(cwd=jupyterlab.folder).url, "", "") as made:
        yield made


def test_functions_in_cells_are_seen_at_work(jupyterlab: JupyterLab, notebook: Notebook, client: Client) -> None:
    notebook.run_cells(0, 1, 2)
    progress = notebook.output(2).locator(".ifo-progress")
    expect(progress).to_contain_text("0 of 2 runs: 2 waiting")
    _watch_the_log(notebook, client)
    expect(progress).to_contain_text("0 of 2 runs: 2 waiting")
    _see_the_trace(notebook, client)
    for theme in THEMES:
        notebook.theme(theme)
        for part in (".ifo-log", ".ifo-progress"):
            assert axe.serious(notebook.page, part) == [], theme
        notebook.shot(f"prototyping-{theme.split()[-1].lower()}")
    assert notebook.traffic.errors == []

    _save(notebook)
    notebook.page.reload()
    expect(progress).to_contain_text("0 of 2 runs: 2 waiting")
    # What the kernel shows does not reach a page that was loaded anew: the server is asked.
    client.events.emit("talk.end", {})
    expect(progress).to_contain_text("2 runs: 1 completed, 1 failed")
    expect(progress.locator("li", has_text="failed")).to_contain_text("bob <b>left</b>")
    expect(progress).to_have_attribute("data-settled", "yes")
    expect(notebook.output(4).locator(".ironflow-trace")).to_contain_text("DECLINED: card <b>declined</b>")
    expect(notebook.output(1).locator(".ifo-run")).to_have_count(2)
    _lose_the_kernel(notebook, client)
    assert notebook.traffic.beyond(jupyterlab.url) == []
    _read_the_file(jupyterlab)


def _watch_the_log(notebook: Notebook, client: Client) -> None:
    """Two runs at once: each in its own group, as the reader left it, at the end unless the reader went up."""
    log = notebook.output(1).locator(".ifo-log")
    ada, bob = _group(log, "ada"), _group(log, "bob")
    for group in (ada, bob):
        expect(group).to_have_attribute("data-state", "waiting")
        expect(group.locator(".ifo-line")).to_have_count(60)
        expect(group).to_have_attribute("open", "")
    lines, order = ada.locator(".ifo-lines"), log.locator("summary code").all_inner_texts()
    assert lines.evaluate(AT_END)
    bob.locator("summary").focus()
    notebook.page.keyboard.press("Enter")
    expect(bob).not_to_have_attribute("open", "")

    client.events.emit("talk.go", {})
    expect(lines).to_contain_text("ada says 4<b>")
    expect(ada.locator(".ifo-line")).to_have_count(65)
    assert lines.evaluate(AT_END)
    lines.evaluate("node => { node.scrollTop = 10; }")
    client.events.emit("talk.more", {})
    expect(ada.locator(".ifo-line")).to_have_count(68)
    assert lines.evaluate("node => node.scrollTop") == 10
    expect(bob.locator("summary")).to_contain_text("bob says 2<b>")
    expect(bob).not_to_have_attribute("open", "")
    assert log.locator("summary code").all_inner_texts() == order
    expect(log.locator(".ifo-line b")).to_have_count(0)
    expect(ada.locator(".ifo-line").last).to_contain_text("third")


def _group(log: Locator, who: str) -> Locator:
    return log.locator(".ifo-run", has_text=f"{who} says")


def _see_the_trace(notebook: Notebook, client: Client) -> None:
    notebook.run_cells(3)
    notebook.run_cell(4)
    trace = notebook.output(4).locator(".ironflow-trace")
    expect(trace.locator("tr", has_text="charge")).to_contain_text("completed")
    expect(trace).to_contain_text("waiting in 'approval' for 'pay.approved'")
    client.events.emit("pay.approved", {})
    notebook.wait_done(4)
    expect(trace).to_contain_text("DECLINED: card <b>declined</b>")
    expect(trace.locator("b")).to_have_count(0)
    expect(trace).not_to_contain_text("hunter2")
    expect(notebook.output(4)).to_contain_text("RunFailedError")


def _lose_the_kernel(notebook: Notebook, client: Client) -> None:
    notebook.page.locator("#jp-main-statusbar", has_text="Python 3 (ipykernel) | Idle").wait_for()
    notebook.run_cell(5)
    progress = notebook.output(5).locator(".ifo-progress")
    expect(progress).to_contain_text("1 run: waiting")
    run = progress.locator("li").get_attribute("data-run")
    assert run is not None
    _save(notebook)
    notebook.command("Kernel", "kernelmenu:shutdown")
    notebook.page.locator("#jp-main-statusbar", has_text="No Kernel").wait_for()
    client.runs.cancel(run, reason="nobody listens")
    expect(progress).to_contain_text("1 run: cancelled")
    progress.get_by_role("button", name=run).click()
    expect(notebook.page.locator(f'.ifp-tab[data-run="{run}"] .ifl-scrub')).to_be_visible()


def _save(notebook: Notebook) -> None:
    with notebook.page.expect_response(lambda told: "/api/contents/" in told.url and told.request.method == "PUT"):
        notebook.command("File", "docmanager:save")


def _read_the_file(jupyterlab: JupyterLab) -> None:
    """What stands in the file, without JupyterLab and without a kernel."""
    cells = nbformat.read(jupyterlab.folder / "prototyping.ipynb", as_version=4).cells
    trace, progress, log = (cells[index].outputs[-1 if index == 5 else 0].data for index in (4, 5, 1))
    assert "DECLINED: card &lt;b&gt;declined" in trace["text/html"]
    assert re.search(r"1 run: 1 waiting.*as of 2", progress["text/html"])
    assert "ada says 4&lt;b&gt;" in log["text/html"]
    assert not [cell for cell in cells for one in cell.outputs if "<script" in str(one.get("data", {}))]
