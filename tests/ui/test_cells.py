"""What a person does in cells: define, emit, edit, stop, get it wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.conftest import JupyterLab, Notebook

pytestmark = pytest.mark.ui

START = "import ironflow_lab as il\nlab = il.start()"


PRINTS = (
    "@lab.function('prints', on='prints.asked')\n"
    "async def prints(ctx):\n"
    "    return await ctx.step.run('say', lambda: print('said by the step'))"
)
FIRST, SECOND = (
    f"@lab.function('swap', on='swap.asked')\nasync def swap(ctx):\n    return '{word}'" for word in ("first", "second")
)
ASK_SWAP = "lab.emit_sync('swap.asked', {}).result"
ECHO = (
    "@lab.function('echo', on='echo.asked')\n"
    "async def echo(ctx):\n"
    "    return await ctx.step.run('back', lambda: ctx.event.data)"
)
HOSTILE = (
    "done = lab.emit_sync('echo.asked', {'text': '<img src=x onerror=\"document.title=`owned`\">',"
    " 'password': 'hunter2'})\n"
    "done.runs[0]"
)


def test_cells_define_emit_edit_and_go_wrong(jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]) -> None:
    swap = (FIRST, ASK_SWAP, SECOND, ASK_SWAP)
    asked = "lab.emit_sync('prints.asked', {}).runs[0].status"
    cells = (START, PRINTS, asked, *swap, ECHO, HOSTILE, "lab.run('run_that_never_was')")
    notebook = open_notebook(jupyterlab.write("cells.ipynb", *cells))
    notebook.run_all()
    _prints_appear_under_the_defining_cell(notebook.output(1), notebook.output(2))
    # Running a cell again replaced the handler.
    expect(notebook.output(4)).to_contain_text("first")
    expect(notebook.output(6)).to_contain_text("second")
    _hostile_payloads_are_shown_not_run(notebook, notebook.output(8).locator(".ironflow-run"))
    _an_error_is_short_and_names_the_remedy(notebook, notebook.output(9))


def _prints_appear_under_the_defining_cell(defining: Locator, emitting: Locator) -> None:
    expect(emitting).to_contain_text("completed")
    expect(defining).to_contain_text("said by the step")
    expect(emitting).not_to_contain_text("said by the step")


def _hostile_payloads_are_shown_not_run(notebook: Notebook, card: Locator) -> None:
    expect(card).to_contain_text("<img src=x")
    expect(card).not_to_contain_text("hunter2")
    assert notebook.page.title() != "owned"
    assert card.locator("img").count() == 0


def _an_error_is_short_and_names_the_remedy(notebook: Notebook, shown: Locator) -> None:
    expect(shown).to_contain_text("NotFoundError")
    expect(shown).to_contain_text("run_that_never_was")
    expect(shown).not_to_contain_text("httpx")
    notebook.shot("error", shown)


def test_stop_ends_a_wait_and_leaves_the_worker_running(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    jupyterlab.write(
        "stop.ipynb",
        START,
        "@lab.function('slow', on='slow.asked')\nasync def slow(ctx):\n    await ctx.step.sleep('long', '1h')",
        "lab.emit('slow.asked', {}).wait()",
        "@lab.function('quick', on='quick.asked')\nasync def quick(ctx):\n    return 'still here'",
        "lab.emit_sync('quick.asked', {}).result",
    )
    notebook = open_notebook("stop.ipynb")
    notebook.run_cells(0, 1)
    notebook.run_cell(2)
    notebook.page.locator("#jp-main-statusbar", has_text="| Busy").wait_for()
    notebook.command("Kernel", "kernelmenu:interrupt")
    notebook.wait_done(2)
    expect(notebook.output(2)).to_contain_text("KeyboardInterrupt")
    notebook.run_cells(3, 4)
    expect(notebook.output(4)).to_contain_text("still here")
