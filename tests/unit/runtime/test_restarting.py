"""A worker that begins anew after an error of its own, and one that is set up while it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.errors import InvalidArgumentError, UnauthenticatedError
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.settings import Settings
from tests.unit.runtime.fakes import Fault, broken
from tests.unit.runtime.faketime import settle
from tests.unit.runtime.handlers import Gates, other, quick
from tests.unit.runtime.rig import Rig

MakeRig = Callable[..., Rig]


class Broken(Exception):
    """An error no server causes."""


def breaks(rig: Rig, part: str, times: int) -> None:
    """Let a call of the server raise what is no answer, that many times."""
    inner = getattr(rig.server, part)
    left = iter(range(times))

    async def broken(*given: Any) -> Any:
        if next(left, None) is not None:
            raise Broken("a bug")
        return await inner(*given)

    setattr(rig.server, part, broken)


async def test_an_error_of_its_own_does_not_end_the_worker(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    steps = Gates(1)
    await rig.add(steps.function, other())
    run = await rig.run("f")
    breaks(rig, "claim", 2)
    await rig.run("other")
    now = rig.worker.snapshot()
    assert (now.state, now.restarts, now.last_error) == ("restarting", 1, "Broken: a bug")
    assert [job.run_id for job in now.jobs] == [run.id]
    assert "a bug" in caplog.text
    await rig.pace.advance(4.9)
    assert rig.worker.snapshot().restarts == 1
    await rig.pace.advance(0.2)
    assert rig.worker.snapshot().restarts == 2
    await rig.pace.advance(10)
    assert rig.worker.snapshot().state == "running"
    # The job in hand was never disturbed, and the poll that broke did not lose the other run.
    steps.open(0)
    await settle()
    await rig.grace()
    assert run.status == "completed"
    assert (run.execution_seq, run.attempt) == (1, 1)
    assert rig.server.count("register") == 2


async def test_after_an_error_of_its_own_the_server_learns_which_jobs_are_in_hand(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function, other())
    run = await rig.run("f")
    breaks(rig, "claim", 1)
    await rig.run("other")
    assert rig.server.count("heartbeat") == 0
    await rig.pace.advance(5)
    assert [[job.job_id for job in beat.jobs] for beat in rig.server.sent("heartbeat")] == [[run.job_id]]


@pytest.mark.parametrize("part", ["beat", "lease"])
async def test_other_parts_begin_anew_as_well(rig: Rig, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def broken(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Broken("a bug")
        return await asyncio.Event().wait()

    monkeypatch.setattr(rig.worker, {"beat": "_beat", "lease": "_hold"}[part], broken)
    await rig.add(quick)
    assert rig.worker.snapshot().restarts == 1
    assert (await rig.run("quick")).status == "completed"
    await rig.pace.advance(5)
    assert (calls, rig.worker.snapshot().state) == (2, "running")


async def test_a_registration_that_breaks_is_tried_again(rig: Rig) -> None:
    await rig.add(quick)
    await rig.worker.drain(0)
    inner, broke = rig.server.workers.register, 0

    async def register(*given: Any) -> Any:
        nonlocal broke
        broke += 1
        if broke == 1:
            raise Broken("a bug")
        return await inner(*given)

    rig.server.workers.register = register  # type: ignore[method-assign]  # what no server does
    await rig.worker.start()
    await settle()
    assert (rig.worker.snapshot().state, rig.worker.snapshot().restarts) == ("restarting", 1)
    await rig.pace.advance(5)
    assert rig.worker.snapshot().state == "running"
    assert (await rig.run("quick")).status == "completed"


async def test_errors_far_apart_are_waited_for_alike(rig: Rig) -> None:
    await rig.add(quick)
    for _ in range(3):
        breaks(rig, "claim", 1)
        await rig.run("quick")
        assert rig.worker.snapshot().state == "restarting"
        await rig.pace.advance(5.1)
        assert rig.worker.snapshot().state == "running"
        await rig.pace.advance(90)
    assert rig.worker.snapshot().restarts == 3


# ---- configured


async def test_settings_are_announced_and_keep_the_jobs(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    run = await rig.run("f")
    await rig.worker.configure(Settings(concurrency=3, labels={"region": "eu"}))
    request = rig.server.registered["w1"]
    assert (request.max_concurrent_jobs, request.labels, request.instance_id) == (3, {"region": "eu"}, "i1")
    now = rig.worker.snapshot()
    assert (now.concurrency, now.labels) == (3, {"region": "eu"})
    steps.open(0)
    await settle()
    await rig.grace()
    assert (run.status, run.execution_seq) == ("completed", 1)


async def test_settings_that_are_refused_change_nothing(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("register", Fault(before=InvalidArgumentError("too many labels", status=400)))
    with pytest.raises(InvalidArgumentError):
        await rig.worker.configure(Settings(concurrency=3, heartbeat=2.0))
    assert (rig.worker.snapshot().concurrency, rig.worker.snapshot().heartbeat) == (10, 30.0)


async def test_a_full_worker_that_is_given_room_asks_at_once(make_rig: MakeRig) -> None:
    rig = make_rig(concurrency=1)
    steps = Gates(1)
    await rig.add(steps.function, other())
    await rig.run("f")
    waiting = await rig.run("other")
    assert waiting.status == "queued"
    await rig.worker.configure(Settings(concurrency=2))
    await settle()
    assert waiting.status == "completed"


async def test_another_heartbeat_holds_from_now_on(rig: Rig) -> None:
    await rig.add(quick)
    await rig.worker.configure(Settings(heartbeat=2.0))
    await settle()
    before = rig.server.count("heartbeat")
    await rig.pace.advance(6)
    assert rig.server.count("heartbeat") == before + 3


async def test_another_delay_of_reconnecting(rig: Rig) -> None:
    await rig.add(quick)
    await rig.worker.configure(Settings(reconnect_delay=0.5))
    rig.server.fault("poll", Fault(before=broken()), Fault(before=broken()))
    await rig.run("quick")
    polls = rig.server.count("poll")
    await rig.pace.advance(0.4)
    assert rig.server.count("poll") == polls
    await rig.pace.advance(0.1)
    assert rig.server.count("poll") == polls + 1
    assert 1.0 in rig.pace.due()


async def test_a_logger_of_ones_own_gets_what_the_worker_says(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    await rig.add(quick)
    await rig.worker.configure(Settings(logger=logging.getLogger("mine")))
    rig.server.fault("poll", Fault(before=UnauthenticatedError("no key", status=401)))
    await rig.run("quick")
    assert [record.name for record in caplog.records if "no key" in record.getMessage()] == ["mine"]


async def test_functions_are_registered_with_their_owner(make_rig: MakeRig) -> None:
    rig = make_rig(owner="notebook")
    await rig.add(quick)
    metadata = rig.server.functions_by_id["quick"].metadata
    assert metadata is not None
    assert metadata["ironflow_lab_owner"] == "notebook"
    assert quick.metadata == {}


async def test_a_job_shows_the_step_it_is_at(rig: Rig) -> None:
    goes_on, ends = asyncio.Event(), asyncio.Event()

    @function("f")
    async def handler(ctx: Any) -> None:
        await ctx.step.run("charge", goes_on.wait)
        await ends.wait()

    await rig.add(handler)
    await rig.run("f")
    assert [job.doing for job in rig.worker.snapshot().jobs] == [("charge",)]
    goes_on.set()
    await settle()
    assert [job.doing for job in rig.worker.snapshot().jobs] == [()]
