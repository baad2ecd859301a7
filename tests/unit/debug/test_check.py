"""What a check says of runs and code that are out of the ordinary: never a silent wrong answer."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ironflow_lab.debug.check import check
from ironflow_lab.debug.verdict import CANNOT, DIVERGES, SAME, SO_FAR, Verdict, summary
from ironflow_lab.errors import NonRetryableError
from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import RunStatus
from ironflow_lab.runtime.function import DurableFunction, function
from tests.unit.debug.lives import recorded
from tests.unit.history.recordings import recording as made
from tests.unit.history.recordings import step


def durable(handler: Callable[..., Any], **options: Any) -> DurableFunction:
    return function("orders", **options)(handler)


async def orders(ctx: Any) -> Any:
    reserved = await ctx.step.run("reserve", lambda: {"ok": True})
    charged = await ctx.step.run("charge", lambda: 100)
    return {"reserved": reserved, "charged": charged}


@pytest.fixture(scope="module")
def run() -> Recording:
    return recorded(durable(orders), {"n": 1})


def replaced(recording: Recording, step: str = "", **fields: Any) -> Recording:
    """Return a recording with other fields of its run, or of one step."""
    if not step:
        return msgspec.structs.replace(recording, run=msgspec.structs.replace(recording.run, **fields))
    steps = tuple(
        msgspec.structs.replace(one, **fields) if f":{step}:" in one.step_id else one for one in recording.steps
    )
    return msgspec.structs.replace(recording, steps=steps)


def test_a_verdict_says_where_in_the_code(run: Recording) -> None:
    async def billing(ctx: Any) -> Any:
        reserved = await ctx.step.run("reserve", lambda: {"ok": True})
        charged = await ctx.step.run("bill", lambda: 100)
        return {"reserved": reserved, "charged": charged}

    found = check(run, durable(billing))
    assert (found.verdict, found.reason, found.step, found.became) == (DIVERGES, "renamed", "charge", "bill")
    assert (found.run_id, found.function_id, found.status, found.agreed) == (run.run.id, "orders", "completed", 1)
    assert found.line == billing.__code__.co_firstlineno + 2
    assert found.file == __file__
    assert repr(found) == f"<Verdict {run.run.id}: diverges at step 'charge' (renamed to 'bill')>"


def test_the_difference_of_outputs_is_redacted(run: Recording) -> None:
    async def telling(ctx: Any) -> Any:
        return {**await orders(ctx), "token": "hunter2"}

    found = check(run, durable(telling))
    assert (found.reason, found.step) == ("output", "")
    assert "output.token was absent and is" in found.detail
    assert "hunter2" not in repr(found) + found.detail


def test_bodies_are_not_executed(run: Recording) -> None:
    executed: list[int] = []

    async def counting(ctx: Any) -> Any:
        reserved = await ctx.step.run("reserve", executed.append, 1)
        return {"reserved": reserved, "charged": await ctx.step.run("charge", executed.append, 2)}

    assert check(run, durable(counting)).verdict == SAME
    assert executed == []


def test_redacted_payloads_cannot_be_checked(run: Recording) -> None:
    hidden = {"card": {"$redacted": True}}
    for recording in (
        replaced(run, input=hidden),
        replaced(run, "charge", output="[redacted]"),
        replaced(run, output=[1, "[redacted]"]),
    ):
        found = check(recording, durable(orders))
        assert (found.verdict, found.reason) == (CANNOT, "redacted"), found
        assert "redacted at $" in found.detail


def test_a_divergence_before_what_is_redacted_is_told(run: Recording) -> None:
    async def other(ctx: Any) -> Any:
        await ctx.step.run("charge", lambda: 100)
        await ctx.step.run("reserve", lambda: 100)

    assert check(replaced(run, "reserve", output="[redacted]"), durable(other)).reason == "reordered"


def test_effects_between_steps_are_named_not_blamed(run: Recording) -> None:
    async def calling(ctx: Any) -> Any:
        reserved = await ctx.step.run("reserve", lambda: {"ok": True})
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=0.1)
        except Exception:  # noqa: BLE001 - as a careless handler does
            reserved = {"ok": False}
        return {"reserved": reserved, "charged": await ctx.step.run("charge", lambda: 100)}

    found = check(run, durable(calling))
    assert (found.verdict, found.reason) == (CANNOT, "side effects")
    assert "127.0.0.1" in found.detail


def test_chance_is_told_from_a_change(run: Recording) -> None:
    async def chancy(ctx: Any) -> Any:
        return {**await orders(ctx), "at": time.time(), "dice": random.random()}

    began = durable(chancy)
    recording = recorded(began, {"n": 1})
    again = check(recording, began)
    assert (again.verdict, again.reason) == (CANNOT, "nondeterministic")

    async def chancier(ctx: Any) -> Any:
        return {**await orders(ctx), "dice": random.random(), "at": time.time()}

    changed = durable(chancier)
    unknown = msgspec.structs.replace(recording, code=Code())
    assert check(unknown, changed).reason == "nondeterministic"
    assert check(recording, changed, before=lambda: began).verdict == CANNOT
    # Of steps chance is no excuse, unless the code of the run does the same.
    assert check(run, durable(lambda ctx: random.random())).reason == "missing"


def test_what_the_former_code_does_too_is_not_this_change(run: Recording) -> None:
    def helper() -> str:
        return "audit"

    async def former(ctx: Any) -> Any:
        await ctx.step.run(helper(), lambda: 1)
        return await orders(ctx)

    async def edited(ctx: Any) -> Any:
        await ctx.step.run(helper(), lambda: 1)
        return dict(await orders(ctx))

    found = check(run, durable(edited), before=lambda: durable(former))
    assert (found.verdict, found.reason) == (CANNOT, "not repeatable")
    assert "it is not this change" in found.detail
    same = check(run, durable(edited), before=lambda: durable(orders))
    assert (same.verdict, same.reason) == (DIVERGES, "new")


def test_unchanged_code_that_diverges_says_so(run: Recording) -> None:
    async def edited(ctx: Any) -> Any:
        return await orders(ctx), 1

    now = durable(edited)
    found = check(msgspec.structs.replace(run, code=Code(code_hash=now.code_hash)), now)
    assert found.verdict == DIVERGES
    assert "something it uses has changed" in found.detail


def test_a_run_that_goes_on_is_the_same_so_far(run: Recording) -> None:
    begun = replaced(run, status=RunStatus("running"), output=None, ended_at=Instant(0))
    begun = msgspec.structs.replace(begun, steps=run.steps[:1])
    assert check(begun, durable(orders)).verdict == SO_FAR
    for code in ("cancelled", "paused"):
        assert check(replaced(begun, status=RunStatus(code)), durable(orders)).verdict == SO_FAR

    async def inserted(ctx: Any) -> Any:
        await ctx.step.run("audit", lambda: 1)
        return await orders(ctx)

    assert check(begun, durable(inserted)).reason == "new"

    async def emptied(ctx: Any) -> Any:
        return 1

    assert check(begun, durable(emptied)).reason == "missing"


def test_branches_of_a_run_that_goes_on(run: Recording) -> None:
    async def beside(ctx: Any) -> Any:
        async def one(branch: Any) -> Any:
            return [await branch.run("a", lambda: 1), await branch.run("b", lambda: 2)]

        return await ctx.step.parallel("both", [one, one])

    whole = recorded(durable(beside), {"n": 1})
    for missing in range(1, len(whole.steps)):
        begun = replaced(whole, status=RunStatus("running"), output=None, ended_at=Instant(0))
        begun = msgspec.structs.replace(begun, steps=whole.steps[:missing])
        assert check(begun, durable(beside)).verdict == SO_FAR, missing


def test_steps_at_once_have_no_order() -> None:
    async def at_once(ctx: Any) -> Any:
        return await asyncio.gather(*(ctx.step.run(name, lambda: 1) for name in ("a", "b", "c")))

    whole = recorded(durable(at_once), {"n": 1})
    # As a worker reports them that was still in one when the next began.
    starts, ends = (10, 11, 12), (40, 20, 30)
    steps = [
        msgspec.structs.replace(one, started_at=Instant(start), ended_at=Instant(end))
        for one, start, end in zip(whole.steps, starts, ends, strict=True)
    ]
    steps = [
        msgspec.structs.replace(one, sequence=at)
        for at, one in enumerate(sorted(steps, key=lambda step: step.ended_at))
    ]
    overlapping = msgspec.structs.replace(whole, steps=tuple(steps), events=())
    assert check(overlapping, durable(at_once)).verdict == SAME

    async def renamed(ctx: Any) -> Any:
        return await asyncio.gather(*(ctx.step.run(name, lambda: 1) for name in ("a", "z", "c")))

    found = check(overlapping, durable(renamed))
    assert (found.reason, found.step, found.became) == ("renamed", "b", "z")


def test_a_step_that_was_tried_again_began_with_its_first_attempt() -> None:
    async def at_once(ctx: Any) -> Any:
        return await asyncio.gather(*(ctx.step.run(name, lambda: 1) for name in ("again", "b")))

    async def renamed(ctx: Any) -> Any:
        return await asyncio.gather(*(ctx.step.run(name, lambda: 1) for name in ("again", "z")))

    whole = recorded(durable(at_once), {"n": 1})
    again, other = whole.steps
    began = AuditEvent(id="aud_1", step_id=again.step_id, event_type="step.started", created_at=Instant(10))
    other = msgspec.structs.replace(other, sequence=0, started_at=Instant(11), ended_at=Instant(20))
    again = msgspec.structs.replace(again, sequence=1, attempt=2, started_at=Instant(100), ended_at=Instant(110))
    found = check(msgspec.structs.replace(whole, steps=(other, again), events=(began,)), durable(renamed))
    assert (found.reason, found.step) == ("renamed", "b")


def test_a_failed_run_that_is_mended() -> None:
    async def broken(ctx: Any) -> Any:
        order = await ctx.step.run("load", lambda: {"total": 5})
        return order["sum"]

    async def mended(ctx: Any) -> Any:
        order = await ctx.step.run("load", lambda: {"total": 5})
        return order["total"]

    async def going_on(ctx: Any) -> Any:
        await mended(ctx)
        await ctx.step.run("ship", lambda: 1)

    for exhausted in ("fail", "pause"):
        retry = {"max_attempts": 1, "on_exhausted": exhausted}
        failed = recorded(durable(broken, retry=retry), {"n": 1})
        assert failed.run.status == ("failed" if exhausted == "fail" else "paused")
        assert check(failed, durable(broken)).verdict == SAME
        found = check(failed, durable(mended))
        assert (found.verdict, found.reason) == (DIVERGES, "error")
        assert "completes where the run failed with \"KeyError: 'sum'\"" in found.detail
        found = check(failed, durable(going_on))
        assert (found.reason, found.step) == ("new", "ship")
        assert "the run failed before it with" in found.detail


def test_a_step_that_failed_for_good_fails_again() -> None:
    def decline() -> None:
        raise NonRetryableError("no funds", code="DECLINED")

    async def declined(ctx: Any) -> Any:
        ctx.step.compensate("reserve", lambda: None)
        await ctx.step.run("reserve", lambda: 1)
        await ctx.step.run("charge", decline)

    failed = recorded(durable(declined), {"n": 1})
    assert [one.step_type for one in failed.steps] == ["invoke", "invoke", "compensate"]
    assert check(failed, durable(declined)).verdict == SAME

    async def forgetful(ctx: Any) -> Any:
        await ctx.step.run("reserve", lambda: 1)
        await ctx.step.run("charge", decline)

    found = check(failed, durable(forgetful))
    assert (found.reason, found.step) == ("missing", "compensate:reserve")

    async def catching(ctx: Any) -> Any:
        await ctx.step.run("reserve", lambda: 1)
        try:
            await ctx.step.run("charge", decline)
        except Exception:  # noqa: BLE001 - as a handler may
            return "declined"

    assert check(failed, durable(catching)).reason == "error"


def test_unrecorded_runs_are_checked_by_their_rows(run: Recording) -> None:
    rows = msgspec.structs.replace(run, events=())
    assert check(rows, durable(orders)).verdict == SAME
    assert check(rows, durable(lambda ctx: 1)).reason == "missing"


def test_code_that_does_not_end_is_given_up(run: Recording) -> None:
    def endless(ctx: Any) -> Any:
        while True:
            pass

    found = check(run, durable(endless), patience=0.05)
    assert (found.verdict, found.reason) == (CANNOT, "stopped")


def test_ten_thousand_steps() -> None:
    def long(ctx: Any, count: int, name: str = "", shift: int = 0) -> Any:
        for number in range(count):
            ctx.step.run(name or f"s{(number + shift) % count}", lambda: 1)

    whole = made([step("one", 1) for _ in range(10_000)], output=None)
    assert check(whole, durable(lambda ctx: long(ctx, 10_000, "two"))).reason == "renamed"
    assert check(whole, durable(lambda ctx: None)).detail.endswith("and 9,999 more")
    named = made([step(f"s{number}", 1) for number in range(3_000)], output=None)
    assert check(named, durable(lambda ctx: long(ctx, 3_000))).agreed == 3_000
    found = check(named, durable(lambda ctx: long(ctx, 3_000, shift=1)))
    assert (found.reason, found.step) == ("reordered", "s0")


def test_a_summary_groups_what_is_alike() -> None:
    def one(verdict: str, **more: Any) -> Verdict:
        return Verdict(run_id="run_1", verdict=verdict, **more)

    renamed = one(DIVERGES, reason="renamed", step="charge", became="bill")
    assert summary([one(SAME)] * 41 + [renamed] * 2) == "41 same, 2 diverge at step 'charge' (renamed to 'bill')"
    assert summary([renamed]) == "1 diverges at step 'charge' (renamed to 'bill')"
    assert summary([one(SO_FAR), one(CANNOT, reason="redacted")]) == "1 so far same, 1 cannot be checked (redacted)"
    assert summary([one(DIVERGES, reason="output")]) == "1 diverges at the end (output)"
    assert summary([]) == "no runs to check"
    many = [one(DIVERGES, reason="new", step=f"step {number}") for number in range(9)]
    assert summary(many).endswith("5 diverge otherwise")
