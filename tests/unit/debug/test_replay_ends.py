"""Where a replay stops: by its answers, the gate, the clock of whoever waits, and what is not known."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.debug.calls import Stop
from ironflow_lab.debug.replay import execute
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import JobEvent
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.upcasters import Upcasters
from tests.unit.debug.replays import Words, boom, made, replay, step


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_handler_that_swallows_its_end_is_ended_all_the_same(kind: str) -> None:
    calls = []

    @function
    async def swallows(ctx: Any) -> Any:
        while True:
            with contextlib.suppress(BaseException):
                calls.append(1)
                await ctx.step.run("a", boom)

    @function
    def swallows_plain(ctx: Any) -> Any:
        while True:
            with contextlib.suppress(BaseException):
                calls.append(1)
                ctx.step.run("a", boom)

    fn = swallows if kind == "async" else swallows_plain
    found = execute(made(), fn, Words(a=Stop(reason="enough")))
    assert (found.status, found.reason, len(found.asked)) == ("stopped", "enough", 1)
    assert 50 < len(calls) < 500


def test_steps_in_a_finally_do_not_count() -> None:
    @function
    async def tidy(ctx: Any) -> Any:
        try:
            await ctx.step.run("a", boom)
        finally:
            await asyncio.sleep(5)
            await ctx.step.run("cleanup", boom)

    found = execute(made(), tidy, Words(a=Stop(reason="enough")))
    assert [one.call.label for one in found.asked] == ["a"]
    assert (found.status, found.reason) == ("stopped", "enough")


def test_code_that_waits_for_nothing_we_know_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ironflow_lab.debug.replay._IDLE", 0.01)

    @function
    async def stuck(ctx: Any) -> Any:
        await asyncio.Event().wait()

    found = execute(made(), stuck, Words())
    assert found.status == "stopped"
    assert "does not come in a replay" in found.reason


def test_code_that_goes_round_ends_after_the_patience_it_is_given() -> None:
    @function
    def endless(ctx: Any) -> Any:
        while True:
            pass

    before = set(threading.enumerate())
    found = execute(made(), endless, Words(), patience=0.05)
    assert (found.status, found.reason) == ("stopped", "its code took longer than 0.05 s")
    assert set(threading.enumerate()) <= before


def test_the_stop_button_ends_a_replay() -> None:
    begun = threading.Event()

    @function
    def endless(ctx: Any) -> Any:
        begun.set()
        while True:
            pass

    def press() -> None:
        begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    before = set(threading.enumerate())
    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        execute(made(), endless, Words())
    thread.join()
    assert set(threading.enumerate()) <= before


def test_replays_at_the_same_time_do_not_meet() -> None:
    met, found = threading.Barrier(2, timeout=10), {}

    @function
    def both(ctx: Any) -> Any:
        value = ctx.step.run("a", boom)
        return [value, random.random(), time.time()]

    def one(number: int) -> None:
        at = Instant(number * 10**9)
        recording = made(step(0, "a:0", number, ended_at=at), started_at=Instant(1))
        found[number] = replay(recording, both, at_step=lambda call, frame: met.wait()).output

    threads = [threading.Thread(target=one, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One seed, two clocks.
    chance = found[1][1]
    assert found == {1: [1, chance, 1.0], 2: [2, chance, 2.0]}
    assert random.random() != chance


def test_code_between_steps_that_acts_on_the_world_is_stopped(tmp_path: Path) -> None:
    @function
    def writes(ctx: Any) -> Any:
        (tmp_path / "planted").write_text("x")

    found = execute(made(), writes, Words())
    assert (found.status, found.same) == ("stopped", None)
    assert "planted" in found.reason
    assert len(found.violations) == 1
    assert not (tmp_path / "planted").exists()


def test_a_violation_the_handler_swallows_is_named(tmp_path: Path) -> None:
    @function
    async def hides(ctx: Any) -> Any:
        with contextlib.suppress(Exception):
            (tmp_path / "planted").write_text("x")
        return 1

    found = execute(made(output=1), hides, Words())
    assert (found.status, len(found.violations)) == ("completed", 1)
    assert any("planted" in note for note in found.notes)
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"$redacted": True}, "$"),
        ({"card": {"token": "[redacted]"}}, "$.card.token"),
        ({"items": [1, {"$redacted": True}]}, "$.items[1]"),
    ],
)
def test_redacted_values_are_never_handed_to_the_code(value: Any, path: str) -> None:
    seen = []

    @function
    async def curious(ctx: Any) -> Any:
        seen.append(ctx.event.data)
        seen.append(await ctx.step.run("a", boom))

    of_input = replay(made(input=value), curious)
    assert (of_input.status, seen) == ("stopped", [])
    assert f"the input of the run is redacted at {path}:" in of_input.reason
    of_step = replay(made(step(0, "a:0", value)), curious)
    assert (of_step.status, seen) == ("stopped", [None])
    assert f"step 'a' is redacted at {path}:" in of_step.reason


def test_secrets_are_never_real_and_noted() -> None:
    @function(secrets=["STRIPE_KEY"])
    async def paying(ctx: Any) -> Any:
        return [ctx.secrets["STRIPE_KEY"], "OTHER" in ctx.secrets]

    found = replay(made(output=None), paying)
    assert found.output == ["[secret]", False]
    assert found.notes == ("secret 'STRIPE_KEY' is never read in a replay: the code was given '[secret]'",)


def test_what_is_not_known_of_the_event_is_noted_unless_it_is_at_hand() -> None:
    upcasters = Upcasters()
    upcasters.register("order.placed", 1, 2, lambda data: {"new": data})

    @function(upcasters=upcasters)
    async def reads(ctx: Any) -> Any:
        return [ctx.event.data, sorted(ctx.event.metadata), str(ctx.event.timestamp)]

    recording = made(event_name="order.placed", input={"n": 1}, created_at=Instant(10**9))
    found = replay(recording, reads)
    assert found.output == [{"new": {"n": 1}}, [], "1970-01-01T00:00:01Z"]
    assert [note.partition(",")[0] for note in found.notes] == [
        "the version of the event 'order.placed' was not recorded with the run: it is taken as 1",
        "the code reads 'timestamp' of its event",
        "the code reads 'metadata' of its event",
    ]
    event = JobEvent(
        id="e", name="order.placed", data={"n": 1}, timestamp=Instant(2 * 10**9), version=2, metadata={"by": 1}
    )
    known = replay(recording, reads, event=event)
    assert (known.output, known.notes) == ([{"n": 1}, ["by"], "1970-01-01T00:00:02Z"], ())
