"""What put a value in its place, and the first moment at which something holds, over a real server."""

from __future__ import annotations

import math
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.lab.run import Run
from ironflow_lab.wire.message import Request
from tests.conformance.plain import until
from tests.contract.lab.test_guard import harmless

SECRET = "hunter2-s3cret"


@pytest.fixture(scope="module")
def corrected(lab: il.Lab) -> Run:
    """A run whose first price was injected and whose second was patched, with a secret in it."""

    @lab.function("priced", on="priced.go", retry={"max_attempts": 1})
    async def priced(ctx: Any) -> Any:
        price = await ctx.step.run("price", lambda: {"amount": 1700, "api_key": SECRET})
        await ctx.step.run("again", lambda: {"amount": 1700})
        await ctx.step.sleep("rest", "1h")
        return {"total": price["amount"], "key": price["api_key"]}

    (run,) = lab.emit("priced.go", {"id": "A-1"}).runs
    until(lambda: run.status == "waiting", f"{run} to sleep")
    run.pause()
    run.inject("price", {"amount": 1900, "api_key": SECRET}, reason="fee")
    run.patch("again", {"amount": 1800}, reason="typo")
    run.resume()
    run.cancel(reason="seen enough")
    return run


def test_blame_names_the_step_the_event_the_actor_and_the_reason(corrected: Run) -> None:
    found = corrected.blame("steps.price.output.amount")
    assert (found.value, found.event_type, found.step, found.attempt) == (1900, "step.injected", "price", 1)
    assert (found.actor, found.reason) == ("operator", "fee")
    assert [one.after for one in found.earlier] == [1700]
    assert found.earlier[0].actor == corrected.audit["payload"].iloc[1]["workerId"]
    event = corrected.at(event=found.event_id)
    assert (event.position, event.at) == (found.position, found.at)
    assert found.frame["after"].tolist() == [1700, 1900]
    assert found.frame.attrs["source"] == "audit"
    assert corrected.blame("status").event_type == "run.status_changed"
    assert corrected.blame("status").reason == "seen enough"
    for form in (repr(found), str(found), found._repr_html_(), str(corrected.blame("steps.price.output"))):
        assert SECRET not in form


def test_blame_of_an_output_finds_where_it_may_be_from(lab: il.Lab) -> None:
    @lab.function("pays", on="pays.go")
    async def pays(ctx: Any) -> Any:
        return {"paid": await ctx.step.run("price", lambda: 7)}

    (run,) = lab.emit("pays.go", {}).wait(timeout="30s").runs
    found = run.blame("output.paid")
    assert (found.value, found.event_type, found.position) == (7, "run.status_changed", run.at(-1).position)
    (equal,) = found.equal
    assert equal.path == ("steps", "price", "output")
    assert "equal value, not proven: steps.price.output" in str(found)


def test_blame_of_a_run_that_was_not_recorded_says_what_it_cannot_know(lab: il.Lab) -> None:
    @lab.function("unwritten", on="unwritten.go", recording=False)
    async def unwritten(ctx: Any) -> Any:
        return {"n": await ctx.step.run("only", lambda: 17)}

    (run,) = lab.emit("unwritten.go", {}).wait(timeout="30s").runs
    found = run.blame("output.n")
    assert (found.value, found.position, found.event_id) == (17, None, "")
    assert "cannot be known" in str(found)
    assert found.frame.attrs["source"] == "rows"
    with pytest.raises(FailedPreconditionError, match="was not recorded"):
        lab.bisect(run, lambda snapshot: snapshot.output)


def test_bisect_finds_the_event_that_made_it_so(lab: il.Lab, corrected: Run) -> None:
    found = lab.bisect(corrected, lambda snapshot: snapshot.step("price").output["amount"] > 1800)
    assert found.position == corrected.blame("steps.price.output.amount").position
    assert (found.event_type, found.actor, found.reason) == ("step.injected", "operator", "fee")
    assert found.calls <= math.ceil(math.log2(found.last)) + 2
    assert found.snapshot is not None
    assert found.snapshot.step("price").output["amount"] == 1900
    assert found.before is not None
    assert found.before.step("price").output["amount"] == 1700
    assert lab.bisect(corrected.id, lambda snapshot: snapshot.status == "cancelled").position == found.last
    assert lab.bisect(corrected, lambda snapshot: snapshot.output, first="price").position is None


def test_blame_and_bisect_ask_for_no_change(lab: il.Lab, corrected: Run, traffic: list[Request]) -> None:
    corrected.blame("steps.price.output")
    lab.bisect(corrected, lambda snapshot: snapshot.status == "cancelled")
    assert traffic
    assert [one.path for one in traffic if not harmless(one)] == []
