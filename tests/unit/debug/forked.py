"""A recorded run of an order, and its code, for the tests of forks."""

from __future__ import annotations

from typing import Any

from ironflow_lab.history.recording import Recording
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus, StepType
from ironflow_lab.runtime.function import DurableFunction, function

T0 = 1_767_323_045_000_000_000
SECOND = 1_000_000_000
RUN = "run_1"


def row(number: int, name: str, output: Any = None, **fields: Any) -> Step:
    at = T0 + number * SECOND
    facts: dict[str, Any] = {
        "id": f"stp_{number}",
        "run_id": RUN,
        "step_id": f"{RUN}:{name}",
        "step_type": StepType("invoke"),
        "sequence": number,
        "status": StepStatus("completed"),
        "output": output,
        "attempt": 1,
        "started_at": Instant(at),
        "ended_at": Instant(at + SECOND),
    }
    return Step(**{**facts, **fields})


def failed(number: int, name: str, message: str = "declined", **fields: Any) -> Step:
    return row(number, name, status=StepStatus("failed"), error=Error(message=message, retryable=False), **fields)


def recorded(*steps: Step, status: str = "completed", **fields: Any) -> Recording:
    facts: dict[str, Any] = {
        "id": RUN,
        "function_id": "order",
        "event_id": "evt_1",
        "event_name": "order.placed",
        "input": {"n": 2},
        "status": RunStatus(status),
        "attempt": 1,
        "max_attempts": 3,
        "created_at": Instant(T0),
        "started_at": Instant(T0),
        "ended_at": Instant(T0 + 60 * SECOND) if status in ("completed", "failed") else Instant(0),
    }
    return Recording(run=Run(**{**facts, **fields}), steps=steps)


WHOLE = (
    row(0, "price:0", 10),
    row(1, "charge:0", {"id": "ch_1", "paid": 10}),
    row(
        2,
        "approval:0",
        {"id": "evt_2", "name": "order.approved", "data": {"by": "ann"}},
        step_type=StepType("wait_for_event"),
        wait_event_name="order.approved",
    ),
    row(3, "rest:0", step_type=StepType("sleep"), sleep_until=Instant(T0 + 4 * SECOND)),
    row(4, "publish:orders:0", {"eventId": "evt_3", "sequence": 1}),
    row(5, "ship:0", {"parcel": "p_10"}),
)
OUTPUT = {"paid": 10, "by": "ann", "parcel": "p_10"}


def order(ran: list[str]) -> DurableFunction:
    """Return the code; every body that is executed is noted in `ran`."""

    @function("order", on="order.placed")
    async def handler(ctx: Any) -> Any:
        price = await ctx.step.run("price", body, "price", 5 * ctx.event.data["n"])
        charged = await ctx.step.run("charge", body, "charge", {"id": "ch_new", "paid": price})
        approved = await ctx.step.wait_for_event("approval", "order.approved")
        await ctx.step.sleep("rest", "1s")
        await ctx.step.publish("orders", {"price": price})
        shipped = await ctx.step.run("ship", body, "ship", {"parcel": f"p_{price}"})
        return {"paid": charged["paid"], "by": approved.data["by"], "parcel": shipped["parcel"]}

    def body(name: str, value: Any) -> Any:
        ran.append(name)
        return value

    return handler


def plain_order(ran: list[str]) -> DurableFunction:
    """Return the same as a plain function."""

    @function("order", on="order.placed")
    def handler(ctx: Any) -> Any:
        price = ctx.step.run("price", body, "price", 5 * ctx.event.data["n"])
        charged = ctx.step.run("charge", body, "charge", {"id": "ch_new", "paid": price})
        approved = ctx.step.wait_for_event("approval", "order.approved")
        ctx.step.sleep("rest", "1s")
        ctx.step.publish("orders", {"price": price})
        shipped = ctx.step.run("ship", body, "ship", {"parcel": f"p_{price}"})
        return {"paid": charged["paid"], "by": approved.data["by"], "parcel": shipped["parcel"]}

    def body(name: str, value: Any) -> Any:
        ran.append(name)
        return value

    return handler
