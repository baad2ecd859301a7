"""A real kernel is shut down while it executes: finished steps are saved, jobs near their end are finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

import ironflow_lab as il
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire import stepid

SETUP = """
import threading
import ironflow_lab as il
lab = il.connect({url!r})

@lab.function("outlives")
def outlives(ctx):
    ctx.step.run("first", lambda: 1)
    ctx.step.run("second", threading.Event().wait, 600)

@lab.function("ends")
def ends(ctx):
    ctx.step.run("until the end", until_the_end)
    # Begins a thread, which the end of the interpreter forbids.
    return ctx.step.run("timed", lambda: "finished", timeout=5)

def until_the_end():
    while lab.worker.status().state != "draining":
        threading.Event().wait(0.01)

@lab.function("ends-async")
async def ends_async(ctx):
    await ctx.step.run("until the end", until_the_end)
    return await ctx.step.run("hop", lambda: "finished")
"""


@pytest.mark.parametrize("restart", [False, True])
def test_what_a_kernel_has_in_hand_when_it_ends(restart: bool, server: LocalServer, folder: Path, lab: il.Lab) -> None:
    manager, client = start_new_kernel(cwd=str(folder), kernel_name="python3")
    try:
        reply = client.execute_interactive(SETUP.format(url=server.url), timeout=60, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", reply["content"]
        runs = {name: lab.client.functions.invoke(name).run_id for name in ("outlives", "ends", "ends-async")}
        until(lambda: names(lab, runs["outlives"]) == ["first"])
        until(lambda: all(lab.run(run_id).status == "running" for run_id in runs.values()))
        client.shutdown(restart=restart)
        ended(manager)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [lab.run(runs[name]).output for name in ("ends", "ends-async")] == ["finished", "finished"]
    left = lab.run(runs["outlives"])
    assert names(lab, runs["outlives"]) == ["first"]
    # It lost no attempt, and waits for the next worker.
    assert (left.status, left.attempts) in (("waiting", 1), ("running", 1), ("waiting_for_capacity", 1))
    left.cancel()


def names(lab: il.Lab, run_id: str) -> list[str]:
    """Return the names of a run's completed steps."""
    return [stepid.step_name(step.step_id) for step in lab.client.runs.steps(run_id) if step.status == "completed"]


def until(met: Any) -> None:
    """Return once it is met."""
    for _ in range(3000):
        if met():
            return
    raise AssertionError("it did not come about")


def ended(manager: Any) -> None:
    """Return once the kernel's process has ended by itself."""
    manager.provisioner.process.wait(20)
