"""What-ifs of runs that a real server executed, and of such that nobody recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import FailedPreconditionError, NotFoundError
from ironflow_lab.wire.message import Request

BODIES: list[str] = []


def price_of(number: int) -> int:
    BODIES.append("price")
    return 10 * number


def charge(price: int) -> str:
    BODIES.append("charge")
    if price > 50:
        raise il.NonRetryableError("too dear")
    return f"ch_{price}"


def ship(charged: str) -> str:
    BODIES.append("ship")
    return f"parcel of {charged}"


@pytest.fixture(scope="module")
def shop(lab: il.Lab) -> il.Lab:
    @lab.function("buy", on="buy.go", retry={"max_attempts": 1, "on_exhausted": "fail"})
    async def buy(ctx: Any) -> Any:
        price = await ctx.step.run("price", price_of, ctx.event.data["n"])
        charged = await ctx.step.run("charge", charge, price)
        return await ctx.step.run("ship", ship, charged)

    @lab.function("unrecorded", on="unrecorded.go", recording=False)
    def unrecorded(ctx: Any) -> Any:
        first = ctx.step.run("price", price_of, ctx.event.data["n"])
        return {"price": first, "charged": ctx.step.run("charge", charge, first)}

    return lab


def test_a_failed_run_with_the_output_it_lacked(shop: il.Lab) -> None:
    run = shop.emit("buy.go", {"n": 7}).wait().runs[0]
    BODIES.clear()
    fork = run.fork()
    assert "needs a decision" in str(fork)
    with pytest.raises(FailedPreconditionError, match="decide"):
        _ = fork.result
    assert fork.decide(with_outputs={"charge": "ch_70", "ship": "sent"}).result == "sent"
    assert BODIES == []
    # Its code is real: the body that is named is executed.
    again = run.fork(with_outputs={"price": 3}, steps={"charge": "run", "ship": "run"})
    assert (again.result, BODIES) == ("parcel of ch_3", ["charge", "ship"])
    assert run.refresh().status == "failed"
    assert again.compare().b.run.output == "parcel of ch_3"
    with pytest.raises(NotFoundError, match="its steps are price, charge"):
        run.fork("nowhere")


def test_other_code(shop: il.Lab) -> None:
    run = shop.emit("buy.go", {"n": 7}).wait().runs[0]

    async def cheaper(ctx: Any) -> Any:
        price = await ctx.step.run("price", price_of, ctx.event.data["n"])
        return price if price > 50 else await ctx.step.run("charge", charge, price)

    fork = run.fork(fn=cheaper)
    assert fork.result == 70
    # What did not happen is no silent difference.
    assert list(fork.calls["got"]) == ["recorded"]
    assert "not asked for here: charge" in str(fork)


def test_what_was_read_is_not_read_again_until_the_run_changes(shop: il.Lab, traffic: list[Request]) -> None:
    run = shop.emit("buy.go", {"n": 2}).wait().runs[0]
    assert run.fork(with_outputs={"ship": 1}).result == 1
    traffic.clear()
    assert run.fork(with_outputs={"ship": 2}).result == 2
    assert [request.path.rpartition("/")[2] for request in traffic] == ["audit"]
    run.patch("charge", "ch_other")
    assert run.recording().steps[1].output == "ch_other"
    shop.client.runs.redact(run.id)
    assert "ch_other" not in str(run.recording().steps)


def test_a_run_that_was_not_recorded(shop: il.Lab) -> None:
    run = shop.emit("unrecorded.go", {"n": 2}).wait().runs[0]
    fork = run.fork(with_outputs={"price": 5})
    assert fork.result == {"price": 5, "charged": "ch_20"}
    assert "was not recorded" in str(fork)


def test_of_a_capsule_without_a_server(shop: il.Lab, tmp_path: Path) -> None:
    run = shop.emit("buy.go", {"n": 2}).wait().runs[0]
    opened = il.open(run.save(tmp_path / "kept"))
    fork = opened.fork(with_outputs={"ship": "sent by hand"}, fn=shop.function("buy", on="buy.go")(kept))
    assert fork.result == "sent by hand"
    assert fork.plan.attrs["server"] == opened.audit.attrs["server"]


async def kept(ctx: Any) -> Any:
    price = await ctx.step.run("price", price_of, ctx.event.data["n"])
    charged = await ctx.step.run("charge", charge, price)
    return await ctx.step.run("ship", ship, charged)
