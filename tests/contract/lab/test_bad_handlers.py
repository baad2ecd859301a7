"""Handlers that do what they should not: each run fails with the remedy, and no other run notices."""

from __future__ import annotations

import datetime
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import InvalidArgumentError, RunFailedError
from ironflow_lab.runtime import desk
from ironflow_lab.runtime.function import DurableFunction

ONCE = {"max_attempts": 1, "on_exhausted": "fail"}


@pytest.fixture(scope="module")
def healthy(lab: il.Lab) -> DurableFunction:
    """A function whose runs have to complete whatever others do."""

    @lab.function("healthy")
    async def healthy(ctx: Any) -> Any:
        return await ctx.step.run("double", lambda number: number * 2, ctx.event.data)

    return healthy


@pytest.fixture(autouse=True)
def unaffected(lab: il.Lab, healthy: DurableFunction) -> Iterator[None]:
    """Every test leaves a worker that serves as before."""
    yield
    assert lab.invoke(healthy, 21, timeout="10s") == 42
    assert lab.worker.status().restarts == 0


def define(lab: il.Lab, body: Callable[[], Any], colour: str, *, in_step: bool = False, **options: Any) -> None:
    """Define "bad", whose handler or step does `body`."""
    if colour == "async":

        @lab.function("bad", retry=ONCE, **options)
        async def bad(ctx: Any) -> Any:
            return await ctx.step.run("doing", body) if in_step else body()
    else:

        @lab.function("bad", retry=ONCE, **options)
        def bad(ctx: Any) -> Any:
            return ctx.step.run("doing", body) if in_step else body()


def error_of(lab: il.Lab) -> str:
    """Return the error of a run of "bad"."""
    with pytest.raises(RunFailedError) as failed:
        lab.invoke("bad", timeout="10s")
    return str(failed.value)


COLOURS = pytest.mark.parametrize("colour", ["async", "plain"])
PLACES = pytest.mark.parametrize("in_step", [False, True])


@COLOURS
@PLACES
@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (pd.DataFrame({"a": [1]}), "return .to_dict('records')"),
        (math.nan, "return None instead"),
        (np.arange(3), "return .tolist()"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "return .isoformat()"),
        ("x" * (5 * 1024 * 1024), "5.0 MiB of JSON and the limit is 4 MiB; store it elsewhere"),
    ],
    ids=["frame", "nan", "array", "datetime", "large"],
)
def test_an_output_that_cannot_be_kept(colour: str, in_step: bool, value: Any, remedy: str, lab: il.Lab) -> None:
    define(lab, lambda: value, colour, in_step=in_step)
    told = error_of(lab)
    assert remedy in told
    assert ("step 'doing'" if in_step else "function 'bad'") in told


@COLOURS
@pytest.mark.parametrize(
    ("error", "in_step"),
    [
        (SystemExit(2), False),
        (SystemExit(2), True),
        (KeyboardInterrupt(), False),
        (KeyboardInterrupt(), True),
        # In a step it says, as our own signals do, that the body did not end.
        (BaseException("odd"), False),
    ],
    ids=repr,
)
def test_what_no_handler_should_raise(colour: str, in_step: bool, error: BaseException, lab: il.Lab) -> None:
    def body() -> None:
        if isinstance(error, SystemExit):
            sys.exit(2)
        raise error

    define(lab, body, colour, in_step=in_step)
    assert type(error).__name__ in error_of(lab)


@COLOURS
def test_a_missing_secret(colour: str, lab: il.Lab) -> None:
    if colour == "async":

        @lab.function("bad", retry=ONCE, secrets=["ABSENT_KEY"])
        async def bad(ctx: Any) -> Any:
            return ctx.secrets["ABSENT_KEY"]
    else:

        @lab.function("bad", retry=ONCE, secrets=["ABSENT_KEY"])
        def bad(ctx: Any) -> Any:
            return ctx.secrets["ABSENT_KEY"]

    told = error_of(lab)
    assert "ABSENT_KEY" in told
    assert "bad" in told


def test_a_handler_that_blocks_holds_up_async_ones_only_and_is_named(
    lab: il.Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(desk, "BLOCKED", 0.2)
    released = threading.Event()
    define(lab, lambda: released.wait(20), "async")

    @lab.function("beside")
    def beside(ctx: Any) -> str:
        return "done"

    blocked = lab.client.functions.invoke("bad")
    try:
        deadline = time.monotonic() + 15
        while not any("running: bad" in record.getMessage() for record in caplog.records):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert lab.worker.status().blocked_for > 0
        assert lab.invoke("beside", timeout="10s") == "done"
    finally:
        released.set()
    assert lab.wait(blocked.run_id, timeout="10s")[0].output is True
    assert "make the handler a plain `def`" in caplog.text


@COLOURS
def test_a_handler_that_never_yields(colour: str, lab: il.Lab) -> None:
    released = threading.Event()

    def body() -> str:
        while not released.is_set():
            pass
        return "at last"

    define(lab, body, colour)
    spinning = lab.client.functions.invoke("bad")
    try:
        deadline = time.monotonic() + 15
        while not lab.worker.status().jobs:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert lab.run(spinning.run_id).status == "running"
    finally:
        released.set()
    assert lab.wait(spinning.run_id, timeout="10s")[0].output == "at last"


@COLOURS
def test_a_megabyte_of_output(colour: str, lab: il.Lab, capsys: pytest.CaptureFixture[str]) -> None:
    define(lab, lambda: print("x" * 1_000_000), colour)
    assert lab.invoke("bad", timeout="10s") is None


@COLOURS
def test_threads_of_its_own(colour: str, lab: il.Lab) -> None:
    seen: list[int] = []

    def body() -> int:
        threads = [threading.Thread(target=seen.append, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(seen)

    define(lab, body, colour)
    assert lab.invoke("bad", timeout="10s") == 20


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_outlives_its_run_and_fails(lab: il.Lab) -> None:
    released, ended = threading.Event(), threading.Event()

    def late() -> None:
        try:
            released.wait(20)
            sys.exit(3)
        finally:
            ended.set()

    define(lab, lambda: threading.Thread(target=late, daemon=True).start(), "plain")
    assert lab.invoke("bad", timeout="10s") is None
    released.set()
    assert ended.wait(10)


def test_a_refused_registration_names_the_function_and_changes_nothing(lab: il.Lab) -> None:
    define(lab, lambda: "first", "async")
    with pytest.raises(InvalidArgumentError) as refused:
        define(lab, lambda: "second", "async", on=il.Trigger(event="x.y", expression="dta.total > 1"))
    for part in ("'bad' was not registered", "dta", "run the cell again"):
        assert part in str(refused.value)
    assert lab.invoke("bad", timeout="10s") == "first"
