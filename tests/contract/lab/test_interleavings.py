"""A real kernel in which cells are edited, run again, interrupted and killed while runs are in flight."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.kernel import CellFailed, Kernel
from tests.conformance.plain import Plain, until
from tests.conformance.processes import Server

EVENT = "edited.asked"
CONNECT = "import ironflow_lab as il\nlab = il.connect()"
WAITING = f"lab.emit({EVENT!r}).result"
# Every step's output is the edition of the code that executed it.
DEFINE = """
@lab.function("edited", on="edited.asked")
async def edited(ctx):
    found = [await ctx.step.run("one", lambda: {edition})]
    await ctx.step.sleep("rest", "20ms")
    found.append(await ctx.step.run("two", lambda: {edition}))
    await ctx.step.wait_for_event("word", "edited.word", timeout="1h")
    return [*found, await ctx.step.run("three", lambda: {edition})]
"""
ACTS = {"edit": 4, "again": 3, "emit": 6, "word": 4, "interrupt": 3, "interrupt edit": 1}


@dataclass
class Desk:
    """What the person at the notebook does, and the code hash of each edition."""

    folder: Path
    server: Server
    random: random.Random
    edition: int = 0
    editions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kernel = self.begin()

    def begin(self) -> Kernel:
        """Start a kernel and run the first two cells."""
        kernel = Kernel(self.folder, IRONFLOW_SERVER_URL=self.server.plain.url)
        kernel.run(CONNECT)
        kernel.run(DEFINE.format(edition=self.edition))
        self.note()
        return kernel

    def note(self) -> None:
        """Keep the hash of the edition that is registered now."""
        registered = self.server.plain.call("GetFunction", {"id": "edited"})
        self.editions[registered["metadata"]["__ironflow_code_hash"]] = self.edition

    def act(self, act: str) -> None:
        """Do one thing."""
        if act in ("edit", "again"):
            self.edition += act == "edit"
            self.kernel.run(DEFINE.format(edition=self.edition))
            self.note()
        elif act == "emit":
            self.server.plain.start(EVENT, {})
        elif act == "word":
            self.server.plain.emit("edited.word", {})
        elif act == "interrupt":
            self.interrupted(WAITING)
        elif act == "interrupt edit":
            self.edition += 1
            self.interrupted(DEFINE.format(edition=self.edition))
            # Whether it was registered is open; a person runs the cell again.
            self.act("again")
        elif act == "restart":
            self.kernel.kill()
            self.edition += self.random.random() < 0.5
            self.kernel = self.begin()

    def interrupted(self, cell: str) -> None:
        """Begin a cell and press the stop button at some moment, again where that was before it began."""
        before, message = self.kernel.lost_replies(), self.kernel.start_cell(cell)
        # Not a wait for anything: the moment is what varies.
        time.sleep(self.random.random() * 0.06)
        pressed = 0.0

        def idle() -> bool:
            nonlocal pressed
            if time.monotonic() - pressed > 1.0:
                pressed = time.monotonic()
                os.kill(self.kernel.pid, signal.SIGINT)
            return self.kernel.cell_ended(message) or self.kernel.lost_replies() > before

        try:
            until(idle, f"the kernel to be idle\n{self.kernel.story()}")
        except CellFailed as stopped:
            assert "KeyboardInterrupt" in str(stopped)

    def settle(self) -> list[dict[str, Any]]:
        """Let every run go to its end and return their rows."""
        plain = self.server.plain

        def rows() -> list[dict[str, Any]]:
            return [run for page in plain.pages("ListRuns", "runs") for run in page]

        def over() -> list[dict[str, Any]] | None:
            found = rows()
            if all(run["status"] == "RUN_STATUS_COMPLETED" for run in found):
                return found
            plain.emit("edited.word", {})
            return None

        try:
            return until(over, "every run to complete")
        except AssertionError as late:
            stuck = [run["id"] for run in rows() if run["status"] != "RUN_STATUS_COMPLETED"]
            reasons = [plain.rest("GET", f"/lab/v1/runs/{run_id}/why").json for run_id in stuck[:3]]
            raise AssertionError(
                f"{late}: {len(stuck)} did not, for example {reasons}\n{self.kernel.story()}"
            ) from None


def play(folder: Path, seeds: range, *, restarts: int) -> Desk:
    """Play one interleaving for each seed in one notebook; every `restarts`-th has a kill of its kernel in it."""
    (folder / ".ironflow").mkdir()
    with Server(folder) as server:
        desk = Desk(folder, server, random.Random(seeds.start))
        try:
            for seed in seeds:
                desk.random = random.Random(seed)
                acts = desk.random.choices(list(ACTS), weights=list(ACTS.values()), k=7)
                if seed % restarts == restarts - 1:
                    acts[3] = "restart"
                for act in acts:
                    desk.act(act)
            verify(desk, desk.settle(), server.plain)
        finally:
            desk.kernel.kill()
    return desk


def verify(desk: Desk, runs: list[dict[str, Any]], plain: Plain) -> None:
    """Every run has one code in all its steps, and none older than the version it was queued at."""
    history = plain.call("ListFunctionHistory", {"functionId": "edited", "limit": 500})["entries"]
    hashes = {
        entry["functionSnapshot"]["version"]: entry["functionSnapshot"]["metadata"]["__ironflow_code_hash"]
        for entry in history
    }
    assert runs
    for run in runs:
        assert len(set(run["outputValue"])) == 1, f"two codes in one run: {run}"
        assert len(run["outputValue"]) == 3
        known = desk.editions.get(hashes[run["functionVersion"]])
        assert known is None or run["outputValue"][0] >= known, "the code is older than the run"
    assert len({run["outputValue"][0] for run in runs}) > 3, "too few editions had runs for this to show anything"


def test_twenty_interleavings_of_edit_run_emit_interrupt_and_restart(tmp_path: Path) -> None:
    play(tmp_path, range(20), restarts=7)


@pytest.mark.soak
@pytest.mark.parametrize("start", range(1000, 1200, 40))
def test_many_interleavings(start: int, tmp_path: Path) -> None:
    play(tmp_path, range(start, start + 40), restarts=3)
