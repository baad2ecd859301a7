"""What a person sees of a run being understood: the cards, and JupyterLab's debugger stopped in the user's own cell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.ui import axe
from tests.ui.conftest import JupyterLab, Notebook

pytestmark = pytest.mark.ui

CHECKOUT = (
    "RATES = {'EUR': 1.0}\n"
    "def to_euro(order):\n"
    "    return order['amount'] * RATES.get(order['currency'], 0)\n"
    "def pay(euro):\n"
    "    if not euro:\n"
    "        raise il.NonRetryableError('the <b>bank</b> refuses 0', code='BAD')\n"
    "    return {'charged': euro}\n"
    "@lab.function('checkout', on='checkout.asked')\n"
    "async def checkout(ctx):\n"
    "    euro = await ctx.step.run('to-euro', to_euro, ctx.event.data)\n"
    "    paid = await ctx.step.run('charge', pay, euro)\n"
    "    return paid['charged']"
)
SEND = (
    "orders = pd.DataFrame({'amount': [7.0] * 12, 'currency': ['EUR', '<b>GBP</b>'] * 6})\n"
    "lab.emit_frame('checkout.asked', orders).wait(timeout='60s')\n"
    "runs = lab.runs(function='checkout')\n"
    "bad, good = (lab.run(runs.query('status == @one')['run_id'].iloc[0]) for one in ('failed', 'completed'))"
)
CHANGED = (
    "async def changed(ctx):\n"
    "    rate = await ctx.step.run('rate', lambda: 2)\n"
    "    paid = await ctx.step.run('charge', pay, rate)\n"
    "    return paid['charged']\n"
    "lab.check(changed, runs)"
)
SHOWN = {
    "why": "bad.why()",
    "shared": "lab.compare(runs)",
    "compare": "bad.compare(good)",
    "blame": "bad.blame('steps.to-euro.output')",
    "replay": "bad.replay()",
    "fork": "bad.fork(with_outputs={'to-euro': 8.0}, steps={'charge': 'run'}).go()",
    "check": CHANGED,
    "bisect": "lab.bisect(bad, lambda then: then.status == 'failed')",
    "capsule": "il.open(bad.save('bad', overwrite=True))",
}
WORDS = {
    "why": "step 'charge' failed",
    "shared": "input.currency",
    "compare": "to-euro",
    "blame": "Step 'to-euro' completed",
    "replay": "it failed as the run did",
    "fork": "completed",
    "check": "renamed to 'rate'",
    "bisect": "first holds at position",
    "capsule": "bad.ironflow",
}
CELLS = ("import ironflow_lab as il, pandas as pd\nlab = il.start()", CHECKOUT, SEND, *SHOWN.values())
THEMES = ("JupyterLab Light", "JupyterLab Dark")


def test_every_view_of_a_run_reads_well(jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]) -> None:
    notebook = open_notebook(jupyterlab.write("understand.ipynb", *CELLS))
    # From the beginning: known to the debugger is what was executed since it listens.
    bug = notebook.page.locator(".jp-DebuggerBugButton").first
    bug.click()
    expect(bug).to_have_attribute("aria-pressed", "true")
    notebook.run_cells(0, 1)
    notebook.run_cell(2)
    notebook.wait_done(2)
    for index, (name, words) in enumerate(WORDS.items(), start=3):
        notebook.run_cell(index)
        notebook.wait_done(index)
        output = notebook.output(index)
        expect(output).to_contain_text(words)
        # What a run holds is text, never markup.
        expect(output.locator("b", has_text="GBP").or_(output.locator("b", has_text="bank"))).to_have_count(0)
        assert output.locator(".jp-RenderedHTMLCommon").count() == 1, f"{name} is shown as text only"
    for theme in THEMES:
        notebook.theme(theme)
        assert axe.serious(notebook.page, ".jp-RenderedHTMLCommon") == [], theme
        for index, name in enumerate(WORDS, start=3):
            notebook.output(index).scroll_into_view_if_needed()
            notebook.shot(f"understand-{name}-{theme.split()[-1].lower()}", notebook.output(index))
    assert notebook.traffic.beyond(jupyterlab.url) == []
    assert notebook.traffic.errors == []
    _stop_in_the_cell(notebook)


def _stop_in_the_cell(notebook: Notebook) -> None:
    """The debugger stops where the cell asks for the step; the value before it is among the variables."""
    page = notebook.page
    cell = notebook.cells.nth(7)
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("bad.replay(break_at='charge')")
    page.keyboard.press("Control+Enter")
    stack = page.locator(".jp-DebuggerCallstack-body")
    expect(stack).to_contain_text("checkout")
    variables = page.locator(".jp-DebuggerVariables-body").first
    expect(variables).to_contain_text("euro")
    notebook.shot("understand-debugger")
    page.get_by_title("Continue (F9)").first.click()
    notebook.wait_done(7)
    expect(notebook.output(7)).to_contain_text("it failed as the run did")
