"""Why a run stands where it does, or ended as it did: one cause a test, with what comes next and what one can do."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.lab.run import Run
from ironflow_lab.lab.why import Why
from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire.message import Request
from tests.conformance.plain import Plain, until
from tests.conformance.plain_worker import Job, PlainWorker
from tests.contract.lab.test_guard import harmless

LEASE = 1.0
ONCE: Any = {"max_attempts": 1, "on_exhausted": "fail"}


@pytest.fixture(scope="module")
def server(folder: Any) -> Iterator[LocalServer]:
    """A server that takes a silent worker for lost after a second."""
    with LocalServer(lease_seconds=LEASE) as running:
        yield running


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def start(lab: il.Lab, event: str, data: Any = None, *, until_it_is: str = "") -> Run:
    (run,) = lab.emit(event, {} if data is None else data).runs
    if until_it_is:
        until(lambda: run.status == until_it_is, f"{run} to be {until_it_is}")
    else:
        lab.wait(run, timeout="30s")
    return run


def idle(lab: il.Lab, name: str) -> Run:
    """Return the queued run of a function that nobody serves."""
    lab.client.functions.register(RegisterFunctionRequest(id=name, triggers=(Trigger(event=f"{name}.go"),)))
    return start(lab, f"{name}.go", until_it_is="waiting_for_capacity")


def told(why: Why) -> str:
    """Return the message; every form says it, and everything one can do is Python."""
    for form in (repr(why), str(why)):
        assert why.message in form
    assert "<script" not in why._repr_html_()
    for line in (why.next, *why.can):
        assert line
        assert line in str(why)
    for code in why.can:
        ast.parse(code)
        assert "  # " in code, "words stand behind it"
    return str(why.message)


def can(why: Why) -> list[str]:
    return [one.partition("  # ")[0] for one in why.can]


def do(code: str, lab: il.Lab, run: Run) -> Any:
    return eval(code, {"lab": lab, "run": run})  # noqa: S307 - what a person would type


class TestItGoesOn:
    def test_a_full_lane(self, lab: il.Lab, gate: threading.Event) -> None:
        @lab.function("laned", on="laned.go", concurrency={"limit": 1, "key": "who"})
        async def laned(ctx: Any) -> Any:
            return await ctx.step.run("hold", gate.wait, 30)

        holder = start(lab, "laned.go", {"who": "ann"}, until_it_is="running")
        run = start(lab, "laned.go", {"who": "ann"}, until_it_is="waiting_for_capacity")
        why = run.why()
        assert told(why) == f"at most 1 at a time in its lane 'ann': {holder.id} first"
        assert (why.cause, why.reason, why.next_at) == ("lane_full", "lane_full", None)
        assert why.next == f"it is handed out once there is room in its lane: when {holder.id} ends or waits"
        assert can(why)[0] == f"lab.run('{holder.id}').why()"
        assert do(can(why)[0], lab, run).reason == "executing"
        executing = holder.why()
        assert told(executing).startswith("worker ")
        assert executing.lease_held
        assert executing.next == "its worker goes on with it"
        gate.set()

    def test_no_worker_has_the_function(self, lab: il.Lab, server: LocalServer) -> None:
        PlainWorker(Plain(server.url), "other", ("something",)).register()
        run = idle(lab, "lonely")
        why = run.why()
        assert told(why).startswith("nobody executes function 'lonely': no worker has registered for it, and the ")
        assert re.search(r"(the one that is there serves|the \d+ that are there serve) others; start one$", why.message)
        assert (why.cause, why.next) == ("no_worker", "nothing, until a worker that serves 'lonely' is there")
        assert can(why)[0] == "lab.function('lonely')(handler)"

    def test_a_function_that_was_deleted(self, lab: il.Lab) -> None:
        run = idle(lab, "deleted")
        lab.client.functions.delete("deleted")
        why = run.why()
        assert told(why) == "function 'deleted' has been deleted; register it"
        assert (why.cause, why.next) == ("function_missing", "nothing, until function 'deleted' is registered again")

    def test_a_paused_function(self, lab: il.Lab) -> None:
        run = idle(lab, "resting")
        lab.client.functions.set_status("resting", "paused")
        why = run.why()
        assert told(why) == "function 'resting' is paused; make it active to hand its runs out"
        assert why.cause == "function_paused"
        do(can(why)[0], lab, run)
        assert run.why().cause == "no_worker"

    def test_a_retry_that_is_due(self, lab: il.Lab) -> None:
        @lab.function("again", on="again.go", retry={"max_attempts": 3, "initial_delay": "1h"})
        async def again(ctx: Any) -> Any:
            return await ctx.step.run("charge", charge, TimeoutError("no answer"))

        run = start(lab, "again.go", until_it_is="waiting")
        why = run.why()
        assert told(why).startswith("attempt 2 of 3 begins ")
        assert why.next.startswith("attempt 2 begins at ")
        assert why.next.endswith(": finished steps are kept, step 'charge' runs again")
        assert why.next_at == why.due_at > run.record.updated_at
        assert f"1 attempt before failed, the last with: TimeoutError: no answer, at {why.place}" in str(why)
        assert (why.step, "in charge (raise error)" in why.place) == ("charge", True)
        assert can(why)[0] == "run.patch('charge', ...)"
        do(can(why)[0].replace("...", "7"), lab, run)
        run.cancel()

    def test_an_event_with_a_match(self, lab: il.Lab) -> None:
        @lab.function("approved", on="approve.go")
        async def approved(ctx: Any) -> Any:
            found = await ctx.step.wait_for_event("approval", "order.approved", match="data.order.id", timeout="1h")
            return found["data"]["order"] if isinstance(found, dict) else found.data["order"]

        run = start(lab, "approve.go", {"order": {"id": 17}}, until_it_is="waiting")
        why = run.why()
        assert told(why).startswith(
            "it waits for an event 'order.approved' with '17' at data.order.id, at the latest until "
        )
        assert why.step == "approval"
        assert why.next.startswith("an event 'order.approved' with '17' at data.order.id lets it go on; without one")
        assert can(why)[0] == "lab.emit('order.approved', {'order': {'id': '17'}})"
        do(can(why)[0], lab, run)
        lab.wait(run, timeout="30s")
        assert run.output == {"id": "17"}

    def test_a_sleep(self, lab: il.Lab) -> None:
        @lab.function("sleeps", on="sleeps.go")
        async def sleeps(ctx: Any) -> Any:
            await ctx.step.sleep("rest", "1h")

        run = start(lab, "sleeps.go", until_it_is="waiting")
        why = run.why()
        assert told(why).startswith("it sleeps until ")
        assert (why.cause, why.step, why.next_at) == ("sleep", "rest", why.due_at)
        assert why.next.startswith("it wakes at ")
        run.cancel()

    def test_a_child(self, lab: il.Lab) -> None:
        @lab.function("inner")
        async def inner(ctx: Any) -> Any:
            await ctx.step.sleep("nap", "1h")

        @lab.function("outer", on="outer.go", retry=ONCE)
        async def outer(ctx: Any) -> Any:
            return await ctx.step.invoke("inner", {}, timeout="1h")

        run = start(lab, "outer.go", until_it_is="waiting")
        child = until(lambda: run.why().child_run_id or None, "the child")
        until(lambda: lab.run(child).status == "waiting", "the child to sleep")
        why = run.why()
        assert told(why).startswith(f"it waits for run {child} of 'inner', at the latest until ")
        assert why.message.endswith("; that run is waiting")
        assert why.next.startswith(f"it goes on when run {child} ends; else the call fails at ")
        assert do(can(why)[0], lab, run).reason == "sleep"
        lab.cancel(child, reason="no longer wanted")
        lab.wait(run, timeout="30s")
        failed = run.why()
        assert (failed.cause, failed.exhausted) == ("child_failed", False)
        assert told(failed) == (
            f"step 'inner' failed, its child {child}: run {child} was cancelled: no longer wanted;"
            " the error allows no other attempt"
        )
        assert do(can(failed)[0], lab, run).cause == "cancelled"

    def test_who_paused_it(self, lab: il.Lab) -> None:
        @lab.function("held-sleep", on="held-sleep.go")
        async def held(ctx: Any) -> Any:
            await ctx.step.sleep("rest", "1h")

        run = start(lab, "held-sleep.go", until_it_is="waiting").pause()
        why = run.why()
        assert told(why).startswith("an operator holds it; resume it to let it go on; once resumed it sleeps until ")
        assert (why.cause, why.next, why.next_at) == ("paused", "nothing, until it is resumed", None)
        assert "an operator has held it since " in str(why)
        do(can(why)[0], lab, run)
        assert run.why().cause == "sleep"
        run.cancel()

    def test_asked_to_pause(self, lab: il.Lab, gate: threading.Event) -> None:
        @lab.function("asked", on="asked.go")
        async def asked(ctx: Any) -> Any:
            await ctx.step.run("hold", gate.wait, 30)
            return await ctx.step.run("more", lambda: 1)

        run = start(lab, "asked.go", until_it_is="running").pause()
        why = run.why()
        assert told(why).endswith("; it will be held at the next step boundary")
        assert (why.cause, why.next) == ("pausing", "it is held at the next step boundary")
        assert "an operator asked to hold it " in str(why)
        gate.set()
        run.cancel()

    def test_a_lease_that_lapses_and_the_worker_is_lost(self, lab: il.Lab, server: LocalServer) -> None:
        lab.client.functions.register(
            RegisterFunctionRequest(id="silent", triggers=(Trigger(event="silent.go"),), recording=True)
        )
        holder = PlainWorker(Plain(server.url), "silent-holder", ("silent",)).register()
        (run,) = lab.emit("silent.go", {}).runs
        job: Job = holder.take()
        assert holder.ack(job).status == 200
        why = run.why()
        assert told(why).startswith("worker silent-holder executes it; unless it is heard of, its lease ends ")
        assert why.next.startswith("unless worker silent-holder is heard of before ")
        assert why.next_at == why.lease_expires_at > 0
        until(lambda: run.status == "waiting_for_capacity", "the lease to lapse")
        lost = until(lambda: found if (found := run.why()).cause == "no_worker" else None, "the worker to be missed")
        assert told(lost) == (
            "nobody executes function 'silent': its workers (silent-holder) have not been heard of; start one"
        )
        assert "worker silent-holder was lost with the run at " in str(lost)


def charge(error: Exception) -> int:
    raise error


@pytest.fixture(scope="module")
def ends(lab: il.Lab) -> il.Lab:
    """A function that fails in the way its event asks for."""

    @lab.function("ends", on="ends.go", retry={"max_attempts": 2, "initial_delay": "1ms", "on_exhausted": "fail"})
    async def ends(ctx: Any) -> Any:
        how = ctx.event.data["how"]
        await ctx.step.run("price", lambda: 7)
        if how == "step":
            await ctx.step.run("charge", charge, TimeoutError("no answer"))
        if how == "declined":
            await ctx.step.run("charge", charge, il.NonRetryableError("card declined"))
        if how == "handler":
            raise ValueError("a bad sum")
        if how == "event":
            await ctx.step.wait_for_event("approval", "order.approved", timeout="1ms")
        if how == "sleep":
            await ctx.step.sleep("rest", "1h")
        return {"paid": 7}

    return lab


class TestItEnded:
    def test_completed(self, ends: il.Lab) -> None:
        why = start(ends, "ends.go", {"how": "well"}).why()
        assert told(why) == "it completed in attempt 1 of 2, after 1 step"
        assert (why.cause, why.reason, why.next) == ("completed", "ended", "nothing: the run has ended")
        assert can(why) == ["run.rerun()"]
        assert why.exhausted is None

    def test_failed_in_a_step_until_its_attempts_were_used_up(self, ends: il.Lab) -> None:
        run = start(ends, "ends.go", {"how": "step"})
        why = run.why()
        line = charge.__code__.co_firstlineno + 1
        assert why.place == f"line {line} of test_explaining.py, in charge (raise error)"
        assert told(why) == (
            f"step 'charge' failed in attempt 2 of 2: TimeoutError: no answer, at {why.place}; its attempts are used up"
        )
        assert (why.cause, why.step, why.attempt, why.exhausted) == ("step_failed", "charge", 2, True)
        assert why.error == "TimeoutError: no answer"
        assert why.next == "nothing, until it is retried"
        assert "1 attempt before failed" in str(why)
        assert can(why)[:3] == [
            "run.retry()",
            "run.patch('charge', ...); run.resume()",
            "run.retry(from_beginning=True)",
        ]
        replay, fork = can(why)[3:5]
        assert do(replay.replace("break_at", "until"), ends, run).status == "failed"
        assert do(fork.replace("...", "42"), ends, run).output == {"paid": 7}
        for code in can(why)[1].replace("...", "42").split("; "):
            do(code, ends, run)
        ends.wait(run, timeout="30s")
        assert run.output == {"paid": 7}

    def test_failed_in_a_step_for_good(self, ends: il.Lab) -> None:
        why = start(ends, "ends.go", {"how": "declined"}).why()
        assert told(why).startswith("step 'charge' failed in attempt 1 of 2: card declined, at line ")
        assert why.message.endswith("; the error allows no other attempt")
        assert (why.cause, why.exhausted) == ("step_failed", False)

    def test_failed_outside_its_steps(self, ends: il.Lab) -> None:
        why = start(ends, "ends.go", {"how": "handler"}).why()
        assert told(why) == (
            "the handler failed outside its steps, after step 'price', in attempt 2 of 2: ValueError: a bad sum,"
            f" at {why.place}; its attempts are used up"
        )
        assert re.fullmatch(r'line \d+ of its file or cell \(raise ValueError\("a bad sum"\)\)', why.place)
        assert (why.cause, why.step, why.exhausted) == ("handler_failed", "", True)
        assert not [code for code in why.can if "patch" in code], "no step failed"
        assert any(code.startswith("lab.worker.logs(") for code in why.can)

    def test_an_event_that_did_not_come(self, ends: il.Lab) -> None:
        why = start(ends, "ends.go", {"how": "event"}).why()
        assert told(why) == (
            "step 'approval' waited in vain: no event 'order.approved' came in time;"
            " a wait whose time is up is not tried again"
        )
        assert (why.cause, why.step, why.exhausted) == ("wait_timeout", "approval", False)

    def test_the_time_it_may_execute_was_used_up(self, lab: il.Lab) -> None:
        @lab.function("slow", on="slow.go", timeout=1)
        async def slow(ctx: Any) -> Any:
            await ctx.step.run("price", lambda: 7)
            await asyncio.Event().wait()

        why = start(lab, "slow.go").why()
        assert told(why) == (
            "the function ran longer than its timeout of 1 s, after step 'price' had ended; only the time it executes"
            " counts, and a timeout is not tried again"
        )
        assert (why.cause, why.exhausted) == ("timeout", False)

    def test_by_whom_it_was_cancelled(self, ends: il.Lab) -> None:
        run = start(ends, "ends.go", {"how": "sleep"}, until_it_is="waiting").cancel(reason="ordered twice")
        why = run.why()
        assert told(why) == "an operator cancelled it: ordered twice; it was waiting then, in step 'rest'"
        assert (why.cause, can(why)) == ("cancelled", ["run.rerun()"])

    def test_held_by_its_policy(self, lab: il.Lab) -> None:
        @lab.function("kept", on="kept.go", retry={"max_attempts": 1, "on_exhausted": "pause"})
        async def kept(ctx: Any) -> Any:
            return await ctx.step.run("charge", charge, TimeoutError("no answer"))

        run = start(lab, "kept.go")
        why = run.why()
        assert told(why) == (
            f"step 'charge' failed in attempt 1 of 1: TimeoutError: no answer, at {why.place};"
            " its attempts are used up, and its policy holds it: resume it to try again"
        )
        assert (why.step, why.exhausted, "test_explaining.py" in why.place) == ("charge", True, True)
        assert (why.cause, why.next) == (
            "retries_exhausted",
            "nothing, until it is resumed; its attempts are then counted from 1 again",
        )
        assert can(why)[:2] == ["run.resume()", "run.inject('charge', ...); run.resume()"]
        for code in can(why)[1].replace("...", "5").split("; "):
            do(code, lab, run)
        lab.wait(run, timeout="30s")
        assert run.output == 5

    def test_its_function_is_archived_or_gone(self, lab: il.Lab) -> None:
        @lab.function("short-lived", on="short-lived.go")
        async def short_lived(ctx: Any) -> Any:
            return 1

        run = start(lab, "short-lived.go")
        lab.client.functions.set_status("short-lived", "archived")
        archived = run.why()
        told(archived)
        assert can(archived) == ["lab.client.functions.set_status('short-lived', 'active'); run.rerun()"]
        lab.client.functions.delete("short-lived")
        assert can(run.why()) == ["lab.function('short-lived')(handler); run.rerun()"]


class TestOnAServerThatDoesNotSay:
    @pytest.fixture(autouse=True)
    def off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ironflow_lab.wire.rest.LAB_WHY", "/lab/v1/nowhere/{}/why")

    def test_a_run_that_failed_is_explained_just_as_well(self, lab: il.Lab) -> None:
        @lab.function("fails", on="fails.go", retry=ONCE)
        async def fails(ctx: Any) -> Any:
            return await ctx.step.run("charge", charge, TimeoutError("no answer"))

        why = start(lab, "fails.go").why()
        assert (why.source, why.cause, why.step, why.exhausted) == ("rows", "step_failed", "charge", True)
        assert told(why).startswith("step 'charge' failed in attempt 1 of 1: TimeoutError: no answer, at line ")
        assert "this server does not say more" in str(why)

    def test_a_wait_tells_its_match_by_the_events(self, lab: il.Lab) -> None:
        @lab.function("waits", on="waits.go")
        async def waits(ctx: Any) -> Any:
            await ctx.step.wait_for_event("approval", "order.paid", match="data.id", timeout="1h")
            return "paid"

        run = start(lab, "waits.go", {"id": "A-1"}, until_it_is="waiting")
        why = run.why()
        assert (why.source, why.cause, why.step) == ("rows", "event", "approval")
        told(why)
        assert can(why)[0] == "lab.emit('order.paid', {'id': 'A-1'})"
        assert why.next_at == why.due_at
        do(can(why)[0], lab, run)
        lab.wait(run, timeout="30s")
        assert run.output == "paid"

    def test_a_run_that_was_not_recorded(self, lab: il.Lab) -> None:
        @lab.function("forgets", on="forgets.go", recording=False, retry=ONCE)
        async def forgets(ctx: Any) -> Any:
            return await ctx.step.run("charge", charge, TimeoutError("no answer"))

        why = start(lab, "forgets.go").why()
        assert (why.source, why.cause, why.step) == ("rows", "step_failed", "charge")
        assert "the run was not recorded: what went before its newest attempts is not known" in str(why)

    def test_a_queue_says_what_it_can(self, lab: il.Lab) -> None:
        why = idle(lab, "queued-only").why()
        assert (why.source, why.cause) == ("rows", "")
        assert told(why) == "ready, until a worker takes 'queued-only'"
        assert why.next == "a worker that serves 'queued-only' takes it, as soon as there is one with room"


def test_explaining_a_run_asks_for_no_change(ends: il.Lab, traffic: list[Request]) -> None:
    run = start(ends, "ends.go", {"how": "declined"})
    traffic.clear()
    run.why()
    assert traffic
    assert [one.path for one in traffic if not harmless(one)] == []
