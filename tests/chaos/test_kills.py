"""Kill -9 of the server, of the kernel and of both amid the tour's runs, at ten seeded points.

A failure prints the seed; `CHAOS_SEED=<seed> make chaos` plays that session again. `make soak` plays
each of the ten points in a session of its own, and storms of up to sixteen kills (`CHAOS_STORMS`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import law, plan
from tests.chaos.drama import VICTIMS, Drama, Kill, Victim, points

SEED = int(os.environ.get("CHAOS_SEED", "20"))
STORMS = int(os.environ.get("CHAOS_STORMS", "10"))
# The first falls into the emission: the cell that emits is executed again by the next kernel.
TEN: tuple[Victim, ...] = (
    *("kernel", "server", "both", "server", "kernel"),
    *("both", "server", "kernel", "server", "both"),
)


def play(folder: Path, seed: int, kills: Sequence[Kill]) -> Drama:
    """Play a session to its end and tell how it went."""
    with Drama(folder) as drama:
        drama.play(kills)
    lines = drama.lines
    print(f"seed {seed}: {' '.join(f'{kill.victim}@{kill.after}' for kill in kills)}")
    print("\n".join(drama.notes))
    print(f"{law.executions(lines)} bodies, {law.repeats(lines)} repeats, {len(drama.sightings)} sightings")
    return drama


def check(drama: Drama, seed: int) -> None:
    """Hold a session against the law."""
    found = drama.faults()
    assert not found, "\n".join([f"seed {seed}, {len(found)} faults:", *found[:20], drama.story()])


@pytest.fixture(scope="module")
def ten_kills(tmp_path_factory: pytest.TempPathFactory) -> Drama:
    """Return the session of this seed, played to its end."""
    return play(tmp_path_factory.mktemp("ten-kills"), SEED, points(SEED, TEN))


@pytest.mark.chaos
def test_ten_kills_in_one_session_break_no_law(ten_kills: Drama) -> None:
    check(ten_kills, SEED)
    assert law.executions(ten_kills.lines) >= plan.bodies()


@pytest.mark.chaos
def test_the_first_kill_cut_the_emission_off_and_the_next_kernel_finished_it(ten_kills: Drama) -> None:
    assert ten_kills.emissions > 1, ten_kills.notes
    assert 0 < ten_kills.accepted_at_first_kill < plan.BILLS, ten_kills.notes


@pytest.mark.chaos
def test_a_double_planted_into_the_session_is_found(ten_kills: Drama) -> None:
    lines = ten_kills.lines
    done = next(line for line in reversed(lines) if line.step.endswith(":receipt:0") and line.good)
    double = replace(done, at=ten_kills.witness.size(), phase="begin", good=False)
    found = law.faults([*lines, double], ten_kills.sightings, plan.ALL)
    assert [fault[:5] for fault in found] == ["law 3", "law 4"], found


@pytest.mark.soak
@pytest.mark.parametrize("place", range(len(TEN)))
def test_one_kill_in_a_session_breaks_no_law(tmp_path: Path, place: int) -> None:
    check(play(tmp_path, SEED, [points(SEED, TEN)[place]]), SEED)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 100 + STORMS))
def test_a_storm_of_kills_breaks_no_law(tmp_path: Path, seed: int) -> None:
    victims = random.Random(seed).choices(VICTIMS, k=8 + seed % 9)
    check(play(tmp_path, seed, points(seed, victims)), seed)
