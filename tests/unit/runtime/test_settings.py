"""What may be said of a worker, and the rules that follow."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.runtime.pace import LOCAL_RULES, Rules
from ironflow_lab.runtime.settings import Settings


def test_what_is_not_said_stays() -> None:
    first = Settings().changed(concurrency=3, labels={"region": "eu"}, heartbeat="5s", reconnect_delay=2)
    again = first.changed(heartbeat=timedelta(seconds=7))
    assert (again.concurrency, again.labels, again.heartbeat, again.reconnect_delay) == (3, {"region": "eu"}, 7.0, 2.0)
    assert first.heartbeat == 5.0


def test_labels_are_a_copy() -> None:
    labels = {"region": "eu"}
    settings = Settings().changed(labels=labels)
    labels["region"] = "us"
    assert settings.labels == {"region": "eu"}
    assert settings.changed(labels={}).labels == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"concurrency": 0}, "from 1 to 1,000"),
        ({"concurrency": 1001}, "from 1 to 1,000"),
        ({"concurrency": True}, "from 1 to 1,000"),
        ({"concurrency": 2.0}, "from 1 to 1,000"),
        ({"labels": ["region"]}, "not list"),
        ({"labels": {"region": 1}}, "'region' must be text on both sides, not int"),
        ({"labels": {1: "eu"}}, "1 must be text on both sides, not int"),
        ({"labels": {" ": "eu"}}, "needs a name"),
        ({"labels": {"region": "x" * 257}}, "at most 256 characters"),
        ({"labels": {str(n): "" for n in range(65)}}, "65 labels are too many; the limit is 64"),
        ({"heartbeat": 0.5}, "heartbeat=0.5 must be between 1 s and 45 s"),
        ({"heartbeat": "1m"}, "between 1 s and 45 s"),
        ({"heartbeat": "soon"}, "heartbeat: 'soon' is not a duration"),
        ({"reconnect_delay": 0}, "between 0.05 s and 3600 s"),
        ({"logger": "mine"}, "not a str"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Settings().changed(**given)


def test_the_rules_of_the_place_hold_where_nothing_is_said() -> None:
    assert Settings().paced(LOCAL_RULES) == LOCAL_RULES


def test_what_is_said_wins_over_the_rules() -> None:
    rules = Settings(heartbeat=5.0, reconnect_delay=90.0).paced(Rules())
    assert rules.heartbeat == 5.0
    assert [rules.reconnect.after(failures) for failures in (1, 2)] == [90.0, 90.0]
    assert rules.checkpoint == Rules().checkpoint
    rules = Settings(reconnect_delay=1.0).paced(Rules())
    assert [rules.reconnect.after(failures) for failures in (1, 2, 9)] == [1.0, 2.0, 60.0]


def test_an_adapter_is_a_logger_too() -> None:
    adapter: logging.LoggerAdapter[logging.Logger] = logging.LoggerAdapter(logging.getLogger("mine"), {})
    assert Settings().changed(logger=adapter).logger is adapter
