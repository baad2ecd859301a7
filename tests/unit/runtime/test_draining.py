"""How a worker ends: drained, stopped, interrupted, started again."""

from __future__ import annotations

import asyncio

from tests.unit.runtime.fakes import Fault
from tests.unit.runtime.faketime import settle
from tests.unit.runtime.handlers import Gates, other, quick
from tests.unit.runtime.rig import Rig


async def test_draining_finishes_what_is_in_hand_and_takes_no_more(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    run = await rig.run("f")
    draining = asyncio.ensure_future(rig.worker.drain(60))
    await settle()
    later = await rig.run("f")
    assert rig.worker.snapshot().state == "draining"
    await rig.pace.advance(31)
    assert rig.server.count("heartbeat") == 1, "the leases are held while draining"
    steps.open(0)
    await settle()
    await draining
    assert (run.status, later.status) == ("completed", "queued")
    assert rig.worker.snapshot().state == "stopped"
    calls = len(rig.server.calls)
    await rig.pace.advance(300)
    assert len(rig.server.calls) == calls
    assert rig.server.open_leases == set()


async def test_what_does_not_finish_in_time_is_saved_and_given_up(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    run = await rig.run("f")
    draining = asyncio.ensure_future(rig.worker.drain(60))
    await rig.pace.advance(59.999)
    steps.open(0)
    await settle()
    assert run.outputs() == {}
    await rig.pace.advance(0.001)
    await draining
    assert run.outputs() == {"run_01:work:0": 0}
    assert steps.cancelled == [1]
    assert (run.status, rig.server.count("report")) == ("running", 0)
    assert rig.worker.snapshot().counts.dropped == 1


async def test_the_last_save_has_five_seconds(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    await rig.run("f")
    steps.open(0)
    await settle()
    rig.server.fault("checkpoint", Fault(gate=asyncio.Event()))
    stopping = asyncio.ensure_future(rig.worker.drain(0))
    await rig.pace.advance(4.9)
    assert not stopping.done()
    await rig.pace.advance(0.1)
    await stopping
    assert rig.worker.snapshot().state == "stopped"


async def test_an_interrupted_drain_lets_the_worker_go_on(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    await rig.run("f")
    draining = asyncio.ensure_future(rig.worker.drain(60))
    await settle()
    adding = asyncio.ensure_future(rig.worker.add(other()))
    later = await rig.run("f")
    assert (later.status, adding.done()) == ("queued", False)
    draining.cancel()
    await settle()
    assert rig.worker.snapshot().state == "running"
    assert (later.status, adding.done()) == ("running", True)
    steps.open(0)
    await settle()
    assert later.status == "completed"


async def test_a_stopped_worker_starts_again(rig: Rig) -> None:
    await rig.add(quick)
    await rig.worker.drain(0)
    await rig.worker.drain(0)
    run = await rig.run("quick")
    assert run.status == "queued"
    await rig.worker.start()
    await settle()
    assert run.status == "completed"
    assert rig.worker.snapshot().state == "running"


async def test_a_function_defined_while_draining_waits_and_starts_anew(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    await rig.run("f")
    draining = asyncio.ensure_future(rig.worker.drain(60))
    await settle()
    adding = asyncio.ensure_future(rig.worker.add(other()))
    await settle()
    assert not adding.done()
    steps.open(0)
    await settle()
    await asyncio.gather(draining, adding)
    assert rig.worker.snapshot().state == "running"
    assert (await rig.run("other")).status == "completed"


async def test_being_forgotten_while_draining_ends_the_drain(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    await rig.run("f")
    draining = asyncio.ensure_future(rig.worker.drain(60))
    await settle()
    rig.server.registered.clear()
    await rig.pace.advance(30)
    await draining
    assert rig.server.count("register") == 1
    assert rig.worker.snapshot().state == "stopped"
