"""A function in memory: memoised, tried again, woken at once, and never on a real clock."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    ApiError,
    DefinitionError,
    IronflowError,
    NonRetryableError,
    RetryAfterError,
    RunFailedError,
)
from ironflow_lab.testing import Waiting, arun_function, crash_everywhere, run_function
from ironflow_lab.testing.engine import Engine
from ironflow_lab.testing.world import World


def fails(times: int) -> Callable[[], str]:
    """Return a body that fails so often, then does not."""
    left = [times]

    def body() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise ValueError("not yet")
        return "done"

    return body


def noting(ran: list[str], name: str, output: str) -> Callable[[], str]:
    """Return a body that notes that it ran."""

    def body() -> str:
        ran.append(name)
        return output

    return body


def test_a_step_runs_once_however_often_its_handler_does() -> None:
    ran: list[str] = []

    async def handler(ctx: Any) -> list[str]:
        first = await ctx.step.run("a", noting(ran, "a", "one"))
        await ctx.step.sleep("nap", "1s")
        second = await ctx.step.run("b", noting(ran, "b", "two"))
        await ctx.step.sleep("again", "1s")
        return [first, second]

    done = run_function(handler)
    assert done.result == ["one", "two"]
    assert ran == ["a", "b"]
    assert (done.executions, done.attempts) == (3, 1)
    assert [(step.name, step.type, step.ran) for step in done.steps] == [
        ("a", "invoke", 1),
        ("nap", "sleep", 0),
        ("b", "invoke", 1),
        ("again", "sleep", 0),
    ]


def test_a_plain_handler_does_the_same() -> None:
    ran: list[str] = []

    def handler(ctx: Any) -> list[Any]:
        first = ctx.step.run("a", noting(ran, "a", "one"))
        ctx.step.sleep("nap", "3d")
        squares = ctx.step.map("squares", [1, 2, 3], lambda item, branch: branch.run("square", lambda: item * item))
        return [first, *squares]

    done = run_function(handler)
    assert done.result == ["one", 1, 4, 9]
    assert ran == ["a"]
    assert done.slept == 3 * 86_400


def test_time_is_skipped_and_counted() -> None:
    async def handler(ctx: Any) -> None:
        await ctx.step.sleep("week", "7d")
        await ctx.step.sleep_until("later", "2026-01-10T00:00:00Z")

    before = time.monotonic()
    done = run_function(handler, now="2026-01-01T00:00:00Z")
    # A week has not passed: no timing, but the one claim that nothing was waited for.
    assert time.monotonic() - before < 86_400
    assert done.slept == 9 * 86_400
    assert str(done.now).startswith("2026-01-10T00:00:00")


def test_a_failing_step_is_tried_again_and_the_delays_are_skipped() -> None:
    @il.function(retry={"max_attempts": 5, "initial_delay": "10s", "backoff_factor": 3})
    async def flaky(ctx: Any) -> Any:
        kept = await ctx.step.run("kept", lambda: "kept")
        return kept + str(await ctx.step.run("flaky", body))

    body = fails(2)
    done = run_function(flaky)
    assert done.result == "keptdone"
    assert (done.attempts, done.slept) == (3, 40.0)
    assert (done.step("kept").ran, done.step("flaky").ran) == (1, 3)


def test_attempts_can_be_bounded_and_end_as_the_function_says() -> None:
    @il.function(retry={"max_attempts": 9, "on_exhausted": "fail"})
    async def flaky(ctx: Any) -> None:
        await ctx.step.run("flaky", fails(100))

    done = run_function(flaky, max_attempts=2)
    assert (done.status, done.attempts) == ("failed", 2)
    assert done.error is not None
    assert "not yet" in done.error.message
    with pytest.raises(RunFailedError, match=r"'flaky' is failed: .*not yet"):
        _ = done.result


def test_a_chosen_delay_is_skipped_too() -> None:
    left = [1]

    @il.function(retry={"max_attempts": 3, "max_delay": "1h"})
    async def handler(ctx: Any) -> str:
        if left.pop() if left else 0:
            raise RetryAfterError("busy", delay=600)
        return "ok"

    done = run_function(handler)
    assert (done.result, done.slept) == ("ok", 600.0)


def test_events_are_sent_when_they_are_waited_for() -> None:
    async def handler(ctx: Any) -> list[Any]:
        first = await ctx.step.wait_for_event("first", "paid", match="data.id")
        second = await ctx.step.wait_for_event("second", "shipped")
        return [first.data, second.data]

    sent = [("shipped", {"box": 2}), ("paid", {"id": 8}), ("paid", {"id": 7}), ("unknown", {})]
    done = run_function(handler, {"id": 7}, emit=sent)
    assert done.result == [{"id": 7}, {"box": 2}]
    assert [event.name for event in done.events] == ["paid", "paid", "shipped"]
    assert [event.name for event in done.undelivered] == ["unknown"]
    assert "nothing waited for unknown" in repr(done)


def test_a_callback_decides_what_is_sent() -> None:
    async def handler(ctx: Any) -> Any:
        found = await ctx.step.wait_for_event("answer", "approved", payload={"ask": "ann"}, timeout="1h")
        return found.data

    asked: list[Waiting] = []

    def decide(waiting: Waiting) -> dict[str, str] | None:
        asked.append(waiting)
        return {"by": waiting.payload["ask"]} if len(asked) > 1 else None

    assert run_function(handler, emit=decide).status == "failed"
    assert run_function(handler, emit=decide).result == {"by": "ann"}
    assert [(one.step, one.event) for one in asked] == [("answer", "approved")] * 2


def test_a_wait_that_nobody_ends_times_out_or_is_looked_at() -> None:
    async def handler(ctx: Any) -> None:
        await ctx.step.sleep("nap", "1h")
        await ctx.step.wait_for_event("answer", "approved", timeout="2d")

    late = run_function(handler)
    assert (late.status, late.slept) == ("failed", 49 * 3_600)
    held = run_function(handler, until="waiting")
    assert (held.status, held.slept) == ("waiting", 3_600)
    with pytest.raises(RunFailedError, match=r"waits at 'answer'.*emit="):
        _ = held.result


def test_other_functions_are_invoked_and_shown() -> None:
    @il.function
    async def child(ctx: Any) -> int:
        await ctx.step.sleep("nap", "5s")
        return int(ctx.event.data["n"]) + 1

    @il.function
    async def parent(ctx: Any) -> list[Any]:
        started = await ctx.step.invoke_async(child, {"n": 10})
        return [await ctx.step.invoke(child, {"n": 1}), started.run_id]

    done = run_function(parent, functions=[child])
    assert done.result[0] == 2
    assert [(run.function_id, run.output) for run in done.runs] == [("child", 11), ("child", 2)]
    assert done.runs[0].run_id == done.result[1]
    assert {run.parent_run_id for run in done.runs} == {done.run_id}


def test_a_function_that_was_not_passed_cannot_be_invoked() -> None:
    async def parent(ctx: Any) -> Any:
        return await ctx.step.invoke("absent", {})

    done = run_function(parent)
    assert done.status == "failed"
    assert done.error is not None
    assert "absent" in done.error.message


def test_messages_are_published_once() -> None:
    async def handler(ctx: Any) -> int:
        published = await ctx.step.publish("orders", {"n": 1})
        await ctx.step.sleep("nap", 1)
        return int(published.sequence)

    done = run_function(handler)
    assert done.result == 1
    assert [(one.name, one.data) for one in done.events if one.published] == [("orders", {"n": 1})]


def test_a_saga_undoes_what_it_did() -> None:
    undone: list[str] = []

    @il.function
    async def saga(ctx: Any) -> None:
        for name in ("flight", "hotel"):
            await ctx.step.run(name, lambda: 1)
            ctx.step.compensate(name, lambda name=name: undone.append(name))
        raise NonRetryableError("no car")

    done = run_function(saga)
    assert done.status == "failed"
    assert undone == ["hotel", "flight"]
    assert [step.ran for step in done.steps if step.type == "compensate"] == [1, 1]


def test_secrets_are_delivered_to_who_declares_them() -> None:
    @il.function(secrets=["KEY"])
    async def declared(ctx: Any) -> int:
        return len(ctx.secrets["KEY"])

    async def plain(ctx: Any) -> int:
        return len(ctx.secrets["KEY"])

    for fn in (declared, plain):
        assert run_function(fn, secrets={"KEY": "abcdef"}).result == 6
    assert run_function(declared, max_attempts=1).status == "failed"
    with pytest.raises(DefinitionError, match="does not declare the secret 'OTHER'"):
        run_function(declared, secrets={"OTHER": "x"})


def test_what_is_printed_and_logged_is_kept_by_run(capsys: pytest.CaptureFixture[str]) -> None:
    async def handler(ctx: Any) -> None:
        print("outside")
        ctx.logger.info("logged %s", 1)
        await ctx.step.run("a", lambda: print("inside"))

    done = run_function(handler)
    assert [line for line in done.logs.splitlines() if line] == ["outside", "logged 1", "inside"]
    assert "inside" in capsys.readouterr().out


def test_the_event_is_that_of_the_trigger() -> None:
    @il.function(on=il.Trigger(event="order.placed", expression="data.total > 100"))
    async def triggered(ctx: Any) -> str:
        return str(ctx.event.name)

    @il.function(on="order.*")
    async def pattern(ctx: Any) -> str:
        return str(ctx.event.name)

    assert run_function(triggered, {"total": 101}).result == "order.placed"
    assert run_function(triggered, {"total": 101}, event="other").result == "other"
    assert run_function(pattern, event="order.paid").result == "order.paid"
    with pytest.raises(IronflowError, match=r"starts no run of 'triggered'.*data.total > 100"):
        run_function(triggered, {"total": 1})


def test_a_handler_of_the_short_form_gets_its_event() -> None:
    @il.handler("order.placed")
    async def on_order(event: Any, ctx: Any) -> Any:
        return await ctx.step.run("id", lambda: event["id"])

    assert run_function(on_order, {"id": 3}).result == 3


def test_options_that_the_engine_lacks_are_named() -> None:
    @il.function(on="order.placed", throttle={"limit": 1, "period": "1m"})
    async def throttled(ctx: Any) -> int:
        return 1

    done = run_function(throttled)
    assert done.result == 1
    if done.ignored:
        assert done.ignored == ("throttle",)
        assert "not simulated: throttle" in repr(done)


def test_ids_and_order_are_the_same_each_time() -> None:
    async def handler(ctx: Any) -> list[Any]:
        await asyncio.gather(
            *(ctx.step.run(f"s{n}", lambda n=n: time.sleep(random.random() / 1_000)) for n in range(5))
        )
        return list(await ctx.step.map("m", range(3), lambda n, branch: branch.run("sq", lambda: n * n)))

    def plain(ctx: Any) -> list[Any]:
        return list(
            ctx.step.map("m", range(5), lambda n, branch: branch.run("sq", lambda: time.sleep(random.random() / 1_000)))
        )

    for fn in (handler, plain):
        lives = [[step.id for step in run_function(fn).steps] for _ in range(5)]
        assert lives == [lives[0]] * 5


async def test_a_running_loop_is_no_obstacle() -> None:
    async def handler(ctx: Any) -> int:
        await ctx.step.sleep("nap", "1h")
        return int(await ctx.step.run("a", lambda: asyncio.run(asyncio.sleep(0, 5))))

    assert run_function(handler).result == 5
    assert (await arun_function(handler)).result == 5


def test_nothing_is_left_behind() -> None:
    async def handler(ctx: Any) -> int:
        return int(await ctx.step.run("a", lambda: 1))

    run_function(handler)
    before = {thread for thread in threading.enumerate() if thread.name == "ironflow-test"}
    run_function(handler)
    assert {thread for thread in threading.enumerate() if thread.name == "ironflow-test"} <= before


def test_a_handler_that_swallows_its_end_lets_go() -> None:
    async def handler(ctx: Any) -> None:
        while True:
            try:
                await ctx.step.sleep("nap", "1s")
                return
            except BaseException:  # noqa: BLE001, S112 - what is tested
                continue

    assert run_function(handler).executions >= 2


def test_a_handler_that_waits_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ironflow_lab.testing.world.MOST_EXECUTIONS", 20)

    async def handler(ctx: Any) -> None:
        while True:
            await ctx.step.sleep("nap", "1s")

    with pytest.raises(IronflowError, match="has not ended after 20 executions"):
        run_function(handler)


def test_the_stop_button_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds: list[World] = []
    real = World.run

    def run(world: World) -> Any:
        worlds.append(world)
        return real(world)

    monkeypatch.setattr(World, "run", run)

    async def handler(ctx: Any) -> None:
        worlds[0].interrupt()
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run_function(handler)


def test_a_refusal_of_the_engine_is_told_where_the_run_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ApiError("no room")

    monkeypatch.setattr(Engine, "report", refuse)
    with pytest.raises(ApiError, match="no room"):
        run_function(lambda ctx: 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"until": "done"}, "until"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"emit": ["order.approved"]}, "pairs"),
        ({"emit": "order.approved"}, "pairs"),
        ({"now": "soon"}, "now"),
        ({"secrets": {"KEY": 1}}, "secrets"),
    ],
)
def test_wrong_arguments_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        run_function(lambda ctx: 1, **given)


def test_two_functions_of_one_id_are_refused() -> None:
    async def handler(ctx: Any) -> None: ...

    with pytest.raises(DefinitionError, match="two functions have the id 'handler'"):
        run_function(handler, functions=[handler])


def test_in_a_namespace_events_keep_the_names_of_the_code() -> None:
    @il.function("me.f", on="me.order.placed")
    async def handler(ctx: Any) -> list[Any]:
        answer = await ctx.step.wait_for_event("answer", "order.approved")
        return [ctx.event.name, answer.name]

    handler.namespace = "me"
    done = run_function(handler, emit=[("order.approved", {})])
    assert done.status == "completed"
    assert [event.name for event in done.events] == ["order.placed", "order.approved"]


def test_representations_are_escaped_and_redacted() -> None:
    async def handler(ctx: Any) -> dict[str, str]:
        return dict(await ctx.step.run("<b>step", lambda: {"html": "<script>", "api_key": "hush"}))

    done = run_function(handler)
    for shown in (repr(done), done._repr_html_()):
        assert "hush" not in shown
    assert "<script>" not in done._repr_html_()
    assert "<b>step" not in done._repr_html_()


def test_a_step_is_found_by_its_name() -> None:
    async def handler(ctx: Any) -> None:
        await ctx.step.run("once", lambda: 1)
        for _ in range(2):
            await ctx.step.run("often", lambda: 1)

    done = run_function(handler)
    assert done.step("once").output == 1
    assert [step.ran for step in done.steps] == [1, 1, 1]
    with pytest.raises(LookupError, match="has 2 steps"):
        done.step("often")
    with pytest.raises(LookupError, match=r"no step; it has once, often"):
        done.step("never")


def test_the_package_does_not_import_it_and_it_does_not_load_the_server_at_once() -> None:
    program = (
        "import sys, ironflow_lab; assert 'ironflow_lab.testing' not in sys.modules;"
        "from ironflow_lab import testing; assert 'uvicorn' not in sys.modules;"
        "testing.run_function(lambda ctx: 1); print('uvicorn' in sys.modules, 'pandas' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.split() == ["False", "False"]


def test_memoisation_lost_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(ctx: Any) -> Any:
        await ctx.step.run("a", lambda: 1)
        await ctx.step.sleep("nap", 1)

    monkeypatch.setattr("ironflow_lab.runtime.journal.Journal.recall", lambda self, step_id: None)
    assert run_function(handler).step("a").ran == 2
    assert crash_everywhere(handler).crashes[-1].twice == ("a",)
