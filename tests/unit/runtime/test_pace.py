"""Growing delays, and waits that end when the server answers."""

from __future__ import annotations

import asyncio

import pytest

from ironflow_lab.runtime.pace import LOCAL_RULES, Delays, Reach, Rules
from tests.unit.runtime.faketime import FakePace, settle


def test_delays_grow_to_their_cap() -> None:
    delays = Delays(first=1, factor=2, longest=5)
    assert [delays.after(failures) for failures in (1, 2, 3, 4, 10_000)] == [1, 2, 4, 5, 5]


def test_the_reference_numbers() -> None:
    rules = Rules()
    assert (rules.heartbeat, rules.poll_wait, rules.reconnect.after(1), rules.reconnect.longest) == (30, 20, 5, 60)
    assert [rules.report.after(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert rules.report_retries == 4
    assert LOCAL_RULES.reconnect.after(1) == 0.2
    assert LOCAL_RULES.reconnect.after(50) == 2.0


@pytest.mark.parametrize(("early", "ends"), [(True, True), (False, False)])
async def test_an_answer_ends_the_pauses_of_those_that_had_none(early: bool, ends: bool) -> None:
    pace = FakePace()
    reach = Reach(pace)
    pause = asyncio.ensure_future(reach.pause(10, asyncio.Event(), early=early))
    await settle()
    reach.up()
    await settle()
    assert pause.done() is ends
    await pace.advance(10)
    assert pause.done()
    assert pace.due() == []


async def test_a_pause_ends_when_its_bell_rings() -> None:
    pace, bell = FakePace(), asyncio.Event()
    bell.set()
    pause = asyncio.ensure_future(Reach(pace).pause(10, bell, early=False))
    await settle()
    assert not pause.done(), "an old ring does not count"
    bell.set()
    await settle()
    assert pause.done()
