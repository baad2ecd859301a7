"""The magics in one real kernel: loaded twice, used, completed, and a cell whose code is swapped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.compilerop import CachingCompiler

import ironflow_lab as il
from ironflow_lab import local
from ironflow_lab.errors import GuardError
from ironflow_lab.lab import joining, known
from ironflow_lab.magics import durable, line
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire.message import Request
from tests.contract.lab.test_guard import harmless
from tests.contract.test_kernel import PATIENCE, Notebook

ORDER = """%%durable order.placed --retry 1
# What is charged depends on the rate of the notebook.
n = event.data["n"]

if n < 0:
    raise ValueError(f"no such order: {n}")
charged = await step.run("charge", lambda: n * rate)
{"charged": charged}
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A kernel with the magics and an embedded server."""
    folder = tmp_path_factory.mktemp("magics")
    (folder / "data").mkdir()
    made = Notebook(folder)
    try:
        made.run("%load_ext ironflow_lab")
        made.run("import ironflow_lab as il\nil.load_ipython_extension(get_ipython())")
        made.run("%ironflow server start --data-dir data --port 0")
        made.run("rate = 10")
        yield made
    finally:
        local.stop(folder / "data", force=True)
        made.close()


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda names: line.execute("worker start", names),
    lambda names: durable.define("guarded.cell", "1", cell_shell(names)),
]


def cell_shell(names: dict[str, Any]) -> Any:
    """Return what of a shell defines a cell's function."""
    compiler: Any = CachingCompiler
    return SimpleNamespace(compile=compiler(), user_ns=names, execution_count=1)


@pytest.mark.parametrize("change", CHANGES)
def test_a_guarded_lab_is_not_changed_by_a_magic(
    change: Callable[[dict[str, Any]], Any], server: LocalServer, traffic: list[Request]
) -> None:
    guarded = il.connect(server.url, guard=True)
    assert joining.current() is guarded
    names: dict[str, Any] = {}
    with pytest.raises(GuardError, match=r"with lab\.allow\(\):"):
        change(names)
    assert names == {}
    assert [request.path for request in traffic if not harmless(request)] == []
    guarded.close()


def test_reading_by_a_magic_changes_nothing(orders: il.Lab, traffic: list[Request]) -> None:
    run = orders.emit("order.placed", {"n": 1}).wait().runs[0]
    traffic.clear()
    names = {"mine": orders}
    for words in ("runs", f"run {run.id}", f"run {run.id} --why", f"run {run.id} --steps", f"run {run.id} --timeline"):
        line.execute(f"{words} --lab mine", names)
    line.execute("worker --lab mine", names)
    line.execute("server", names)
    assert known.run_ids(orders)[0] == run.id
    assert "settle" in known.function_ids(orders)
    assert traffic
    assert [request.path for request in traffic if not harmless(request)] == []


def value(notebook: Notebook, code: str) -> Any:
    """Return what an expression is in the kernel."""
    cell = notebook.begin(f"print('<' + repr(({code})) + '>')")
    assert notebook.reply(cell)["status"] == "ok"
    notebook.settled(cell)
    found = re.search(r"<(.*)>", notebook.shown[cell], re.DOTALL)
    assert found, notebook.shown[cell]
    return found[1]


def shows(notebook: Notebook, cell: str, text: str) -> None:
    """Return once a cell shows the text, as it is or in a display."""
    while text not in notebook.shown[cell] and not any(text in str(shown) for _, shown in notebook.displays[cell]):
        notebook.read()


def completed(notebook: Notebook, text: str) -> tuple[list[str], str]:
    """Return what the kernel offers at the end of a text, and the part that it would replace."""
    reply = notebook.client.complete(text, len(text), reply=True, timeout=PATIENCE)["content"]
    return reply["matches"], text[reply["cursor_start"] : reply["cursor_end"]]


def test_values_of_lines_are_those_of_their_twins(notebook: Notebook) -> None:
    notebook.run("lab = il.start('data')")
    notebook.run(ORDER)
    assert value(notebook, "lab.emit('order.placed', {'n': 4}).wait().result") == "{'charged': 40}"
    notebook.run("frame = %ironflow runs --status completed --function order-placed-handler --limit 5")
    assert value(notebook, "frame.equals(lab.runs(status='completed', limit=5)), len(frame)") == "(True, 1)"
    notebook.run("run = frame['run_id'][0]\ncard = %ironflow run {run}\nwhy = %ironflow run $run --why")
    assert value(notebook, "card.id == run, type(why) is type(lab.run(run).why())") == "(True, True)"
    notebook.run("worker = %ironflow worker\nserver = %ironflow server")
    assert value(notebook, "worker.status().state, server.running") == "('running', True)"


def test_a_changed_cell_is_the_function_of_new_runs(notebook: Notebook) -> None:
    notebook.run(ORDER)
    notebook.run("before = order_placed_handler.code_hash")
    notebook.run(ORDER.replace("n * rate", "n * rate + 1"))
    assert value(notebook, "lab.emit('order.placed', {'n': 4}).wait().result") == "{'charged': 41}"
    notebook.run("rate = 100")
    assert value(notebook, "lab.emit('order.placed', {'n': 4}).wait().result") == "{'charged': 401}"
    assert value(notebook, "order_placed_handler.code_hash != before") == "True"
    notebook.run("import inspect\nsource = inspect.getsource(order_placed_handler.handler)")
    assert value(notebook, "source.splitlines()[1], source.splitlines()[-1]") == (
        "('async def order_placed_handler(ctx):', '    return {\"charged\": charged}')"
    )
    assert value(notebook, "lab.function_source('order-placed-handler').cell") == repr(
        ORDER.replace("n * rate", "n * rate + 1")
    )
    assert value(notebook, "lab.function_source('order-placed-handler').versions[-1].line") == "1"


def test_an_error_names_the_line_of_the_cell(notebook: Notebook) -> None:
    cell = notebook.run(ORDER)
    notebook.run("failed = lab.emit('order.placed', {'n': -1}).wait().runs[0]")
    assert value(notebook, "failed.error.message") == "'ValueError: no such order: -1'"
    shows(notebook, cell, "order-placed-handler, line 6")
    reply = notebook.reply(notebook.begin("%%durable order.broken\nx = 1\nx = = 2"))
    assert reply["status"] == "error"
    assert "line 3 of the cell: invalid syntax" in reply["evalue"]
    assert "magics" not in "\n".join(reply["traceback"]).replace("run_cell_magic", "")


def test_a_step_that_was_not_awaited_is_told_of_under_the_cell(notebook: Notebook) -> None:
    cell = notebook.run("%%durable order.forgotten\nstep.run('charge', int)\n5")
    assert value(notebook, "lab.emit('order.forgotten').wait().result") == "5"
    shows(notebook, cell, "order-forgotten-handler, line 2: the step 'charge' was called without await")


def test_what_can_follow_is_offered(notebook: Notebook) -> None:
    assert completed(notebook, "%ironflow w") == (["worker"], "w")
    assert completed(notebook, "x = %ironflow runs --status failed,pau") == (["failed,paused"], "failed,pau")
    assert completed(notebook, "%ironflow runs --function order-placed") == (
        ["order-placed-handler"],
        "order-placed",
    )
    runs, _ = completed(notebook, "%ironflow run ")
    assert runs
    assert all(one.startswith("run_") for one in runs)
    assert completed(notebook, "%%durable order.x --ret")[0] == ["--retry"]


def test_they_work_in_a_nested_loop(notebook: Notebook) -> None:
    notebook.run("il.enable_nested_loop()\nimport asyncio\nasync def one(): return 1\nassert asyncio.run(one()) == 1")
    notebook.run("%%durable order.nested\nawait step.run('a', lambda: 1)\nawait step.sleep('s', '1ms')\n2")
    notebook.run("async def nested(): return lab.emit('order.nested').wait().result")
    assert value(notebook, "asyncio.run(nested())") == "2"
    notebook.run("frame = %ironflow runs --function order-nested-handler")
    assert value(notebook, "len(frame)") == "1"


def test_without_a_server_nothing_is_offered_and_nothing_raised(notebook: Notebook, tmp_path: Path) -> None:
    notebook.run("%ironflow server stop --data-dir data")
    assert completed(notebook, "%ironflow run run_")[0] == []
    assert completed(notebook, "%ironflow run run_1 --w")[0] == ["--why"]
    reply = notebook.reply(notebook.begin("%ironflow runs"))
    assert reply["ename"] == "UnavailableError"
