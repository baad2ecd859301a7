"""A trial in a namespace beside the real functions of one server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError, GuardError, NotFoundError
from ironflow_lab.testing import LocalServer


@pytest.fixture(scope="module")
def mine(server: LocalServer, lab: il.Lab) -> Iterator[il.Lab]:
    """A lab in the namespace "me", beside `lab` without one, with the same functions."""
    joined = il.connect(server.url, namespace="me")
    for one, kind in ((lab, "real"), (joined, "trial")):
        serve(one, kind)
    yield joined
    joined.close()


def serve(lab: il.Lab, kind: str) -> None:
    @lab.function("charge")
    async def charge(ctx: Any) -> Any:
        return [kind, ctx.event.data]

    @lab.function("settle", on=["order.placed", "order.moved.*"])
    async def settle(ctx: Any) -> Any:
        charged = await ctx.step.invoke("charge", ctx.event.data)
        started = await ctx.step.invoke_async(charge, "later")
        paid = await ctx.step.wait_for_event("paid", "order.paid", match="data.id")
        published = await ctx.step.publish("orders", {"n": 1})
        return {
            "kind": kind,
            "events": [ctx.event.name, paid.name],
            "charged": charged,
            "child": started.run_id,
            "message": published.event_id,
        }

    @lab.function("plain", on="plain.asked")
    def plain(ctx: Any) -> Any:
        paid = ctx.step.wait_for_event("paid", "order.paid", match="data.id")
        ctx.step.publish("orders", {"n": 2})
        return [kind, ctx.event.name, ctx.step.invoke("charge", 1), paid.name]


def until_waiting(lab: il.Lab, emission: Any) -> None:
    """Return once the emission's run waits for an event."""
    for _ in range(2000):
        if "paid" in set(emission.runs[0].steps["name"]):
            return
    raise AssertionError(emission.runs[0])


def test_the_same_code_runs_apart(lab: il.Lab, mine: il.Lab) -> None:
    assert "namespace me" in repr(mine)
    emission = mine.emit("order.placed", {"id": 7})
    until_waiting(mine, emission)
    assert [run.function_id for run in emission.runs] == ["me.settle"]
    # What pays the real order is nothing to the trial.
    assert lab.emit("order.paid", {"id": 7}).run_ids == ()
    assert emission.runs[0].status == "waiting"
    mine.emit("order.paid", {"id": 7})
    result = emission.result
    assert result["kind"] == "trial"
    assert result["events"] == ["order.placed", "order.paid"]
    assert result["charged"] == ["trial", {"id": 7}]
    assert mine.run(result["child"]).function_id == "me.charge"
    assert mine.wait(result["child"])[0].output == ["trial", "later"]


def test_plain_handlers_as_well(mine: il.Lab) -> None:
    emission = mine.emit("plain.asked", {"id": 8})
    until_waiting(mine, emission)
    mine.emit("order.paid", {"id": 8})
    assert emission.result == ["trial", "plain.asked", ["trial", 1], "order.paid"]


def test_every_verb_speaks_of_the_namespace(lab: il.Lab, mine: il.Lab) -> None:
    assert mine.invoke("charge", 3) == mine.invoke("me.charge", 3) == ["trial", 3]
    assert lab.invoke("charge", 3) == ["real", 3]
    batch = mine.emit_frame("plain.asked", pd.DataFrame({"id": [100, 101]}))
    assert {run.function_id for run in batch.runs} == {"me.plain"}
    for run in batch.runs:
        run.cancel()
    assert set(mine.runs(function="charge")["function_id"]) == {"me.charge"}
    assert set(mine.runs(function="me.charge")["function_id"]) == {"me.charge"}
    assert set(mine.functions()["function_id"]) == {"me.charge", "me.settle", "me.plain"}
    assert {"charge", "me.charge"} <= set(lab.functions()["function_id"])


def test_patterns_are_inside_too(lab: il.Lab, mine: il.Lab) -> None:
    assert [run.function_id for run in mine.emit("order.moved.away", {}).runs] == ["me.settle"]
    assert [run.function_id for run in lab.emit("order.moved.away", {}).runs] == ["settle"]


def test_what_cancels_a_run_is_inside_too(lab: il.Lab, mine: il.Lab) -> None:
    function = il.function("cancellable", on="x.y", cancel_on=[("order.cancelled", "id")])(lambda ctx: None)
    placed = mine._session.naming.placed(function)
    assert [one.event for one in placed.request().cancel_on] == ["me.order.cancelled"]


def test_a_served_function_goes_into_the_namespace(lab: il.Lab, mine: il.Lab) -> None:
    @il.function("shared")
    def shared(ctx: Any) -> str:
        return "shared"

    mine.serve(shared)
    assert mine.invoke(shared) == "shared"
    assert shared.id == "shared"
    with pytest.raises(NotFoundError):
        lab.invoke("shared")


def test_what_the_guard_says_is_the_full_name(server: LocalServer) -> None:
    guarded = il.connect(server.url, guard=True, namespace="me")
    with pytest.raises(GuardError, match=r"emit 'me\.order\.placed'"):
        guarded.emit("order.placed")
    with pytest.raises(GuardError, match=r"register the function 'me\.f', started by me\.x\.y,"):
        guarded.function("f", on="x.y")(lambda ctx: None)
    guarded.close()


@pytest.mark.parametrize("bad", ["a b", "me.*", "system", 3, "x" * 61])
def test_a_namespace_is_checked_before_anything_is_joined(bad: Any) -> None:
    with pytest.raises(DefinitionError, match=r"namespace"):
        il.connect("http://127.0.0.1:1", namespace=bad)
