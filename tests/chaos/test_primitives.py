"""Kill -9 of the server, of the worker and of both amid 300 runs over all primitives, at seeded points.

A failure prints the seed; `CHAOS_SEED=<seed> make chaos` plays that session again. `make soak` plays 5,000
runs, in sessions of 300 with up to sixteen kills (`CHAOS_SESSIONS`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import effects, law, repertoire, stage
from tests.chaos.stage import VICTIMS, Kill, Stage, Victim, points

SEED = int(os.environ.get("CHAOS_SEED", "4"))
SESSIONS = int(os.environ.get("CHAOS_SESSIONS", "17"))
KILLS: tuple[Victim, ...] = ("worker", "server", "both", "server", "worker", "both")


def play(folder: Path, seed: int, kills: Sequence[Kill]) -> Stage:
    """Play a session to its end and tell how it went."""
    with Stage(folder, seed) as session:
        session.play(kills)
    lines, closing = session.lines, session.closing
    assert closing is not None
    print(f"seed {seed}: {' '.join(f'{kill.victim}@{kill.after}' for kill in kills)}")
    print("\n".join(session.notes))
    print(f"{law.executions(lines)} bodies, {law.repeats(lines)} repeats, {len(session.sightings)} sightings")
    undone = sum(entry.kind == "saga.compensation.completed" for trail in closing.trails.values() for entry in trail)
    print(
        f"{sum(closing.events.values())} events, {sum(closing.functions.values())} runs, {len(closing.links)} children,"
        f" {closing.messages} messages, {undone} compensations; {session.operator.cut_off} calls cut off"
    )
    return session


def check(session: Stage) -> None:
    """Hold a session against the law."""
    found = session.faults()
    assert not found, "\n".join([f"seed {session.seed}, {len(found)} faults:", *found[:20], session.story()])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Return the session of this seed, played to its end."""
    return play(tmp_path_factory.mktemp("primitives"), SEED, points(SEED, KILLS))


@pytest.mark.chaos
def test_kills_amid_all_primitives_break_no_law(session: Stage) -> None:
    check(session)
    assert law.executions(session.lines) >= repertoire.bodies()
    assert len(session.notes) == len(KILLS)


@pytest.mark.chaos
def test_what_is_planted_into_the_session_is_found(session: Stage) -> None:
    lines, closing = session.lines, session.closing
    assert closing is not None
    bodies = law.bodies_of(lines)
    link = closing.links[0]
    doubled = replace(closing, links=(*closing.links, link._replace(run="run_again")), messages=closing.messages + 1)
    found = effects.faults(session.sightings, bodies, doubled, repertoire.ALL, stage.WANTED)
    assert {fault.partition(":")[0] for fault in found} == {"law 6", "law 8", "law 11"}, found
    done = next(line for line in reversed(lines) if line.step.endswith(":join:0") and line.good)
    again = replace(done, at=session.witness.size(), phase="begin", good=False)
    found = law.faults([*lines, again], session.sightings, repertoire.ALL, hands="worker")
    assert [fault.partition(":")[0] for fault in found] == ["law 3", "law 4"], found


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1000 + SESSIONS))
def test_a_session_with_more_kills_breaks_no_law(tmp_path: Path, seed: int) -> None:
    victims = random.Random(seed).choices(VICTIMS, k=4 + seed % 13)
    check(play(tmp_path, seed, points(seed, victims)))
