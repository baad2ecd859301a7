"""The first moment at which something holds: the right one, with few looks, and honest about what it assumes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import DefinitionError, InvalidArgumentError
from ironflow_lab.history.fold import History
from ironflow_lab.lab import bisecting, timetravel
from ironflow_lab.lab.bisecting import Found, bisect
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.snapshot import Snapshot
from ironflow_lab.testing import FakeClock
from tests.unit.history.stories import RUN, Story, charge

SCRIPT = "<script>alert(1)</script>"


class Read(Past):
    """A past that is read already."""

    def read(self) -> Past:
        return self


def past(story: Story) -> Past:
    session: Any = SimpleNamespace(follows=True, joined=SimpleNamespace(server_url="http://x"), clock=FakeClock())
    found = Read(session, RUN)
    found.history = History(RUN, story.events)
    return found


def many(count: int) -> Past:
    """A run of one event and then steps until there are `count` events."""
    story = Story().created()
    for index in range(count - 1):
        story.completed(index + 1, "s", index, index=index)
    return past(story)


def _from(position: int, snapshot: Snapshot) -> bool:
    return snapshot.position >= position


def bound(events: int) -> int:
    return math.ceil(math.log2(max(events, 1))) + 2


@given(st.integers(1, 70), st.data())
def test_it_is_the_first_position_with_few_looks(length: int, data: st.DataObject) -> None:
    wanted, first = data.draw(st.integers(0, length + 1)), data.draw(st.integers(0, length))
    looks: list[int] = []

    def holds(snapshot: Snapshot) -> bool:
        looks.append(snapshot.position)
        return snapshot.position >= wanted

    found = bisect(many(length), holds, first=first)
    assert found.position == (None if wanted > length else max(wanted, first))
    assert found.calls == len(looks) == len(set(looks))
    assert found.calls <= bound(length - first)
    assert bool(found) == (wanted <= length)
    if found.position is not None and found.position > first:
        assert found.before is not None
        assert (found.before.position, found.event) == (wanted - 1, found.snapshot and found.snapshot.event)


def test_looks_at_the_state_are_as_few_as_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    plain = timetravel.at_position

    def noted(of: Past, position: int) -> Snapshot:
        looked.append(position)
        return plain(of, position)

    monkeypatch.setattr(timetravel, "at_position", noted)
    found = bisect(many(4_096), lambda snapshot: snapshot.position >= 1_234)
    assert (found.position, found.calls, len(looked)) == (1_234, bound(4_096), bound(4_096))


def test_the_event_that_made_it_so() -> None:
    found = bisect(past(charge()), lambda snapshot: snapshot.step("charge").output["amount"] == 12)
    assert (found.position, found.event_type, found.actor, found.reason) == (16, "step.patched", "ada", "fee")
    assert found.words == "Step charge patched"
    assert found.at == found.snapshot.at if found.snapshot else False
    assert repr(found).startswith(f"<Found in {RUN}: first holds at position 16 of 18: Step charge patched at 2026-")
    assert "once it holds it holds on" in str(found)
    by_worker = bisect(past(charge()), lambda snapshot: snapshot.status == "completed")
    assert (by_worker.position, by_worker.actor) == (18, "worker-2")


def test_at_the_beginning_and_never() -> None:
    at_once = bisect(past(charge()), lambda snapshot: True)
    assert (at_once.position, at_once.event, at_once.event_type, at_once.at, at_once.calls) == (0, None, "", None, 2)
    assert "holds at the beginning of the search (position 0) already" in str(at_once)
    later = bisect(past(charge()), lambda snapshot: snapshot.status != "", first=4)
    assert (later.position, later.event, later.first, later.last) == (4, None, 4, 18)
    never = bisect(past(charge()), lambda snapshot: snapshot.status == "nowhere")
    assert (never.position, never.calls, bool(never), never.snapshot) == (None, 1, False, None)
    assert "it does not hold at the end (position 18); whether it held in between was not looked at" in str(never)
    assert "it may come to hold yet" not in str(never)
    running = bisect(past(Story().created().moved(1, "running", "claimed")), lambda snapshot: snapshot.output)
    assert "the run has not ended: it may come to hold yet" in str(running)


def test_a_search_may_begin_at_a_step_or_a_snapshot() -> None:
    run = past(charge())
    assert bisect(run, lambda snapshot: snapshot.status == "completed", first="validate").first == 4
    assert bisect(run, lambda snapshot: False, first=-1).first == 18
    with pytest.raises(InvalidArgumentError, match="positions 0"):
        bisect(run, lambda snapshot: True, first=99)


@pytest.mark.parametrize(
    "predicate",
    [
        lambda snapshot: snapshot.step("charge").status == "completed",
        lambda snapshot: snapshot.step("charge").output["amount"] in (10, 12),
        lambda snapshot: snapshot.step("charge").output.get("amount"),
        lambda snapshot: snapshot.step("charge").output["amount"] > 5,
        lambda snapshot: "amount" in snapshot.step("charge").output,
        lambda snapshot: snapshot.steps.set_index("name").loc["charge", "status"] == "completed",
        lambda snapshot: snapshot.document()["steps"][1]["output"]["amount"],
    ],
)
def test_what_is_not_there_yet_does_not_hold(predicate: Callable[[Snapshot], Any]) -> None:
    found = bisect(past(charge()), predicate)
    assert (found.position, found.absent > 0) == (11, True)
    assert "which counts as: does not hold" in str(found)


def test_a_name_that_is_wrong_shows_at_the_end() -> None:
    found = bisect(past(charge()), lambda snapshot: snapshot.step("chrage").output)
    assert (found.position, found.absent) == (None, 1)
    assert "at the end the predicate looked up what is not there (NotFoundError: no step 'chrage'" in str(found)


@pytest.mark.parametrize(
    "predicate",
    [
        lambda snapshot: 1 / 0,
        lambda snapshot: snapshot.stpe("charge"),
        lambda snapshot: snapshot.status + 1,
        lambda snapshot: len(3),  # type: ignore[arg-type]  # what somebody may write
    ],
)
def test_a_mistake_in_the_predicate_is_raised(predicate: Callable[[Snapshot], Any]) -> None:
    with pytest.raises((ZeroDivisionError, AttributeError, TypeError)) as raised:
        bisect(past(charge()), predicate)
    assert raised.value.__notes__ == [f"raised by the predicate of lab.bisect at position 18 of {RUN}"]


def test_a_predicate_is_a_plain_function() -> None:
    async def later(snapshot: Snapshot) -> bool:
        return True

    for wrong, said in ((later, "must not be awaited"), ("output", "is no predicate")):
        with pytest.raises(DefinitionError, match=said):
            bisect(past(charge()), wrong)  # type: ignore[arg-type]  # what somebody may give


def test_what_it_shows_is_escaped_and_short() -> None:
    story = Story().created().completed(1, SCRIPT * 500, 1).patched(2, "s", 1, 2, patchedBy=SCRIPT * 500)
    for wanted in (2, 3):
        found: Found = bisect(past(story), partial(_from, wanted))
        assert "<script" not in found._repr_html_()
        assert all(len(form) < 1_500 for form in (repr(found), str(found), found._repr_html_()))
        assert "\n" not in repr(found)


def test_a_trail_that_does_not_tell_all_is_said_so() -> None:
    run = past(charge())
    run.source, run.note = "incomplete", "the output of step charge is another"
    assert "incomplete: the output of step charge is another" in str(bisect(run, lambda snapshot: True))
    assert bisecting.ASSUMED not in str(bisect(run, lambda snapshot: True))
