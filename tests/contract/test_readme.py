"""The README tells the truth: its first notebook runs, and the files it points to exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ironflow_lab import local

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PATHS = re.findall(r"`((?:ironflow_lab|notebooks|tests|binder)/[\w./]*)`", README)

# What the reader of the example would see in the last cells.
SEEN = """
print(emission.result["greeting"], *lab.steps(emission.run_ids[0])["status"])
"""

# What stands around the function that uses every primitive: the bodies of its steps, its event, its answer.
AROUND = """
import ironflow_lab as il

lab = il.start()


def charge(order):
    return {"amount": order["total"]}


def refund(paid):
    print("refunded")


def wrap(item):
    return f"<{item}>"


@lab.function("print-label")
async def print_label(ctx):
    return "".join(ctx.event.data["parcels"])


"""
BIG = """
emission = lab.emit("order.placed", {"order_id": 7, "total": 120})
print(emission.runs[0].function_id, emission.result, sep="\\n")
"""
APPROVING = """
import asyncio
import ironflow_lab as il


@il.function("approve")
async def approve(ctx):
    await ctx.step.run("charge", lambda: 99)
    await ctx.step.sleep("cool-off", "7d")
    word = await ctx.step.wait_for_event("approval", "order.approved")
    return {"order": ctx.event.data["id"], "by": word.data["by"]}


"""
TESTED = """
test_an_order_is_approved()
test_it_survives_a_crash_at_any_moment()
asyncio.run(test_the_handler_alone())
print("all passed")
"""
HELD = """
emission = lab.emit("order.placed", {"order_id": 7, "customer": "Ada", "total": 3, "items": ["cup", "pot"]})
run = lab.run(emission.run_ids[0])
while run.why().reason != "event":
    pass
"""
APPROVED = """
print(run.why().reason, run.steps.loc[run.steps["name"] == "charge", "output"].iloc[0])
lab.emit("order.approved", {"order_id": 7})
print(emission.result)
"""


def test_the_first_notebook_runs(tmp_path: Path) -> None:
    assert executed(tmp_path, EXAMPLES[0] + SEEN)[-1] == "Hello Ada completed completed"


def test_the_function_that_does_everything_is_held_corrected_and_goes_on(tmp_path: Path) -> None:
    verbs = EXAMPLES[4].partition("run.patch")[0].replace('run = lab.run("run_…")', "")
    said = executed(tmp_path, AROUND + EXAMPLES[3] + HELD + verbs + APPROVED)
    assert said[-2:] == ["event {'amount': 12.5}", "<cup><pot>"]
    assert "refunded" not in said


def test_the_typed_handler_runs(tmp_path: Path) -> None:
    around = AROUND.replace('order["total"]', "order.total")
    said = executed(tmp_path, "from dataclasses import dataclass\n" + around + EXAMPLES[1] + BIG)
    assert said[-2:] == ["order-placed-handler", "{'amount': 120.0}"]


def test_the_testing_kit_is_used_as_shown(tmp_path: Path) -> None:
    assert executed(tmp_path, APPROVING + EXAMPLES[2] + TESTED)[-1] == "all passed"


def executed(folder: Path, code: str) -> list[str]:
    """Return the lines that the code prints, run in a project of its own."""
    (folder / ".ironflow").mkdir(mode=0o700)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
    finally:
        local.stop(folder / ".ironflow", force=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize("path", PATHS)
def test_a_file_it_points_to_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_phase_it_names_is_one() -> None:
    named = re.findall(r"^\| (`[a-z`, ]+`) \|", README.partition("## Tests")[2], re.MULTILINE)
    phases = re.findall(r"^PHASES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"\w+", " ".join(named)) == phases[0].split()
