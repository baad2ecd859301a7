"""One decision, one load and one named statement for everything: nothing is missing or left over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from ironflow_lab.server import engine
from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.decide import DECISIONS, decide
from ironflow_lab.server.engine.outcome import Recorded
from ironflow_lab.server.engine.records import Case
from ironflow_lab.server.store import loads, queries
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, running

SOURCES = [path.read_text() for path in Path(engine.__file__).parent.glob("*.py")]


def test_every_command_has_a_decision_and_a_load() -> None:
    every = set(get_args(commands.Command))
    assert set(DECISIONS) == every
    assert set(loads._LOADS) == every


def test_every_statement_the_engine_names_exists_and_none_is_idle() -> None:
    written = {name for text in SOURCES for name in re.findall(r'Write\(\s*"(\w+)"', text)}
    spelled = {name for text in SOURCES for name in re.findall(r'"(\w+)"', text)}
    known = set(queries.load_all("writes"))
    assert written <= known <= spelled


def test_the_engine_holds_no_sql() -> None:
    assert not [text for text in SOURCES if re.search(r"\b(SELECT|INSERT INTO|UPDATE \w+ SET)\b", text)]


@pytest.mark.parametrize(("recording", "told"), [("", ()), ("all", (Recorded("run_1"),))])
def test_whatever_grows_a_trail_calls_its_followers(recording: str, told: tuple[Recorded, ...]) -> None:
    command = commands.CancelRun(env=ENV, run_id="run_1")
    outcome = decide(Case(run=running(recording=recording)), command, NOW, CountingIds())
    assert tuple(wake for wake in outcome.wakes if isinstance(wake, Recorded)) == told
