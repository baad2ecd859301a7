"""A lab in a real kernel: what is under the cells, and how short an error is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from ironflow_lab import local

CELLS = {
    "start": 'import ironflow_lab as il, pandas as pd\nlab = il.start("data", port=0)',
    "define": (
        '@lab.function("order", on="order.placed", retry=1)\n'
        "async def order(ctx):\n"
        '    if ctx.event.data["n"] % 5 == 4:\n'
        '        raise il.NonRetryableError("declined", code="DECLINED")\n'
        '    return ctx.event.data["n"]'
    ),
    "batch": 'batch = lab.emit_frame("order.placed", pd.DataFrame({"n": range(10)})).wait()',
    "shown": "batch",
    "emitted": 'emitted = lab.emit("order.placed", {"n": 1})\nemitted',
    "waited": "lab.wait(emitted.frame())[0].status, emitted.wait() is emitted",
    "invoked": 'lab.invoke("order", {"n": 2})',
    "untraced": 'lab.invoke("order", {"n": 2}, trace=False)',
    "declined": 'lab.invoke("order", {"n": 4, "password": "hunter2"})',
    "one": 'lab.emit_sync("order.placed", {"n": 1}).result',
    "card": "batch.runs[4]",
    "snapshot": "batch.runs[4].at(2)",
    "scrub": (
        "from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger\n"
        'idle = RegisterFunctionRequest(id="idle", triggers=(Trigger(event="idle.asked"),), recording=True)\n'
        "lab.client.functions.register(idle)\n"
        'run = lab.emit("idle.asked", {"n": 1}).runs[0]\n'
        "view = run.scrub()\n"
        "view"
    ),
    "live": (
        "import threading\n"
        "ended = threading.Event()\n"
        'view.observe(lambda change: ended.set(), "live")\n'
        "run.cancel()\n"
        'ended.wait(30), view.meta["ended"], view.meta["source"], len(view.events) // 16'
    ),
    "figure": "batch.frame().ironflow.failures()",
    "await": 'len((await lab.aio.runs.list(limit=3)).runs), (await lab.aio.server.health()).status',
    "unknown": 'def look():\n    return lab.run("run_that_never_was")\nlook()',
    "pattern": 'lab.emit("order.*")',
    "moment": "batch.runs[4].at(99)",
    "chrage": 'batch.runs[4].at(step="chrage")',
    "infinite": 'lab.emit_frame("order.placed", pd.DataFrame({"n": [float("inf")]}))',
    "foreign": "pd.DataFrame({'a': [1]}).ironflow",
    "result": 'lab.emit("order.placed", {"n": 4}).result',
    "nowhere": 'il.connect("http://127.0.0.1:1")',
    "guard": 'il.connect(lab.client.server_url, guard=True).emit("order.placed", {})',
    "stop": 'il.stop("data")',
    "gone": 'lab.run("run_1")',
}  # fmt: skip
ERRORS = {
    "unknown": "NotFoundError",
    "pattern": "InvalidArgumentError",
    "moment": "InvalidArgumentError",
    "chrage": "NotFoundError",
    "infinite": "DefinitionError",
    "foreign": "ForeignFrameError",
    "result": "RunFailedError",
    "declined": "RunFailedError",
    "nowhere": "UnavailableError",
    "guard": "GuardError",
    "gone": "UnavailableError",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Any]]]:
    """The outputs of every cell, executed in order in one kernel."""
    folder = tmp_path_factory.mktemp("kernel")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    before = Path.cwd()
    os.chdir(folder)
    try:
        nbclient.NotebookClient(notebook, timeout=60, allow_errors=True, kernel_name="python3").execute()
        yield {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}
    finally:
        local.stop(folder / "data", force=True)
        os.chdir(before)


def texts(found: list[Any]) -> list[str]:
    return [output.data["text/plain"] for output in found]


def test_joining_says_in_one_line_what_was_joined(outputs: dict[str, list[Any]]) -> None:
    (line,) = texts(outputs["start"])
    assert line.startswith("Lab at http://127.0.0.1:")
    assert "\n" not in line
    assert "<div>Lab at" in outputs["start"][0].data["text/html"]


def test_progress_ends_as_one_stable_line_for_each_part(outputs: dict[str, list[Any]]) -> None:
    assert texts(outputs["batch"]) == ["sent 10 of 10 events", "10 runs: 8 completed, 2 failed"]
    assert texts(outputs["shown"]) == ["<Emission of order.placed: 10 events, 10 runs: 8 completed, 2 failed>"]


def test_one_event_shows_its_result_and_nothing_else(outputs: dict[str, list[Any]]) -> None:
    assert texts(outputs["one"]) == ["1"]


def test_what_was_emitted_says_how_it_ended_once_it_has(outputs: dict[str, list[Any]]) -> None:
    (shown,) = outputs["emitted"]
    assert shown.data["text/plain"] == "<Emission of order.placed: 1 event, 1 run: 1 completed>"
    assert "1 run: 1 completed" in shown.data["text/html"]
    told = shown.data["application/vnd.ironflow-lab.progress+json"]
    assert (told["settled"], told["counts"], told["total"]) == (True, {"completed": 1}, 1)
    assert texts(outputs["waited"]) == ["('completed', True)"]


def test_a_call_shows_its_trace_above_its_output(outputs: dict[str, list[Any]]) -> None:
    trace, output = outputs["invoked"]
    assert output.data["text/plain"] == "2"
    assert trace.data["text/plain"].startswith("order completed, attempt 1 of")
    assert 'class="ironflow-trace"' in trace.data["text/html"]
    assert texts(outputs["untraced"]) == ["2"]
    trace, error = outputs["declined"]
    assert "DECLINED: declined" in trace.data["text/html"]
    assert error.ename == "RunFailedError"
    assert "hunter2" not in str(trace.data)


def test_the_card_and_the_figure_are_static(outputs: dict[str, list[Any]]) -> None:
    (card,) = outputs["card"]
    assert "DECLINED: declined" in card.data["text/html"]
    assert set(card.data) == {"text/html", "text/plain"}
    (figure,) = outputs["figure"]
    assert "application/vnd.plotly.v1+json" in figure.data
    assert not any("widget" in kind for kind in figure.data)


def test_a_snapshot_is_a_static_card(outputs: dict[str, list[Any]]) -> None:
    (card,) = outputs["snapshot"]
    assert "position 2 of" in card.data["text/html"]
    assert set(card.data) == {"text/html", "text/plain"}


def test_a_running_run_is_followed_by_its_view_to_the_end(outputs: dict[str, list[Any]]) -> None:
    view, static = outputs["scrub"]
    assert "application/vnd.jupyter.widget-view+json" in view.data
    assert "widget" not in "".join(static.data)
    assert texts(outputs["live"]) == ["(True, True, 'fold', 2)"]


def test_the_awaited_client_works_at_the_top_level(outputs: dict[str, list[Any]]) -> None:
    assert texts(outputs["await"]) == ["(3, 'ok')"]


@pytest.mark.parametrize("name", list(ERRORS))
def test_an_error_is_one_short_block_without_our_frames(name: str, outputs: dict[str, list[Any]]) -> None:
    error = outputs[name][-1]
    assert error.output_type == "error"
    assert error.ename == ERRORS[name]
    block = "\n".join(error.traceback)
    assert ERRORS[name] in error.traceback[-1]
    assert len(error.traceback) <= 3
    for foreign in ("site-packages", "ironflow_lab/", "httpx", "Traceback", "File "):
        assert foreign not in block
    assert CELLS[name].splitlines()[-1].strip() in block


def test_nothing_is_written_to_stderr(outputs: dict[str, list[Any]]) -> None:
    streams = [output.text for found in outputs.values() for output in found if output.output_type == "stream"]
    assert streams == []
