"""What runs write in a real kernel: each line with its own run and step, live under the cell, kept after the kernel.

The newest ipykernel, 7.4.0, is the oldest supported one too.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from ironflow_lab.lab import logs, pane
from ironflow_lab.testing import LocalServer
from tests.contract.test_kernel import PATIENCE, Notebook

RUNS = 20

PREPARE = """
import asyncio, contextvars, logging, sys, threading, time, warnings
logging.basicConfig(format="%(message)s")   # a handler on the kernel's own stream, before there are any taps
from IPython.display import display
import ironflow_lab as il
lab = il.connect({url!r})
lab.worker.configure(concurrency=64)
shop = logging.getLogger("shop")

# All runs are under way before one goes on; a loop's own threads are too few for all to wait there.
gate, arrived, opened = threading.Barrier({half} + 1), [], []

async def all_here():
    if not opened: opened.append(asyncio.Event())
    arrived.append(1)
    if len(arrived) == {half}:
        await asyncio.to_thread(gate.wait)
        opened[0].set()
    await opened[0].wait()

def show(ids):
    print(lab.worker.logs(ids).drop(columns="at").to_json(orient="records"))
"""

# Twenty runs of two functions at once; every text names its run's number and the step it belongs to.
ASYNC = """
@lab.function("async-shop", on="shop.open")
async def async_shop(ctx):
    n = ctx.event.data["n"]
    await all_here()
    print(f"{n}|", end="")
    await asyncio.sleep(0)
    print("handler")
    async def nested(word):
        await asyncio.sleep(0)
        print(f"{n}|{word}", flush=True)
    async def body():
        await asyncio.gather(nested("one"), nested("one"), asyncio.to_thread(print, f"{n}|one"))
        asyncio.get_running_loop().call_soon(print, f"{n}|one")
        await asyncio.sleep(0)
        shop.warning("%s|one", n)
        warnings.warn(f"{n}|one")
    def plain():
        print(f"{n}|two", file=sys.stderr)
        warnings.warn("same text in every run")
        worker = threading.Thread(target=contextvars.copy_context().run, args=(print, f"{n}|two"))
        worker.start(); worker.join()
    async def aside(branch):
        await branch.run(f"aside-{branch.index}", nested, f"aside-{branch.index}")
    await ctx.step.run("one", body)
    await asyncio.gather(ctx.step.run("two", plain), nested("handler"))
    await ctx.step.parallel("sides", [aside, aside])
    ctx.logger.info("%s|handler", n)
"""
PLAIN = """
@lab.function("plain-shop", on="shop.open")
def plain_shop(ctx):
    n = ctx.event.data["n"]
    gate.wait()
    print(f"{n}|handler")
    def body():
        for part in (str(n), "|", "one", "\\n"):
            sys.stdout.write(part); time.sleep(0.001)
        shop.error("%s|one", n)
        warnings.warn(f"{n}|one")
    ctx.step.run("one", body)
    ctx.step.run("two", print, f"{n}|two", timeout="10s")
    ctx.step.map("sides", [0, 1], lambda item, branch: branch.run(f"aside-{item}", print, f"{n}|aside-{item}"))
    warnings.warn("same text in every run")
    ctx.logger.info("%s|handler", n)
"""
SAME = "same text in every run"


class Watched(Notebook):
    """A notebook whose logs under cells are followed."""

    def log(self, cell: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the log under a cell once it is as wanted."""
        while not (found := self._latest(cell)) or not until(found):
            try:
                self.read()
            except Empty:
                raise AssertionError(f"the log is {json.dumps(found)[:5000]}") from None
        return found

    def frame(self, code: str) -> list[dict[str, Any]]:
        """Return the rows that `show` prints in a cell."""
        rows: list[dict[str, Any]] = json.loads(self.settled(self.run(code)))
        return rows

    def _latest(self, cell: str) -> dict[str, Any]:
        found = [data[pane.MIME] for _, data in self.displays[cell] if pane.MIME in data]
        return found[-1] if found else {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with LocalServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("notebook")
    made = Watched(folder)
    made.folder = folder  # type: ignore[attr-defined]
    try:
        made.run(PREPARE.format(url=server.url, half=RUNS // 2))
        yield made
    finally:
        made.close()


def states(log: dict[str, Any]) -> Counter[str]:
    return Counter(run["state"] for run in log["runs"])


def all_completed(count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda log: states(log) == Counter(completed=count)


def test_the_first_run_begins_in_a_cell_and_writes_after_it(notebook: Watched) -> None:
    """Comes first: nothing is tapped yet, and what IPython puts into the streams goes when the cell ends."""
    cell = notebook.run(
        "begun, over = threading.Event(), threading.Event()\n"
        "@lab.function('early', on='early')\n"
        "async def early(ctx):\n"
        "    begun.set()\n"
        "    await asyncio.to_thread(over.wait)\n"
        "    print('after the cell')\n"
        "    print('and an error', file=sys.stderr)\n"
    )
    notebook.run("sent = lab.emit('early', {}); assert begun.wait(20)")
    notebook.run("over.set(); lab.wait(sent)")
    log = notebook.log(cell, all_completed(1))
    assert [line["text"] for line in log["runs"][0]["lines"]] == ["after the cell", "and an error"]
    assert not any("after the cell" in text for text in notebook.shown.values())


def test_twenty_concurrent_runs_are_never_mixed(notebook: Watched) -> None:
    cells = {"async-shop": notebook.run(ASYNC), "plain-shop": notebook.run(PLAIN)}
    cell = notebook.run(
        f"sent = [lab.emit('shop.open', {{'n': n}}) for n in range({RUNS // 2})]\n"
        "ids = [run for one in sent for run in one.run_ids]\n"
        "lab.wait(ids)\n"
        "numbers = {run: n for n, one in enumerate(sent) for run in one.run_ids}\n"
        "functions = {run.id: run.function_id for run in map(lab.client.runs.get, ids)}\n"
    )
    facts = json.loads(notebook.settled(notebook.run("import json; print(json.dumps([numbers, functions]))")))
    numbers, functions = facts
    assert len(numbers) == RUNS
    rows = notebook.frame("show(ids)")
    expected = {
        "async-shop": ["handler"] * 3 + ["one"] * 6 + ["two"] * 2 + ["aside-0", "aside-1"],
        "plain-shop": ["handler"] * 2 + ["one"] * 3 + ["two", "aside-0", "aside-1"],
    }
    for run_id, number in numbers.items():
        own = [row for row in rows if row["run_id"] == run_id]
        texts = [re.sub(r" \(line \d+\)$", "", row["text"].removeprefix("shop: ")) for row in own]
        named = [(text, row) for text, row in zip(texts, own, strict=True) if text != SAME]
        assert len(texts) - len(named) == 1, "a warning of the same place is shown for each run"
        assert Counter(text.split("|")[1] for text, _ in named) == Counter(expected[functions[run_id]])
        for text, row in named:
            assert text.split("|")[0] == str(number), f"{row} is not of run {number}"
            assert text.split("|")[1] == (row["step"] or "handler"), f"{row} is not of that step"
            assert (row["function_id"], row["attempt"]) == (functions[run_id], 1)
        kinds = Counter(row["stream"] for row in own)
        assert kinds["log"] == 2
        assert kinds["warning"] == 2
    for function_id, defined in cells.items():
        log = notebook.log(defined, all_completed(RUNS // 2))
        assert log["function"] == function_id
        for run in log["runs"]:
            assert functions[run["run_id"]] == function_id
            told = [(line["text"], line["step"]) for line in run["lines"]]
            kept = [(row["text"], row["step"] or "") for row in rows if row["run_id"] == run["run_id"]]
            assert told == kept
        assert notebook.shown[defined] == "", "nothing is shown a second time"
    assert SAME not in notebook.shown[cell]


def test_a_megabyte_is_bounded_live_and_kept(notebook: Watched) -> None:
    cell = notebook.run(
        "@lab.function('big', on='big')\n"
        "def big(ctx):\n"
        "    for n in range(20_000):\n"
        "        print(f'line {n:06d} ' + 'x' * 50)\n"
        "    return 'end'\n"
    )
    rows = notebook.frame("sent = lab.emit('big', {}); lab.wait(sent); show(sent)")
    log = notebook.log(cell, all_completed(1))
    [run] = log["runs"]
    assert rows[-1]["text"].startswith("line 019999")
    assert 1000 < len(rows) < 5000
    assert run["lines"][-1]["text"].startswith("line 019999")
    assert len(run["lines"]) == pane.MOST_LINES
    assert run["dropped"] + len(run["lines"]) == 20_000
    drawn = [data for _, data in notebook.displays[cell]]
    assert all(len(json.dumps(data)) < 300_000 for data in drawn)
    assert notebook.shown[cell] == ""


def test_displays_appear_on_their_own_and_failures_are_told(notebook: Watched) -> None:
    cell = notebook.run(
        "@lab.function('figures', on='figures', retry=1)\n"
        "async def figures(ctx):\n"
        "    display({'text/plain': 'a figure'}, raw=True)\n"
        "    await ctx.step.run('draw', display, {'text/plain': 'a second'}, raw=True)\n"
        "    raise ValueError('no luck')\n"
    )
    notebook.run("sent = lab.emit('figures', {})")
    log = notebook.log(cell, lambda log: states(log) == Counter(failed=1))
    shown = [data for kind, data in notebook.displays[cell] if kind == "display_data" and pane.MIME not in data]
    assert shown == [{"text/plain": "a figure"}, {"text/plain": "a second"}]
    first, second, error = log["runs"][0]["lines"]
    assert (first["stream"], first["text"], first["step"]) == ("display", "a figure", "")
    assert (second["stream"], second["text"], second["step"]) == ("display", "a second", "draw")
    assert error["stream"] == "error"
    for word in ("figures", "no luck", "line 5"):
        assert word in error["text"]


def test_running_a_cell_again_gives_its_runs_a_log_under_the_new_execution(notebook: Watched) -> None:
    code = "@lab.function('twice', on='twice')\ndef twice(ctx): print('hello')\n"
    cells = []
    for _ in range(2):
        cells.append(notebook.run(code))
        notebook.run("sent = lab.emit('twice', {}); lab.wait(sent)")
        log = notebook.log(cells[-1], all_completed(1))
        assert [line["text"] for line in log["runs"][0]["lines"]] == ["hello"]
    kinds = [kind for cell in cells for kind, data in notebook.displays[cell] if pane.MIME in data]
    assert kinds.count("display_data") == 2


def test_a_thread_without_context_writes_where_it_did_before(notebook: Watched) -> None:
    cell = notebook.run(
        "@lab.function('threads', on='threads')\n"
        "def threads(ctx):\n"
        "    thread = threading.Thread(target=print, args=('of nobody',))\n"
        "    thread.start(); thread.join()\n"
        "    print('of the run')\n"
    )
    latest = notebook.run("sent = lab.emit('threads', {}); lab.wait(sent)")
    notebook.settled(latest)
    assert any("of nobody" in text for text in notebook.shown.values()), "under a cell, as ipykernel has it"
    assert [row["text"] for row in notebook.frame("show(sent)")] == ["of the run"]
    log = notebook.log(cell, all_completed(1))
    assert [line["text"] for line in log["runs"][0]["lines"]] == ["of the run"]


def test_the_check_after_a_cell_is_one_line_under_it(notebook: Watched) -> None:
    code = "@lab.function('checked', on='checked')\nasync def checked(ctx):\n    await ctx.step.run('old', int)\n"
    notebook.run(code)
    notebook.run("lab.check_after_cells(5)\nsent = lab.emit('checked', {}); lab.wait(sent)")
    cell = notebook.run(code.replace("'old'", "'fresh'"))
    log = notebook.log(cell, lambda log: "fresh" in json.dumps(log))
    [told] = [line["text"] for group in log["runs"] for line in group["lines"]]
    assert "1 diverges at step 'old' (renamed to 'fresh')" in told
    notebook.run("lab.check_after_cells(False)")


def test_a_killed_kernel_leaves_its_lines(notebook: Watched) -> None:
    """Comes last: it ends the notebook's kernel."""
    cell = notebook.run(
        "@lab.function('last', on='last')\n"
        "def last(ctx):\n"
        "    print('first words')\n"
        "    ctx.step.run('one', print, 'last words')\n"
        "    threading.Event().wait()\n"
    )
    told = notebook.run("import os; sent = lab.emit('last', {}); print(sent.run_ids[0], os.getpid())")
    run_id, pid = notebook.settled(told).split()
    # A line is on the disk before it is under the cell: the log is drawn later than it is written at the latest.
    notebook.log(cell, lambda log: "last words" in json.dumps(log))
    folder: Path = notebook.folder / ".ironflow"  # type: ignore[attr-defined]
    wait_for(lambda: len(logs.read(folder, [run_id], server_url="")) == 2)
    os.kill(int(pid), signal.SIGKILL)
    frame = logs.read(folder, [run_id], server_url="")
    assert list(frame.text) == ["first words", "last words"]
    assert list(frame.step.fillna("")) == ["", "one"]
    assert list(frame.function_id) == ["last", "last"]


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(PATIENCE * 10):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("that does not come about")
