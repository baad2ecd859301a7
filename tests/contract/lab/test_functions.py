"""Functions of cells and their events, executed by a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    FailedPreconditionError,
    IronflowError,
    RunFailedError,
    WaitTimeoutError,
)
from ironflow_lab.testing import LocalServer


def test_a_function_runs_and_gives_its_result(orders: il.Lab) -> None:
    emission = orders.emit("order.placed", {"n": 1})
    assert emission.result == {"n": 1, "charged": 100}
    assert emission.status == "completed"
    assert emission.event_id.startswith("evt_")


def test_a_plain_function_too_and_it_can_be_called_as_it_is(lab: il.Lab) -> None:
    @lab.function(on="plain.asked")
    def plain_one(ctx: Any) -> Any:
        return ctx.step.run("double", lambda: ctx.event.data * 2)

    assert plain_one.id == "plain-one"
    assert lab.emit("plain.asked", 21).result == 42


def test_defining_again_replaces_it_for_new_runs(lab: il.Lab) -> None:
    for answer in ("first", "second"):

        @lab.function("swap", on="swap.asked")
        async def swap(ctx: Any, answer: str = answer) -> Any:
            return answer

        assert lab.emit_sync("swap.asked").result == answer


def test_joining_again_keeps_the_worker_and_its_functions(orders: il.Lab, server: LocalServer) -> None:
    again = il.connect(server.url)
    assert again.worker.status().worker_id == orders.worker.status().worker_id
    assert "settle" in {function.id for function in again.worker.status().functions}
    again.close()
    assert orders.emit("order.placed", {"n": 2}).result == {"n": 2, "charged": 200}


def test_functions_made_without_a_lab_can_be_served(lab: il.Lab) -> None:
    @il.function("apart", on="apart.asked")
    async def apart(ctx: Any) -> Any:
        return "served"

    lab.serve(apart)
    assert lab.emit("apart.asked").result == "served"


def test_failure_is_an_error_with_code_and_run(orders: il.Lab) -> None:
    with pytest.raises(RunFailedError, match="STEP_FAILED: card 4 declined") as failed:
        _ = orders.emit("order.placed", {"n": 4}).result
    assert "run_" in str(failed.value)


def test_a_paused_run_ends_the_wait_and_is_no_result(lab: il.Lab) -> None:
    @lab.function("pauses", on="pause.asked", retry={"max_attempts": 1, "on_exhausted": "pause"})
    async def pauses(ctx: Any) -> Any:
        raise ConnectionError("down")

    emission = lab.emit("pause.asked").wait(timeout="10s")
    assert emission.status == "paused"
    with pytest.raises(RunFailedError, match=r"is paused.*until it is resumed"):
        _ = emission.result
    assert "paused" in str(emission.runs[0])


def test_an_event_nobody_listens_to_has_no_result(lab: il.Lab) -> None:
    emission = lab.emit("nobody.listens", {"a": 1})
    assert emission.run_ids == ()
    assert len(emission.frame()) == 1
    with pytest.raises(IronflowError, match=r"@lab\.function\(\.\.\., on='nobody\.listens'\)"):
        _ = emission.result


def test_the_same_idempotency_key_gives_the_same_run(orders: il.Lab) -> None:
    first, second = (orders.emit("order.placed", {"n": 1}, idempotency_key="once") for _ in range(2))
    assert first.run_ids == second.run_ids
    assert first.event_id == second.event_id


def test_emit_sync_returns_when_the_run_has_ended(orders: il.Lab) -> None:
    emission = orders.emit_sync("order.placed", {"n": 3})
    assert emission.frame()["status"].tolist() == ["completed"]
    assert emission.frame()["attempts"].tolist() == [2]
    assert emission.result == {"n": 3, "charged": 300}


def test_emit_sync_that_is_late_names_the_run_that_goes_on(lab: il.Lab) -> None:
    @lab.function("slow", on="slow.asked")
    async def slow(ctx: Any) -> Any:
        await ctx.step.sleep("long", "1h")

    with pytest.raises(WaitTimeoutError, match=r"lab\.wait\('run_"):
        lab.emit_sync("slow.asked", timeout="100ms")
    emission = lab.emit("slow.asked")
    with pytest.raises(WaitTimeoutError, match=r"1 run of 1 had not ended .* They go on"):
        emission.wait(timeout="100ms")
    run = emission.runs[0]
    assert "asleep in 'long' until" in str(run)
    assert run.cancel(reason="enough").status == "cancelled"
    assert "cancelled: enough" in repr(run)
    with pytest.raises(FailedPreconditionError):
        lab.cancel(run.id)


async def test_every_verb_works_inside_a_running_loop(orders: il.Lab) -> None:
    assert orders.emit_sync("order.placed", {"n": 1}).result == {"n": 1, "charged": 100}
    assert len(orders.wait(orders.emit("order.placed", {"n": 2}))) == 1
    assert len(orders.runs(limit=2)) == 2
    assert orders.aio is orders.aio
    assert (await orders.aio.server.health()).status
    await orders.aio.aclose()


def test_each_loop_has_its_own_awaited_client(lab: il.Lab) -> None:
    async def health() -> str:
        client = lab.aio
        status = (await client.server.health()).status
        await client.aclose()
        return status

    assert asyncio.run(health()) == asyncio.run(health())


@pytest.mark.parametrize("wait", ["result", "sync"])
def test_an_async_handler_may_not_wait_for_what_it_would_hold_up(wait: str, lab: il.Lab) -> None:
    @lab.function(f"waits-{wait}", on=f"wait.{wait}", retry=1)
    async def waits(ctx: Any) -> Any:
        if wait == "sync":
            return lab.emit_sync("nobody.listens").event_id
        return lab.wait(ctx.run.id)

    with pytest.raises(RunFailedError, match=r"would hold up every other handler"):
        _ = lab.emit(f"wait.{wait}").result


def test_a_handler_may_emit_and_wait_beside_the_loop(orders: il.Lab) -> None:
    @orders.function("parent", on="parent.asked", retry=1)
    async def parent(ctx: Any) -> Any:
        child = orders.emit("order.placed", {"n": 1})
        await asyncio.to_thread(child.wait, "10s")
        return child.result

    assert orders.emit("parent.asked").result == {"n": 1, "charged": 100}
