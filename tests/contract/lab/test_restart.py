"""A real kernel killed at every await of a function: what was recorded is not done again, and every run ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.kernel import Kernel
from tests.conformance.plain import ENDED, Plain, until
from tests.conformance.processes import Server

STEPS = 10
DURABILITIES = ("step", "pipelined")
# Between the steps, before the first and after the last, and inside each body.
STOPS = [f"before {number}" for number in range(STEPS + 1)] + [f"in {number}" for number in range(STEPS)]

CELL = """
import asyncio, os
import ironflow_lab as il

lab = il.connect()
lab.worker.configure(concurrency=64)

def note(*words):
    line = (" ".join(map(str, words)) + "\\n").encode()
    file = os.open("witness", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, line)
    os.close(file)

async def halt(ctx, place):
    if os.environ["LIFE"] == "first" and ctx.event.data["stop"] == place:
        note("at", ctx.run.id)
        await asyncio.Event().wait()

async def body(ctx, number):
    await halt(ctx, f"in {number}")
    note("did", ctx.run.id, number, os.environ["LIFE"])
    return number

async def ten(ctx):
    done = []
    for number in range(10):
        await halt(ctx, f"before {number}")
        if number == 4:
            await ctx.step.sleep("rest", "10ms")
        done.append(await ctx.step.run(f"step-{number}", body, ctx, number))
    await halt(ctx, "before 10")
    return done

for durability in ("step", "pipelined"):
    lab.function(f"ten-{durability}", on=f"ten.{durability}", durability=durability)(ten)
"""


@dataclass(frozen=True)
class Lives:
    """What became of the runs: the outputs, what had been recorded at the kill, and what bodies ran in each life."""

    plain: Plain
    stops: dict[str, tuple[str, str]]
    recorded: dict[str, set[int]]
    did: Counter[tuple[str, int, str]]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """One kernel with a run at each await of the function, killed; and the next, which defines it again."""
    folder = tmp_path_factory.mktemp("restart")
    (folder / ".ironflow").mkdir()
    with Server(folder) as server:
        url = {"IRONFLOW_SERVER_URL": server.plain.url}
        first = Kernel(folder, LIFE="first", **url)
        first.run(CELL)
        stops = {
            server.plain.start(f"ten.{durability}", {"stop": stop}): (durability, stop)
            for durability in DURABILITIES
            for stop in STOPS
        }
        until(lambda: witness(folder).count("at ") == len(stops), f"every run at its place\n{first.story()}")
        first.kill()
        recorded = {run_id: done(server.plain, run_id) for run_id in stops}
        second = Kernel(folder, LIFE="second", **url)
        try:
            second.run(CELL)
            until(
                lambda: all(ended(server.plain, run_id) for run_id in stops), f"the end of every run\n{second.story()}"
            )
            lines = [line.split() for line in witness(folder).splitlines() if line.startswith("did ")]
            did = Counter((run_id, int(number), life) for _, run_id, number, life in lines)
            yield Lives(server.plain, stops, recorded, did)
        finally:
            second.kill()


def witness(folder: Path) -> str:
    file = folder / "witness"
    return file.read_text() if file.exists() else ""


def done(plain: Plain, run_id: str) -> set[int]:
    """Return the numbers of the steps that the server has as completed."""
    names = [step["stepId"].split(":")[1] for step in plain.steps(run_id) if step["status"] == "STEP_STATUS_COMPLETED"]
    return {int(name.removeprefix("step-")) for name in names if name != "rest"}


def ended(plain: Plain, run_id: str) -> bool:
    return plain.run(run_id)["status"] in ENDED


def test_every_run_completes_with_the_output_of_all_its_steps(lives: Lives) -> None:
    for run_id in lives.stops:
        run = lives.plain.run(run_id)
        assert (run["status"], run["outputValue"]) == ("RUN_STATUS_COMPLETED", list(range(STEPS))), lives.stops[run_id]
        assert done(lives.plain, run_id) == set(range(STEPS))


def test_no_step_that_was_recorded_is_executed_again(lives: Lives) -> None:
    again = [
        (lives.stops[run_id], number)
        for run_id, number, life in lives.did
        if life == "second" and number in lives.recorded[run_id]
    ]
    assert again == []
    assert max(lives.did.values()) == 1, "a body ran twice in one life"


def test_with_a_step_saved_before_the_next_every_body_runs_once(lives: Lives) -> None:
    for run_id, (durability, stop) in lives.stops.items():
        if durability == "step":
            ran = Counter(number for (of, number, _), times in lives.did.items() for _ in range(times) if of == run_id)
            assert ran == dict.fromkeys(range(STEPS), 1), stop


def test_without_that_exactly_what_was_not_saved_yet_runs_twice(lives: Lives) -> None:
    for run_id, (durability, stop) in lives.stops.items():
        if durability == "pipelined":
            reached, saved = set(range(int(stop.split()[1]))), lives.recorded[run_id]
            assert saved == set(range(len(saved))) <= reached, stop
            twice = {number for number in range(STEPS) if lives.did[run_id, number, "second"] and number in reached}
            assert twice == reached - saved, stop
