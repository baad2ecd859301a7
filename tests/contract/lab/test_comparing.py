"""Comparing real runs: where two part, what failures share, and that nothing but reading happens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError, ForeignFrameError, NotFoundError
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire.message import Request

READS = ("GetRun", "GetRunSteps", "GetAuditTrail", "runs/audit", "/audit", "ListRuns")


@pytest.fixture(scope="module")
def settled(lab: il.Lab) -> Iterator[pd.DataFrame]:
    """Thirty runs of one function, six of which failed: those from DE, after a step in euros."""

    @lab.function("checkout", on="order.placed", retry={"max_attempts": 2, "initial_delay": "10ms"})
    async def checkout(ctx: Any) -> Any:
        order = ctx.event.data
        await ctx.step.run("price", price, order)
        await ctx.step.run("charge", charge, order, ctx.run.attempt)
        await ctx.step.map("pack", list(range(order["lines"])), pack)
        return {"n": order["n"]}

    rows = pd.DataFrame({"n": range(30)})
    rows["country"] = ["DE" if n % 5 == 0 else "US" for n in rows["n"]]
    rows["lines"] = rows["n"] % 3 + 1
    lab.emit_frame("order.placed", rows).wait(timeout=20)
    yield lab.runs(function="checkout", payloads=True)


def price(order: Any) -> Any:
    return {"total": 7 * order["lines"], "currency": "EUR" if order["country"] == "DE" else "USD"}


def charge(order: Any, attempt: int) -> Any:
    if order["country"] == "DE":
        raise il.NonRetryableError(f"card {order['n']} declined", code="DECLINED")
    if order["n"] == 1 and attempt == 1:
        raise TimeoutError("no answer")
    return {"paid": True}


async def pack(line: int, step: Any) -> int:
    return int(await step.run("wrap", lambda: line))


def of(runs: pd.DataFrame, n: int) -> str:
    return str(runs[[data["n"] == n for data in runs["input"]]]["run_id"].iloc[0])


def test_where_two_runs_part(lab: il.Lab, settled: pd.DataFrame, traffic: list[Request]) -> None:
    found = lab.run(of(settled, 0)).compare(of(settled, 3))
    assert not found.same
    assert found.first is not None
    assert (found.first.kind, found.first.step) == ("input", "price")
    assert [(pair.kind, pair.label) for pair in found.pairs] == [
        ("changed", "price"),
        ("changed", "charge"),
        ("not reached in a", "pack:0:wrap"),
    ]
    assert found.steps["error_a"].tolist()[1] == "card 0 declined"
    assert lab.run(of(settled, 3)).compare(lab.run(of(settled, 6)).recording()).pairs[1].kind == "same"
    assert all(any(read in request.path for read in READS) for request in traffic), [one.path for one in traffic]


def test_the_same_input_with_another_outcome_is_exact(lab: il.Lab, settled: pd.DataFrame) -> None:
    answers = iter(["sent", "lost"])

    @lab.function("ship", on="order.paid")
    async def ship(ctx: Any) -> Any:
        await ctx.step.run("weigh", lambda: {"kg": 3})
        return {"sent": await ctx.step.run("send", lambda: {"state": next(answers)})}

    one, two = (lab.emit_sync("order.paid", {"n": 1}).runs[0] for _ in range(2))
    found = one.compare(two)
    assert found.first is not None
    assert (found.first.exact, found.first.step) == (True, "send")
    assert found.first.message == (
        'step \'send\' came to something else, with the same before it: state: "sent" -> "lost"'
    )


def test_tries_are_counted_from_what_was_recorded(lab: il.Lab, settled: pd.DataFrame) -> None:
    found = lab.run(of(settled, 1)).compare(of(settled, 4))
    charged = next(pair for pair in found.pairs if pair.label == "charge")
    assert charged.a is not None
    assert (charged.a.tries, charged.a.counted, charged.differs) == (2, True, ("attempts",))


def test_what_the_failures_share(lab: il.Lab, settled: pd.DataFrame, traffic: list[Request]) -> None:
    found = lab.compare(settled)
    assert (found.group, found.others) == (6, 24)
    best = found.differences[0]
    assert best.words() == 'input.country = "DE"'
    assert (best.has, best.known, best.others_have, best.others_known, best.sure) == (6, 6, 0, 24, True)
    assert 'steps.price.output.currency = "EUR"' in [fact.words() for fact in best.also]
    follows = [one.words() for one in found.differences if one.follows]
    assert follows == ['failed_at = "charge"']
    assert all(any(read in request.path for read in READS) for request in traffic), [one.path for one in traffic]
    assert len(traffic) == 60
    by = lab.compare(settled.assign(many=settled["input"].map(lambda data: data["lines"] > 2)), by="many")
    assert by.differences[0].fact.path in (("input", "lines"), ("steps", "pack:2:wrap"))


def test_runs_that_are_gone_or_of_one_kind(lab: il.Lab, settled: pd.DataFrame) -> None:
    with pytest.raises(NotFoundError):
        lab.run(of(settled, 0)).compare("run_none")
    with pytest.raises(DefinitionError, match="is no run"):
        lab.run(of(settled, 0)).compare(5)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="a comparison needs both"):
        lab.compare(settled[settled["status"] == "failed"])
    assert "1 run of them no longer there" in lab.compare([*settled["run_id"], "run_none"]).notes


def test_an_unrecorded_run_is_compared_by_its_rows(lab: il.Lab) -> None:
    @lab.function("plain", on="plain.asked", recording=False)
    async def plain(ctx: Any) -> Any:
        return await ctx.step.run("double", lambda: 2 * ctx.event.data["n"])

    one, two = (lab.emit_sync("plain.asked", {"n": n}).runs[0] for n in (1, 2))
    found = one.compare(two)
    assert [(pair.kind, pair.differs) for pair in found.pairs] == [("changed", ("output",))]
    assert "a was not recorded" in found.notes[0]


def test_steps_of_a_frames_runs(lab: il.Lab, settled: pd.DataFrame) -> None:
    some = settled.query("status == 'completed'").head(4)
    assert len(some.ironflow.steps()) == sum(2 + data["lines"] for data in some["input"])
    second = some.ironflow.steps(2)
    assert second["name"].tolist() == ["charge"] * 4
    assert second["run_id"].tolist() == some["run_id"].tolist()
    assert second["output"].tolist() == [{"paid": True}] * 4
    assert set(some.ironflow.steps("wrap")["name"]) == {"wrap"}
    assert len(some.ironflow.steps("pack:0:wrap")) == 4
    assert len(some.ironflow.steps(9)) == 0
    for wrong in (0, True, 1.5):
        with pytest.raises(DefinitionError, match="which="):
            some.ironflow.steps(wrong)


def test_a_frame_of_a_closed_lab_says_what_to_do(server: LocalServer, settled: pd.DataFrame) -> None:
    foreign = settled.copy()
    foreign.attrs = {**settled.attrs, "server": "http://127.0.0.1:1"}
    with pytest.raises(ForeignFrameError, match=r"use lab\.steps\(frame\)"):
        foreign.ironflow.steps(2)


def test_a_run_is_compared_without_pandas(server: LocalServer, settled: pd.DataFrame) -> None:
    code = (
        "import sys, ironflow_lab as il; lab = il.connect(sys.argv[1]);"
        " found = lab.run(sys.argv[2]).compare(sys.argv[3]); str(found), found._repr_html_();"
        " print('pandas' in sys.modules, found.first.step)"
    )
    command = [sys.executable, "-c", code, server.url, of(settled, 0), of(settled, 3)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["False", "price"]
