"""Claims, withdrawals and clients that leave, in many interleavings: no job is lost, none handed out twice."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironflow_lab.clock import SystemClock, SystemIds
from ironflow_lab.models.workers import JobBatch
from ironflow_lab.server.engine.commands import RegisterFunction, RegisterWorker, Unclaim
from ironflow_lab.server.engine.outcome import Wake
from ironflow_lab.server.store.desk import Desk
from tests.contract.engine_room import ENV, LEASE, Room, claim, connected, emit, fence_of
from tests.unit.server.engine.states import request

# One letter an act: emit, park a claim for one or for three jobs, withdraw the oldest or the newest claim,
# and a cut between two batches.
ACTS = st.text("ep3on|", min_size=1, max_size=40)


class Race:
    """Plays acts on a room and keeps every claim's token."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.claims: list[int] = []
        self.withdrawn: list[int] = []
        self.emitted: list[int] = []

    def play(self, batch: str) -> None:
        with self.room.one_batch():
            for act in batch:
                self.act(act)

    def act(self, act: str) -> None:
        if act == "e":
            self.emitted.append(self.room.send(emit()))
        elif act in "p3":
            self.claims.append(self.room.send(claim(available=3 if act == "3" else 1), parks=True))
        elif self.claims:
            token = self.claims[0 if act == "o" else -1]
            self.withdrawn.append(token)
            self.room.withdraw(token)

    def jobs(self, tokens: list[int]) -> list[str]:
        return [job.run_id for token in tokens for job in self.room.answer(token).jobs]

    def check(self) -> None:
        """Every run is with exactly one claim, or in the queue; every withdrawn claim has an answer."""
        self.room.settle()
        assert all(self.room.answered(token) for token in self.withdrawn)
        runs = [self.room.answer(token).run_ids[0] for token in self.emitted]
        handed = self.jobs([token for token in self.claims if self.room.answered(token)])
        queued = [run_id for (run_id,) in self.room.rows("SELECT id FROM runs WHERE status = 'waiting_for_capacity'")]
        assert sorted(handed + queued) == sorted(runs)
        idle = [token for token in self.claims if not self.room.answered(token)]
        assert not (queued and idle), "a run waits although a claim does"


@pytest.fixture(scope="module")
def room() -> Any:
    folder = Path(tempfile.mkdtemp())
    with Room(folder) as room:
        room.function()
        room.worker()
        yield room
    shutil.rmtree(folder)


def clean(room: Room) -> None:
    with connected(room.folder) as db:
        db.executescript("DELETE FROM runs; DELETE FROM events;")


def played(room: Room, acts: str) -> None:
    clean(room)
    race = Race(room)
    for batch in acts.split("|"):
        race.play(batch)
    race.check()
    for token in race.claims:
        room.withdraw(token)
        room.answer(token)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(acts=ACTS)
def test_every_interleaving_in_batches(room: Room, acts: str) -> None:
    played(room, acts)


@pytest.mark.soak
@settings(max_examples=5_000, deadline=None)
@given(acts=ACTS)
def test_many_more_interleavings(room: Room, acts: str) -> None:
    played(room, acts)


class Ears:
    """Hears the wakes."""

    def heard(self, wakes: list[Wake]) -> None:
        """Nothing waits here."""


async def polled(desk: Desk, rng: random.Random, taken: Counter[str], left: Counter[str]) -> None:
    """One client: it waits a moment, leaves, or dies with the jobs in its hands."""
    leaves = asyncio.ensure_future(asyncio.sleep(rng.uniform(0, 0.004)))
    parked = desk.park(claim(available=rng.choice((1, 1, 2, 5))))
    patience = rng.choice((0.0, 0.001, 0.003))
    batch: JobBatch = await parked.jobs(patience, unless=(leaves,))
    if batch.jobs and rng.random() < 0.3:
        left.update(job.run_id for job in batch.jobs)
        await desk.submit(Unclaim(env=ENV, worker_id="w", fences=tuple(map(fence_of, batch.jobs))))
        return
    taken.update(job.run_id for job in batch.jobs)


async def storm(folder: Path, seed: int, runs: int, clients: int) -> None:
    rng = random.Random(seed)
    desk = Desk(folder, clock=SystemClock(), ids=SystemIds(), lease_ns=LEASE, wakes=Ears())
    try:
        await desk.submit(RegisterFunction(env=ENV, request=request(id="f", triggers=[{"event": "go"}])))
        await desk.submit(RegisterWorker(env=ENV, worker_id="w", function_ids=("f",)))
        taken: Counter[str] = Counter()
        left: Counter[str] = Counter()
        emitted: set[str] = set()

        async def emits() -> None:
            for _ in range(runs):
                emitted.update((await desk.submit(emit())).run_ids)
                if rng.random() < 0.5:
                    await asyncio.sleep(0)

        async def polls() -> None:
            for _ in range(clients):
                await polled(desk, rng, taken, left)

        await asyncio.gather(emits(), *(polls() for _ in range(8)))
        while (batch := await desk.submit(claim(available=50))).jobs:
            taken.update(job.run_id for job in batch.jobs)
        assert set(taken) == emitted
        assert set(taken.values()) == {1}
    finally:
        await desk.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_clients_that_come_and_leave(tmp_path: Path, seed: int) -> None:
    await storm(tmp_path, seed, runs=60, clients=30)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
async def test_many_more_clients(tmp_path: Path, seed: int) -> None:
    await storm(tmp_path, seed, runs=500, clients=300)


async def test_a_cancelled_poll_keeps_nothing_parked(tmp_path: Path) -> None:
    desk = Desk(tmp_path, clock=SystemClock(), ids=SystemIds(), lease_ns=LEASE, wakes=Ears())
    try:
        await desk.submit(RegisterFunction(env=ENV, request=request(id="f", triggers=[{"event": "go"}])))
        await desk.submit(RegisterWorker(env=ENV, worker_id="w", function_ids=("f",)))
        poll = asyncio.ensure_future(desk.park(claim()).jobs(60, unless=()))
        await desk.submit(claim())
        poll.cancel()
        with suppress(asyncio.CancelledError):
            await poll
        (run_id,) = (await desk.submit(emit())).run_ids
        assert [job.run_id for job in (await desk.submit(claim())).jobs] == [run_id]
    finally:
        await desk.close()
