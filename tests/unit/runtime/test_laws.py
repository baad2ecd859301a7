"""Laws of replay, over made-up handlers in both colours and any order of their branches."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironflow_lab.runtime.outcome import Completed
from tests.unit.runtime.programs import PROGRAMS, Op, World, looped, names, threaded

# Made-up handlers use one name on several lines, which is told of and allowed.
pytestmark = pytest.mark.filterwarnings("ignore::ironflow_lab.errors.IronflowWarning")


def ids(world: World) -> set[str]:
    return set(world.rows)


def shuffled(seed: int) -> World:
    chance = random.Random(seed)
    return World(chance.randrange(4) for _ in itertools.count())


@settings(max_examples=150, deadline=None)
@given(PROGRAMS, st.integers(0, 2**16))
def test_any_interleaving_gives_the_same_ids_and_runs_each_body_once(program: list[Op], seed: int) -> None:
    ops = names(program)

    async def scenario() -> None:
        even, uneven = World(), shuffled(seed)
        first = await even.finish(looped(ops, even))
        second = await uneven.finish(looped(ops, uneven))
        assert isinstance(first, Completed)
        assert isinstance(second, Completed)
        assert ids(even) == ids(uneven)
        assert even.bodies == uneven.bodies
        assert set(even.bodies.values()) <= {1}
        assert len({message.idempotency_key for message in even.topics.messages}) == len(even.topics.messages)

    asyncio.run(scenario())


@settings(max_examples=60, deadline=None)
@given(PROGRAMS)
def test_both_colours_ask_for_the_same_steps(program: list[Op]) -> None:
    ops = names(program)

    async def scenario() -> None:
        one, other = World(), World()
        first, second = await one.finish(looped(ops, one)), await other.finish(threaded(ops, other))
        assert isinstance(first, Completed)
        assert isinstance(second, Completed)
        assert ids(one) == ids(other)
        assert one.bodies == other.bodies
        assert set(other.bodies.values()) <= {1}

    asyncio.run(scenario())


@settings(max_examples=60, deadline=None)
@given(PROGRAMS, st.integers(0, 2**16))
def test_a_recorded_history_is_read_back_without_a_body_or_a_message(program: list[Op], seed: int) -> None:
    ops = names(program)

    async def scenario() -> None:
        world = World()
        outcome = await world.finish(looped(ops, world))
        for make in (looped, threaded):
            again = shuffled(seed)
            again.rows = dict(world.rows)
            assert await again.finish(make(ops, again)) == outcome
            assert (again.bodies, again.topics.messages, again.segments) == ({}, [], 1)

    asyncio.run(scenario())


@settings(max_examples=60, deadline=None)
@given(PROGRAMS, st.data())
def test_a_run_that_was_cut_off_anywhere_runs_only_what_was_not_saved(program: list[Op], data: st.DataObject) -> None:
    ops = names(program)

    async def scenario() -> None:
        whole = World()
        await whole.finish(looped(ops, whole))
        kept = data.draw(st.sets(st.sampled_from(sorted(whole.rows)))) if whole.rows else set()
        again = World()
        again.rows = {step_id: whole.rows[step_id] for step_id in sorted(kept)}
        assert isinstance(await again.finish(looped(ops, again)), Completed)
        assert ids(again) == ids(whole)
        rerun = sum(again.bodies.values()) + len(again.topics.messages)
        waits = again.segments - 1
        assert rerun + waits == len(whole.rows) - len(kept)

    asyncio.run(scenario())
