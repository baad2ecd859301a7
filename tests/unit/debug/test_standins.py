"""Time and chance in a replay: recorded and seeded inside, untouched outside, put back exactly."""

# Handlers say it in every form: naive times too. Lambdas call what is replaced while they are called.
# ruff: noqa: DTZ002, DTZ003, DTZ005, DTZ006, DTZ011, PLW0108
from __future__ import annotations

import asyncio
import datetime as dates
import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from random import randint
from time import time as bound
from typing import Any

import numpy as np
import pytest

from ironflow_lab.debug import standins
from ironflow_lab.debug.answers import Recorded
from ironflow_lab.debug.calls import Execute
from ironflow_lab.debug.replay import execute
from ironflow_lab.models.instant import Instant
from ironflow_lab.runtime.function import DurableFunction, function
from tests.unit.debug.replays import Words, boom, made, replay, step

AT = 1_700_000_000_123_456_000
DAY = "2023-11-14"


def handler(code: Callable[[], Any]) -> DurableFunction:
    @function
    def one(ctx: Any) -> Any:
        ctx.step.run("a", boom)
        return code()

    return one


def seen(code: Callable[[], Any], run_id: str = "run_1") -> Any:
    recording = made(step(0, "a:0", started_at=Instant(AT - 5), ended_at=Instant(AT)))
    found = replay(recording, handler(code))
    assert found.status == "completed", found.error
    return found


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (lambda: time.time(), AT / 1e9),
        (lambda: bound(), AT / 1e9),
        (lambda: time.time_ns(), AT),
        (lambda: time.gmtime().tm_year, 2023),
        (lambda: time.strftime("%Y"), "2023"),
        (lambda: str(datetime.now(dates.UTC)), f"{DAY} 22:13:20.123456+00:00"),
        (lambda: str(datetime.utcnow()), f"{DAY} 22:13:20.123456"),
        (lambda: str(dates.datetime.now().year), "2023"),
        (lambda: datetime.today().year, 2023),
        (lambda: dates.date.today().year, 2023),
    ],
)
def test_the_time_is_that_of_the_last_recorded_event(code: Callable[[], Any], value: Any) -> None:
    found = seen(code)
    assert found.output == value
    assert len(found.notes) == 1
    assert all("a replay gives the time of the recorded event before it" in note for note in found.notes)


def test_time_given_is_not_replaced() -> None:
    found = seen(lambda: [time.gmtime(0).tm_year, time.strftime("%Y", time.gmtime(0)), str(datetime.fromtimestamp(0))])
    assert (found.output[:2], found.notes) == ([1970, "1970"], ())


@pytest.mark.parametrize(
    "code",
    [
        lambda: random.random(),
        lambda: randint(1, 10**9),
        lambda: random.sample(range(10**6), 3),
        lambda: random.gauss(0, 1),
        lambda: str(uuid.uuid4()),
        lambda: str(uuid.uuid1()),
        lambda: os.urandom(8).hex(),
        lambda: secrets.token_hex(),
        lambda: secrets.token_urlsafe(8),
        lambda: secrets.randbelow(10**9),
        lambda: secrets.choice(range(10**9)),
        lambda: float(np.random.rand()),
        lambda: float(np.random.default_rng().random()),
    ],
)
def test_chance_is_the_same_in_each_replay_and_noted_with_its_line(code: Callable[[], Any]) -> None:
    first, second = seen(code), seen(code)
    assert first.output == second.output
    assert len(first.notes) == 1
    assert first.notes[0].startswith(f"test_standins.py, line {code.__code__.co_firstlineno}: ")
    assert first.notes[0].endswith("was not recorded; a replay cannot give the same value. Call it in a step")
    outside = code()
    assert code() != outside


def test_what_the_code_seeds_itself_is_what_it_was() -> None:
    def code() -> Any:
        random.seed(5)
        np.random.seed(6)
        return [random.random(), float(np.random.rand()), float(np.random.default_rng(7).random())]

    found = seen(code)
    state, numpys = random.getstate(), str(np.random.get_state())
    known = [random.Random(5).random(), np.random.RandomState(6).rand(), np.random.default_rng(7).random()]
    assert (found.output, found.notes) == (known, ())
    assert random.getstate() == state
    assert str(np.random.get_state()) == numpys


def test_the_process_has_its_own_chance_and_time_meanwhile() -> None:
    random.seed(1)
    expected = [random.random() for _ in range(3)]
    random.seed(1)
    got: list[Any] = []
    inside, over = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait(5)
        got.extend([random.random(), time.time() > 1.75e9, datetime.now().year >= 2025])
        over.set()

    def code() -> Any:
        value = random.random()
        inside.set()
        over.wait(5)
        return [value, random.random()]

    thread = threading.Thread(target=other)
    thread.start()
    found = seen(code)
    thread.join()
    assert got == [expected[0], True, True]
    assert random.random() == expected[1]
    assert found.output[0] != expected[0]


def test_everything_is_put_back_exactly() -> None:
    names = globals()
    kept = {
        "time": dict(vars(time)),
        "random": dict(vars(random)),
        "uuid": dict(vars(uuid)),
        "secrets": dict(vars(secrets)),
        "os": dict(vars(os)),
        "numpy": dict(vars(np.random)),
        "datetime": dict(vars(datetime)),
        "here": {name: names[name] for name in ("randint", "bound")},
    }
    with pytest.raises(ZeroDivisionError), standins.placed(test_everything_is_put_back_exactly):
        assert time.time is not kept["time"]["time"]
        assert names["bound"] is time.time
        with standins.placed(boom):
            pass
        assert time.time is not kept["time"]["time"]
        _ = 1 / 0
    assert kept == {
        "time": dict(vars(time)),
        "random": dict(vars(random)),
        "uuid": dict(vars(uuid)),
        "secrets": dict(vars(secrets)),
        "os": dict(vars(os)),
        "numpy": dict(vars(np.random)),
        "datetime": dict(vars(datetime)),
        "here": {name: names[name] for name in ("randint", "bound")},
    }
    assert names["bound"] is time.time


def test_what_somebody_else_replaces_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 5.0)
    mine = time.time
    with standins.placed(boom):
        assert time.time is mine
    assert time.time is mine


def test_a_body_that_is_executed_lives_in_the_real_world() -> None:
    @function
    async def asks(ctx: Any) -> Any:
        async def now() -> float:
            await asyncio.sleep(0)
            return time.time()

        return [await ctx.step.run("plain", time.time), await ctx.step.run("async", now), time.time()]

    recording = made(started_at=Instant(10**9))
    found = execute(recording, asks, Words())
    assert isinstance(found.output, list)
    assert all(value > 1.75e9 for value in found.output[:2])
    # After a body the time is that of its end.
    assert found.output[2] >= found.output[1] - 1
    assert Words().answer(found.calls[0]) == Execute()
    assert Recorded(recording).order == ()


def test_a_plain_handler_that_sleeps_does_not_wait() -> None:
    assert seen(lambda: time.sleep(3600)).output is None
    failed = replay(made(step(0, "a:0")), handler(lambda: time.sleep(-1)))
    assert failed.error is not None
    assert "ValueError" in failed.error.message
