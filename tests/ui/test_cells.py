"""What a person does in cells: define, emit, edit, stop, get it wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import JupyterLab, Notebook

pytestmark = pytest.mark.ui

START = "import ironflow_lab as il\nlab = il.start()"


def test_prints_of_a_step_appear_under_the_cell_that_defined_the_function(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    jupyterlab.write(
        "prints.ipynb",
        START,
        "@lab.function('prints', on='prints.asked')\n"
        "async def prints(ctx):\n"
        "    return await ctx.step.run('say', lambda: print('said by the step'))",
        "lab.emit_sync('prints.asked', {}).runs[0].status",
    )
    notebook = open_notebook("prints.ipynb")
    notebook.run_all()
    expect(notebook.output(2)).to_contain_text("completed")
    expect(notebook.output(1)).to_contain_text("said by the step")
    expect(notebook.output(2)).not_to_contain_text("said by the step")


def test_running_a_cell_again_replaces_the_handler(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    jupyterlab.write(
        "swap.ipynb",
        START,
        "@lab.function('swap', on='swap.asked')\nasync def swap(ctx):\n    return 'first'",
        "lab.emit_sync('swap.asked', {}).result",
        "@lab.function('swap', on='swap.asked')\nasync def swap(ctx):\n    return 'second'",
        "lab.emit_sync('swap.asked', {}).result",
    )
    notebook = open_notebook("swap.ipynb")
    notebook.run_all()
    expect(notebook.output(2)).to_contain_text("first")
    expect(notebook.output(4)).to_contain_text("second")


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


def test_an_error_is_short_and_names_the_remedy(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    jupyterlab.write("wrong.ipynb", START, "lab.run('run_that_never_was')")
    notebook = open_notebook("wrong.ipynb")
    notebook.run_all()
    shown = notebook.output(1)
    expect(shown).to_contain_text("NotFoundError")
    expect(shown).to_contain_text("run_that_never_was")
    expect(shown).not_to_contain_text("httpx")
    notebook.shot("error", shown)


def test_hostile_payloads_are_shown_not_run(jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]) -> None:
    jupyterlab.write(
        "hostile.ipynb",
        START,
        "@lab.function('echo', on='echo.asked')\n"
        "async def echo(ctx):\n"
        "    return await ctx.step.run('back', lambda: ctx.event.data)",
        "done = lab.emit_sync('echo.asked', {'text': '<img src=x onerror=\"document.title=`owned`\">',"
        " 'password': 'hunter2'})",
        "done.runs[0]",
    )
    notebook = open_notebook("hostile.ipynb")
    notebook.run_all()
    card = notebook.page.locator(".ironflow-run").first
    expect(card).to_contain_text("<img src=x")
    expect(card).not_to_contain_text("hunter2")
    assert notebook.page.title() != "owned"
    assert card.locator("img").count() == 0
