"""Which run another one repeats: read back from the key that started it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.errors import NotFoundError, UnavailableError
from ironflow_lab.lab import origin
from ironflow_lab.models.events import Event
from ironflow_lab.models.runs import Run
from ironflow_lab.testing.fakes import CountingIds

INVOKED = Run(id="run_2", event_id="evt_2", event_name="ironflow.function.invoked")


def session(answer: Any) -> Any:
    def get(event_id: str) -> Event:
        asked.append(event_id)
        if isinstance(answer, Exception):
            raise answer
        return Event(id=event_id, idempotency_key=answer)

    asked: list[str] = []
    return SimpleNamespace(client=SimpleNamespace(events=SimpleNamespace(get=get)), asked=asked)


def test_a_key_names_the_run_and_is_new_each_time() -> None:
    ids = CountingIds()
    first, second = origin.key("run_1", ids), origin.key("run_1", ids)
    assert first != second
    assert origin.origin_in(first) == origin.origin_in(second) == "run_1"


@pytest.mark.parametrize("run_id", ["", "a:b", "a b", "x" * 10_000])
def test_an_id_that_could_not_be_read_back_is_left_out(run_id: str) -> None:
    key = origin.key(run_id, CountingIds())
    assert len(key) < 255
    assert origin.origin_in(key) == ""


@pytest.mark.parametrize("key", ["", "rerun", "rerun:", "rerun:run_1", "rerun_000001", "order-1", "xrerun:run_1:a"])
def test_other_keys_name_nothing(key: str) -> None:
    assert origin.origin_in(key) == ""


def test_the_event_of_an_invocation_is_read() -> None:
    lab = session("rerun:run_1:a")
    assert origin.of(lab, INVOKED) == origin.seen(lab, INVOKED) == "run_1"
    assert lab.asked == ["evt_2", "evt_2"]


def test_what_an_event_or_a_step_started_is_no_rerun() -> None:
    lab = session("rerun:run_1:a")
    assert origin.seen(lab, Run(id="run_2", event_id="evt_2", event_name="order.placed")) == ""
    assert origin.of(lab, Run(id="run_2", event_id="evt_2", parent_run_id="run_0")) == ""
    assert origin.of(lab, Run(id="run_2")) == ""
    assert lab.asked == []


def test_an_event_that_is_gone_is_said_and_spoils_no_card() -> None:
    lab = session(NotFoundError("no event"))
    with pytest.raises(NotFoundError, match="not known: the event that started it, evt_2, is gone"):
        origin.of(lab, INVOKED)
    assert origin.seen(lab, INVOKED) == ""
    assert origin.seen(session(UnavailableError("away")), INVOKED) == ""
