"""Waits, children, branches, publishing, undoing and pauses: both colours against the embedded server."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ironflow_lab.errors import InvokeError, NonRetryableError
from ironflow_lab.runtime.function import DurableFunction, function
from tests.contract.test_worker_server import PATIENCE, Plant, plant, server

__all__ = ["plant", "server"]

COLOURS = pytest.mark.parametrize("colour", ["async", "plain"])


def ids(plant: Plant, run_id: str) -> dict[str, str]:
    """Return the status of each step by its id without the run's."""
    return {one.step_id.split(":", 1)[1]: one.status for one in plant.client.runs.steps(run_id)}


@COLOURS
def test_a_run_waits_for_the_event_that_matches(plant: Plant, colour: str) -> None:
    @function("looped", on="order.placed.async")
    async def looped(ctx: Any) -> Any:
        event = await ctx.step.wait_for_event("approval", "order.approved", match="data.order", timeout="1h")
        return [event.name, event.data, bool(event.id), event.timestamp > ctx.event.timestamp]

    @function("plain", on="order.placed.plain")
    def plain(ctx: Any) -> Any:
        event = ctx.step.wait_for_event("approval", "order.approved", match="data.order", timeout="1h")
        return [event.name, event.data, bool(event.id), event.timestamp > ctx.event.timestamp]

    plant.add(looped, plain)
    run_id = plant.emit(f"order.placed.{colour}", {"order": 7})
    plant.until(run_id, lambda run: run.status == "waiting")
    plant.client.events.emit("order.approved", {"order": 8})
    plant.client.events.emit("order.approved", {"order": 7, "by": "ann"})
    run = plant.ended(run_id)
    assert run.status == "completed"
    assert run.output == ["order.approved", {"order": 7, "by": "ann"}, True, True]


def test_a_wait_that_takes_too_long_fails_the_run(plant: Plant) -> None:
    @function("late", on="late", retry=1)
    async def late(ctx: Any) -> None:
        await ctx.step.wait_for_event("approval", "never", timeout="20ms")

    plant.add(late)
    assert plant.ended(plant.emit("late")).status == "failed"


def children() -> tuple[DurableFunction, DurableFunction]:
    @function("charge-card")
    async def charge_card(ctx: Any) -> Any:
        async def charge() -> Any:
            return {"paid": ctx.event.data["total"]}

        return await ctx.step.run("charge", charge)

    @function("decline")
    def decline(ctx: Any) -> None:
        raise NonRetryableError("declined")

    return charge_card, decline


@COLOURS
def test_children_are_invoked_and_their_failures_are_told(plant: Plant, colour: str) -> None:
    charge_card, decline = children()

    @function("looped", on="buy.async")
    async def looped(ctx: Any) -> Any:
        paid = await ctx.step.invoke(charge_card, {"total": 5})
        try:
            await ctx.step.invoke("decline")
        except InvokeError as error:
            started = await ctx.step.invoke_async(charge_card, {"total": 6})
            return [paid, error.function_id, bool(error.child_run_id), "declined" in str(error), started.run_id]

    @function("plain", on="buy.plain")
    def plain(ctx: Any) -> Any:
        paid = ctx.step.invoke(charge_card, {"total": 5})
        try:
            ctx.step.invoke("decline")
        except InvokeError as error:
            started = ctx.step.invoke_async(charge_card, {"total": 6})
            return [paid, error.function_id, bool(error.child_run_id), "declined" in str(error), started.run_id]

    plant.add(charge_card, decline, looped, plain)
    run = plant.ended(plant.emit(f"buy.{colour}"))
    assert run.status == "completed"
    assert run.output[:4] == [{"paid": 5}, "decline", True, True]
    assert plant.ended(run.output[4]).output == {"paid": 6}
    assert list(ids(plant, run.id)) == ["charge-card:0", "decline:0", "charge-card:1"]


@COLOURS
def test_branches_that_sleep_end_over_several_segments_and_run_each_body_once(plant: Plant, colour: str) -> None:
    ran: list[str] = []

    def body(place: str) -> str:
        ran.append(place)
        return place

    @function("looped", on="fork.async")
    async def looped(ctx: Any) -> Any:
        async def branch(item: str, branch: Any) -> Any:
            await branch.run("before", body, f"{item} before")
            await branch.sleep("nap", "10ms")
            return await branch.run("after", body, f"{item} after")

        return await ctx.step.map("m", ["a", "b", "c"], branch)

    @function("plain", on="fork.plain")
    def plain(ctx: Any) -> Any:
        def branch(item: str, branch: Any) -> Any:
            branch.run("before", body, f"{item} before")
            branch.sleep("nap", "10ms")
            return branch.run("after", body, f"{item} after")

        return ctx.step.map("m", ["a", "b", "c"], branch)

    plant.add(looped, plain)
    run = plant.ended(plant.emit(f"fork.{colour}"))
    assert run.output == ["a after", "b after", "c after"]
    assert sorted(ran) == sorted(f"{item} {when}" for item in "abc" for when in ("before", "after"))
    assert set(ids(plant, run.id)) == {f"m:{at}:{name}:0" for at in range(3) for name in ("before", "nap", "after")}


@COLOURS
def test_a_message_is_published_once_however_often_the_handler_runs(plant: Plant, colour: str) -> None:
    @function("looped", on="tell.async")
    async def looped(ctx: Any) -> Any:
        sent = await ctx.step.publish("notifications", {"order": 7})
        await ctx.step.sleep("nap", "10ms")
        return [sent.event_id, sent.sequence]

    @function("plain", on="tell.plain")
    def plain(ctx: Any) -> Any:
        sent = ctx.step.publish("notifications", {"order": 7})
        ctx.step.sleep("nap", "10ms")
        return [sent.event_id, sent.sequence]

    plant.add(looped, plain)
    run = plant.ended(plant.emit(f"tell.{colour}"))
    assert run.status == "completed"
    assert run.output[0]
    [step, _] = plant.client.runs.steps(run.id)
    assert step.step_id == f"{run.id}:publish:notifications:0"
    assert step.output == {"eventId": run.output[0], "sequence": run.output[1]}


@COLOURS
def test_a_run_that_fails_for_good_is_undone(plant: Plant, colour: str) -> None:
    ran: list[str] = []

    @function("looped", on="sell.async", retry={"max_attempts": 2, "initial_delay": "5ms", "on_exhausted": "fail"})
    async def looped(ctx: Any) -> None:
        for name in ("reserve", "charge"):
            await ctx.step.run(name, len, [])
            ctx.step.compensate(name, ran.append, f"undo {name}")
        await ctx.step.run("ship", stumble)

    @function("plain", on="sell.plain", retry={"max_attempts": 2, "initial_delay": "5ms", "on_exhausted": "fail"})
    def plain(ctx: Any) -> None:
        for name in ("reserve", "charge"):
            ctx.step.run(name, len, [])
            ctx.step.compensate(name, ran.append, f"undo {name}")
        ctx.step.run("ship", stumble)

    def stumble() -> None:
        raise ValueError("no stock")

    plant.add(looped, plain)
    run = plant.ended(plant.emit(f"sell.{colour}"))
    assert (run.status, run.attempt) == ("failed", 2)
    assert ran == ["undo charge", "undo reserve"]
    assert ids(plant, run.id) == {
        "reserve:0": "completed",
        "charge:0": "completed",
        "ship:0": "failed",
        "compensate:charge:0": "completed",
        "compensate:reserve:0": "completed",
    }


@COLOURS
def test_a_pause_stops_the_run_at_its_next_step_and_a_resume_goes_on(plant: Plant, colour: str) -> None:
    begun, release = threading.Event(), threading.Event()
    ran: list[str] = []

    def body(name: str) -> str:
        ran.append(name)
        if name == "a":
            begun.set()
            release.wait(PATIENCE)
        return name

    @function("looped", on="long.async")
    async def looped(ctx: Any) -> Any:
        return [await ctx.step.run("x", body, name) for name in "abc"]

    @function("plain", on="long.plain")
    def plain(ctx: Any) -> Any:
        return [ctx.step.run("x", body, name) for name in "abc"]

    plant.add(looped, plain)
    run_id = plant.emit(f"long.{colour}")
    assert begun.wait(PATIENCE)
    while plant.worker.status().lease != "connection":
        threading.Event().wait(0.01)
    assert plant.client.runs.pause(run_id).status == "pause_requested"
    while not plant.worker.status().jobs[0].pausing:
        threading.Event().wait(0.01)
    release.set()
    assert plant.ended(run_id).status == "paused"
    assert (ran, ids(plant, run_id)) == (["a"], {"x:0": "completed"})
    plant.client.runs.resume(run_id)
    run = plant.until(run_id, lambda run: run.status == "completed")
    assert (run.output, ran) == (["a", "b", "c"], ["a", "b", "c"])
