"""Sources, restoring and moving through a lab on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import FailedPreconditionError, NotFoundError
from ironflow_lab.lab import serving
from ironflow_lab.lab.run import Run
from ironflow_lab.testing import LocalServer


@pytest.fixture
def restarted(server: LocalServer, monkeypatch: pytest.MonkeyPatch, lab: il.Lab) -> Iterator[il.Lab]:
    """A lab of a process that has defined nothing yet."""
    lab.worker.stop()
    monkeypatch.setattr(serving, "_known", {})
    with_nothing = il.connect(server.url)
    yield with_nothing
    with_nothing.close()
    monkeypatch.undo()
    lab.worker.start()


def define(lab: il.Lab, version: int) -> Any:
    if version == 1:

        @lab.function("swapped", on="swap")
        async def swapped(ctx: Any) -> int:
            await ctx.step.wait_for_event("go", "swap.go", timeout="1h")
            return 1

        return swapped

    @lab.function("swapped", on="swap")
    async def newer(ctx: Any) -> int:
        await ctx.step.wait_for_event("go", "swap.go", timeout="1h")
        return 2

    return newer


def waiting(lab: il.Lab) -> Run:
    (run_id,) = lab.emit("swap").runs
    run = lab.run(run_id)
    while run.status != "waiting":
        assert run.status not in ("failed", "cancelled")
    return run


def test_a_swap_is_for_new_runs_a_move_for_old_ones(lab: il.Lab) -> None:
    define(lab, 1)
    old, moved = waiting(lab), waiting(lab)
    define(lab, 2)
    new = waiting(lab)
    assert "run.move() lets it go on with the newest" in str(old)
    assert "run.move() lets it go on with the newest" in str(old.why())
    assert "run.move()" not in str(new)
    assert lab.move([moved])[0].id == moved.id
    lab.emit("swap.go")
    assert [run.output for run in lab.wait([old, moved, new])] == [1, 2, 2]
    with pytest.raises(FailedPreconditionError, match="is completed"):
        old.move()


def test_the_sources_of_both_versions_are_there(lab: il.Lab) -> None:
    define(lab, 1)
    define(lab, 2)
    found = lab.function_source("swapped")
    assert "return 2" in found.text
    changed = [line.split()[-1] for line in found.diff().splitlines() if line[:1] in "+-" and "return " in line]
    assert changed == ["1", "2"]
    assert [one.hash for one in found.versions][-1] == lab.worker.status().functions[-1].code_hash
    assert lab.restore("swapped") == found.text, "outside a notebook it is the function's"
    with pytest.raises(NotFoundError, match="'swapped'"):
        lab.function_source("swaped")


def test_after_a_restart_the_lab_the_run_and_the_reason_say_what_is_missing(lab: il.Lab, restarted: il.Lab) -> None:
    (run_id,) = restarted.client.events.emit("swap").run_ids
    run = restarted.run(run_id)
    said = "'swapped' is not defined in this process; it was last defined in test_sources.py, line"
    assert f"1 run waits for 'swapped': {said}" in repr(restarted)
    for text in (str(run), str(run.why()), run._repr_html_(), run.why()._repr_html_(), restarted._repr_html_()):
        assert said.replace("'", "&#x27;") in text or said in text
        assert "lab.restore(" in text
    missing = run.why().missing
    assert missing is not None
    assert missing.function_id == "swapped"
    run.cancel()
