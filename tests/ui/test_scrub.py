"""The time-travel view in JupyterLab: by keyboard, by mouse, live, with large and with hostile values."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Locator, expect

from tests.ui import axe
from tests.ui.conftest import JupyterLab, Notebook

pytestmark = pytest.mark.ui

# Between the parts of a path, and after a speed.
THEN, TIMES = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}", "\N{MULTIPLICATION SIGN}"
IMPORTS = "from ironflow_lab.widgets.scrub import Scrubber\nfrom tests.ui import scrub_runs"
STORY = f"{IMPORTS}\nw = Scrubber(scrub_runs.packed(scrub_runs.story()))\nw"
THEMES = ("JupyterLab Light", "JupyterLab Dark")


class View:
    """The view in an open notebook."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.root = notebook.page.locator(".ifl-scrub")
        self.track = self.root.get_by_role("slider")
        self.tree = self.root.get_by_role("tree")
        self.names = self.root.get_by_role("listbox")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.notebook.page.keyboard.press(key)

    def at(self, position: int) -> None:
        expect(self.root).to_have_attribute("data-position", str(position))

    def line(self, path: str) -> Locator:
        return self.tree.locator(f".ifl-line[data-path='{path}']")

    def lane(self, name: str) -> Locator:
        return self.names.locator(".ifl-name", has=self.notebook.page.locator(f".ifl-label:text-is('{name}')"))

    def command(self, name: str) -> Locator:
        return self.root.locator(f"button[data-command='{name}']")


def opened(open_notebook: Callable[[str], Notebook], name: str, first: int = 0) -> View:
    notebook = open_notebook(name)
    notebook.run_cells(first)
    view = View(notebook)
    view.root.wait_for()
    return view


def test_everything_is_done_with_the_keyboard(jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]) -> None:
    jupyterlab.write("keys.ipynb", STORY, "(w.t, w.pins, w.path)", "w.t = 3")
    view = opened(open_notebook, "keys.ipynb")
    notebook = view.notebook
    view.at(24)
    view.track.focus()
    view.press("Home", *["ArrowRight"] * 6)
    view.at(6)
    expect(view.track).to_have_attribute("aria-valuenow", "6")
    expect(view.track).to_have_attribute("aria-valuetext", "event 6 of 24: Step charge failed")
    expect(view.root.get_by_role("status")).to_have_text("event 6 of 24: Step charge failed")
    ghosts = view.names.locator(".ifl-name[data-ghost] .ifl-label")
    expect(ghosts).to_have_text(["cool-off", "wait-for-stock", "ship"])
    expect(view.tree.locator("[data-kind=ghost] .ifl-key")).to_have_text(["cool-off", "wait-for-stock", "ship"])
    view.press("[", "Shift+ArrowRight", "Shift+ArrowLeft", *["ArrowRight"] * 14, "]", "d")
    view.at(20)
    table = view.root.get_by_role("table")
    expect(table.locator("tr", has_text=f"charge {THEN} injected")).to_contain_text("20: Step charge injected")
    expect(table.locator("tr", has_text=f"charge {THEN} injected")).to_contain_text("ada")
    expect(table.locator("tr", has_text=f"charge {THEN} status")).to_contain_text("10: Step charge completed")
    # To the lanes and to the state by Tab; letters still are commands there.
    view.press("Tab")
    expect(view.names).to_be_focused()
    view.press("ArrowDown", "ArrowDown", "Enter")
    expect(view.line('["steps",1]')).to_have_attribute("aria-selected", "true")
    view.press("p")
    view.at(10)
    view.press("p", "p", "n")
    view.at(9)
    view.press("Shift+Tab", "End", "Space", "Space")
    expect(view.command("play")).to_have_attribute("aria-label", "Play")
    view.press("?")
    expect(view.root.get_by_role("region", name="Keys")).to_be_visible()
    view.press("Escape", "End", "ArrowLeft")
    view.at(23)
    # Nothing of it was a command of the notebook: d d deletes, i i interrupts, l numbers lines.
    view.press("d", "d", "l", "l")
    assert notebook.cells.count() == 3
    expect(notebook.cells.first.locator(".cm-lineNumbers")).to_have_count(0)
    notebook.run_until(1, "(23, [6, 20], '[\"steps\",1]')")
    notebook.run_cell(2)
    view.at(3)
    expect(view.track).to_have_attribute("aria-valuenow", "3")
    assert notebook.traffic.errors == []


def test_it_reads_well_in_both_themes_and_axe_finds_nothing_serious(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    jupyterlab.write("themes.ipynb", STORY)
    view = opened(open_notebook, "themes.ipynb")
    view.track.focus()
    view.press("Home", *["ArrowRight"] * 6, "[", *["ArrowRight"] * 14, "]", "d")
    view.line('["steps",1]').locator(".ifl-twist").click()
    colours = []
    for theme in THEMES:
        view.notebook.theme(theme)
        view.root.scroll_into_view_if_needed()
        assert axe.serious(view.notebook.page, ".ifl-scrub") == [], theme
        colours.append(view.track.locator("canvas").evaluate(PIXELS))
        view.notebook.shot(f"scrub-{theme.split()[-1].lower()}", view.root)
    assert colours[0] != colours[1], "the lanes are drawn in the colours of the theme"
    assert view.notebook.traffic.errors == []


PIXELS = "node => node.getContext('2d').getImageData(0, 0, node.width, node.height).data.join().slice(0, 200000)"


def test_it_works_with_the_mouse(jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]) -> None:
    jupyterlab.write("mouse.ipynb", STORY, "w.t")
    view = opened(open_notebook, "mouse.ipynb")
    page = view.notebook.page
    view.command("scale").click()
    box = view.track.bounding_box()
    assert box is not None

    def x(position: int) -> float:
        return 16 + position / 24 * (box["width"] - 32)

    view.track.click(position={"x": x(6), "y": 30})
    view.at(6)
    page.mouse.move(box["x"] + x(6), box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + x(9), box["y"] + 30, steps=5)
    page.mouse.move(box["x"] + x(12), box["y"] + 200, steps=5)
    page.mouse.up()
    view.at(12)
    view.command("previous").click()
    view.at(11)
    view.lane("charge").click()
    expect(view.line('["steps",1]')).to_have_attribute("aria-expanded", "true")
    expect(view.line('["steps",1,"output"]')).to_contain_text("129.9")
    view.line('["steps",1,"output"]').locator(".ifl-twist").click()
    expect(view.line('["steps",1,"output","paid"]')).to_contain_text("129.9")
    view.line('["steps",1,"output","paid"]').click()
    view.command("nextChange").click()
    view.at(20)
    expect(view.line('["steps",1,"output","paid"]')).to_have_attribute("data-mark", "changed")
    expect(view.line('["steps",1,"output","paid"]')).to_contain_text("119.9")
    # Zoomed in, the same place of the page is another moment.
    expect(view.command("fit")).to_be_disabled()
    page.mouse.move(box["x"] + x(12), box["y"] + 30)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    expect(view.command("fit")).to_be_enabled()
    view.command("fit").click()
    view.root.get_by_role("combobox", name="Speed").select_option(f"16{TIMES}")
    view.command("first").click()
    view.command("play").click()
    view.at(24)
    expect(view.command("play")).to_have_attribute("aria-label", "Play")
    view.notebook.run_until(1, "24")
    assert view.notebook.traffic.errors == []


def test_the_python_for_what_is_shown_goes_into_a_cell_or_a_box(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    jupyterlab.write("insert.ipynb", STORY)
    view = opened(open_notebook, "insert.ipynb")
    view.track.focus()
    view.press("Home", "ArrowRight", "ArrowRight", "i")
    code = 'run = lab.run("run_story")\nrun.at(event=2)'
    cells = view.notebook.cells
    box = view.root.get_by_role("textbox", name="Python for what is shown")
    expect(box.or_(cells.nth(1)).first).to_be_visible()
    shown = box.input_value() if box.is_visible() else "\n".join(cells.nth(1).locator(".cm-line").all_inner_texts())
    # The extension puts what makes `lab` before it where the notebook has none.
    assert shown.endswith(code)


def test_a_running_run_is_followed_until_somebody_scrubs_back(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    jupyterlab.write(
        "live.ipynb",
        "import threading, ironflow_lab as il\nlab = il.start()\ngates = [threading.Event() for _ in range(3)]\n"
        "@lab.function('gated', on='gate.asked')\n"
        "def gated(ctx):\n"
        "    for number, gate in enumerate(gates):\n"
        "        ctx.step.run(f'step {number}', lambda: number)\n"
        "        ctx.step.run(f'gate {number}', lambda: gate.wait(600))\n"
        "    return 'through'",
        "run = lab.emit('gate.asked', {}).runs[0]\nw = run.scrub()\nw",
        "gates[0].set()",
        "gates[1].set()",
        "gates[2].set()",
        "lab.wait(run.id)\n(w.live, w.t == run.audit.shape[0], len(w.events) // 16 == w.t)",
    )
    notebook = open_notebook("live.ipynb")
    notebook.run_cells(0, 1)
    view = View(notebook)
    live = view.command("live")
    expect(live).to_have_attribute("aria-pressed", "true")
    expect(view.lane("step 0")).to_have_count(1)
    notebook.run_cells(2)
    expect(view.lane("step 1")).to_have_count(1)
    expect(view.lane("step 1")).not_to_have_attribute("data-ghost", "")
    view.track.focus()
    view.press("ArrowLeft", "ArrowLeft")
    expect(live).to_have_attribute("aria-pressed", "false")
    held = view.root.get_attribute("data-position")
    notebook.run_cells(3)
    expect(view.root).to_have_attribute("data-position", str(held))
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")
    expect(view.lane("step 2")).to_have_count(1)
    notebook.run_cells(4)
    expect(view.root.locator(".ifl-chip")).to_have_text("completed")
    expect(live).to_be_disabled()
    notebook.run_until(5, "(False, True, True)")
    static = notebook.cells.nth(1).locator("details.ironflow-static")
    static.locator("summary").click()
    expect(static).to_contain_text("gate 2")
    assert notebook.traffic.errors == []


def test_a_value_of_five_megabytes_comes_only_when_it_is_opened(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    cell = f"{IMPORTS}\nw = Scrubber(scrub_runs.packed(scrub_runs.heavy()))\nw"
    jupyterlab.write("heavy.ipynb", cell, "len(str(w.get_state())) - len(w._esm) < 20_000")
    view = opened(open_notebook, "heavy.ipynb")
    view.lane("fetch").click()
    line = view.line('["steps",0,"output"]')
    expect(line).to_have_attribute("data-deferred", "closed")
    expect(line).to_contain_text("MB, open to load")
    line.locator(".ifl-twist").click()
    rows = view.line('["steps",0,"output","rows"]')
    expect(rows).to_be_visible()
    rows.locator(".ifl-twist").click()
    ranges = view.tree.locator("[data-kind=range]")
    expect(ranges).to_have_count(5)
    assert view.tree.locator(".ifl-line").count() < 60
    view.notebook.run_cells(1)
    expect(view.notebook.output(1)).to_contain_text("True")
    assert view.notebook.traffic.errors == []


SENTINEL = """() => {
  window.sentinel = 'untouched';
  window.heard = [];
  for (const name of ['alert', 'confirm', 'prompt', 'open']) window[name] = () => window.heard.push(name);
  for (const name of ['log', 'warn', 'info', 'debug']) {
    const before = console[name];
    console[name] = (...given) => {
      if (String(given).includes('sentinel')) window.heard.push(name);
      before(...given);
    };
  }
}"""


def test_what_an_operator_did_shows_as_that_and_runs_of_no_event_and_of_one(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    jupyterlab.write(
        "undone-scrub.ipynb",
        f"{IMPORTS}\nfrom ironflow_lab.history.pack import Packer\n"
        "w = Scrubber(scrub_runs.packed(scrub_runs.undone()))\nw.t = 18\nw",
        "Scrubber(Packer('run_none', 'f', note='Not recorded.'))",
        "Scrubber(scrub_runs.packed(scrub_runs.story()[:1]))",
    )
    view = opened(open_notebook, "undone-scrub.ipynb")
    _an_operator_s_doings(view)
    notebook = view.notebook
    notebook.run_cells(1, 2)
    none, one = notebook.page.locator(".ifl-scrub").nth(1), notebook.page.locator(".ifl-scrub").nth(2)
    expect(none).to_contain_text("Not recorded. Nothing is recorded of this run yet.")
    expect(one).to_have_attribute("data-position", "1")
    one.get_by_role("slider").focus()
    notebook.page.keyboard.press("ArrowLeft")
    expect(one).to_have_attribute("data-position", "0")
    expect(one).to_contain_text("Before the run was created")
    assert notebook.traffic.errors == []


def _an_operator_s_doings(view: View) -> None:
    view.at(18)
    expect(view.track).to_have_attribute("aria-valuetext", "event 18 of 25: Step ship discarded")
    ghosts = view.names.locator(".ifl-name[data-ghost]")
    expect(ghosts).to_have_text([re.compile("approve, pending"), re.compile("ship, pending"), re.compile("not yet")])
    view.track.focus()
    view.press(*["ArrowLeft"] * 2, "[", *["ArrowRight"] * 8, "]", "d")
    told = "event 24 of 25: Compensation of charge completed"
    expect(view.track).to_have_attribute("aria-valuetext", told)
    table = view.root.get_by_role("table")
    expect(table.locator("tr", has_text=f"ship {THEN} status")).to_contain_text("18: Step ship discarded")
    expect(table.locator("tr", has_text=f"ship {THEN} status")).to_contain_text("operator")
    expect(view.names.locator(".ifl-name[data-ghost]")).to_have_text([re.compile("ship, pending")])


def test_hostile_names_and_values_are_text(jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]) -> None:
    cell = f"{IMPORTS}\nw = Scrubber(scrub_runs.packed(scrub_runs.hostile()))\nw"
    jupyterlab.write("hostile-scrub.ipynb", cell, "w.t")
    notebook = open_notebook("hostile-scrub.ipynb")
    page = notebook.page
    dialogs: list[Dialog] = []

    def asked(dialog: Dialog) -> None:
        dialogs.append(dialog)

    page.on("dialog", asked)
    page.evaluate(SENTINEL)
    notebook.run_cells(0)
    view = View(notebook)
    view.root.wait_for()
    view.track.focus()
    view.press("Home", "[", *["ArrowRight"] * 13, "]", "d", "?", "i")
    for name in ("__proto__", "a:b.c", "constructor"):
        view.lane(name).click()
        assert view.tree.locator(".ifl-line", has_text="__proto__").count() > 0
    # Every closed line is opened, and every part of the view is hovered once.
    for _ in range(30):
        closed = view.tree.locator(".ifl-line[aria-expanded=false] .ifl-twist")
        if closed.count() == 0:
            break
        closed.first.click()
    view.track.hover()
    notebook.cells.first.locator("details.ironflow-static summary").click()
    expect(view.tree).to_contain_text("9223372036854775807")
    assert page.evaluate("[window.sentinel, window.heard, ({}).polluted === undefined]") == ["untouched", [], True]
    assert view.root.locator("img, script, iframe, svg[onload]").count() == 0
    assert notebook.cells.first.locator("details.ironflow-static").locator("img, script, svg").count() == 0
    assert dialogs == []
    assert notebook.traffic.beyond(jupyterlab.url) == []
    assert notebook.traffic.errors == []
    assert re.search("<img src=x", view.root.inner_text())


def test_a_saved_notebook_scrubs_without_a_kernel(
    jupyterlab: JupyterLab, open_notebook: Callable[[str], Notebook]
) -> None:
    name = jupyterlab.write("saved.ipynb", STORY)
    path = jupyterlab.folder / name
    execute = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(path)]
    subprocess.run(execute, check=True, capture_output=True)
    assert "tok_secret" not in path.read_text()
    notebook = open_notebook(name)
    # Not trusted yet: the static form is what there is, sanitised.
    static = notebook.cells.first.locator("details")
    expect(static).to_contain_text("process-order, without the view")
    # Not awaited: it asks first.
    notebook.page.evaluate("() => { void window.jupyterapp.commands.execute('notebook:trust'); }")
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    view = View(notebook)
    view.at(24)
    view.track.focus()
    view.press("Home", *["ArrowRight"] * 6)
    expect(view.track).to_have_attribute("aria-valuetext", "event 6 of 24: Step charge failed")
    assert not notebook.cells.first.locator(".jp-InputPrompt").inner_text().startswith("[*")
