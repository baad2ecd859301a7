"""What put a value in its place: every change of it, by which event, and where an equal one stood."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from ironflow_lab.errors import DefinitionError, NotFoundError
from ironflow_lab.history import blame as module
from ironflow_lab.history.blame import CUT, NO_WAY, NOT_TOLD, PLAIN, UNRECORDED, Blamed, blame
from ironflow_lab.history.equality import same
from ironflow_lab.history.fold import History
from ironflow_lab.history.paths import path_text, value_at
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Run, RunStatus, Step, StepStatus
from tests.unit.history.stories import RUN, T0, Story, approval, charge, trails

MS = 1_000_000


def of(story: Story | list[AuditEvent], **fields: Any) -> Recording:
    events = story.events if isinstance(story, Story) else story
    return Recording(run=Run(id=RUN, function_id="pay"), events=tuple(events), **fields)


def put(found: Blamed) -> tuple[Any, ...]:
    last = found.puts[-1]
    return last.position, last.event_type, last.step, last.attempt, last.actor, last.reason


def test_a_patched_output_and_what_stood_there_before() -> None:
    found = blame(of(charge()), "steps.charge.output.amount")
    assert found.value == 12
    assert put(found) == (16, "step.patched", "charge", 2, "ada", "fee")
    assert [(one.before, one.after, one.event_type) for one in found.puts] == [
        (msgspec.UNSET, 10, "step.completed"),
        (10, 12, "step.patched"),
    ]
    assert found.puts[0].actor == "worker-2"
    assert found.puts[-1].at == T0 + 6023 * MS
    assert found.puts[-1].words == "Step 'charge' patched"
    assert found.notes == ()


def test_the_run_itself() -> None:
    recording = of(charge())
    assert put(blame(recording, "output.paid")) == (18, "run.status_changed", "", 2, "worker-2", "completed")
    assert put(blame(recording, "run.output.paid"))[0] == 18
    assert put(blame(recording, "input.order"))[:2] == (1, "run.created")
    error = blame(recording, "error.message")
    assert (error.value, [one.after for one in error.puts]) == (msgspec.UNSET, ["declined", msgspec.UNSET])
    assert put(error)[0] == 18, "what takes a value away is its last change"


def test_equal_values_are_told_with_what_put_them_there() -> None:
    found = blame(of(charge()), "output.paid")
    (equal,) = found.equal
    assert path_text(equal.path) == "steps.charge.output.amount"
    assert (equal.put.event_type, equal.put.actor, equal.put.position) == ("step.patched", "ada", 16)
    assert blame(of(charge()), "input.order").equal == (), "only for what the run returned"
    later = charge().patched(6031, "validate", {"ok": True}, 12, patchedBy="bob")
    assert [path_text(one.path) for one in blame(of(later), "output").equal] == []
    assert NO_WAY in blame(of(later), "output").notes
    (only,) = blame(of(later), "output.paid").equal
    assert only.path[1] == "charge", "what came after cannot be where it is from"


def test_the_input_is_a_source_too() -> None:
    story = Story().created(input={"order": "A-1"}).moved(1, "completed", "completed", output={"id": ["A-1"]})
    (equal,) = blame(of(story), "output.id[0]").equal
    assert (path_text(equal.path), equal.put.event_type) == ("input.order", "run.created")


@pytest.mark.parametrize("value", [None, True, False, "", [], {}])
def test_what_stands_everywhere_is_not_searched_for(value: Any) -> None:
    story = Story().created(input={"a": value}).completed(1, "s", value).moved(2, "completed", output={"x": value})
    found = blame(of(story), "output.x")
    assert (found.equal, found.notes) == ((), (PLAIN,))


def test_equality_is_that_of_json() -> None:
    story = Story().created(input=[1.0, True, "1", 0]).moved(2, "completed", output={"x": 1})
    assert blame(of(story), "output.x").equal == ()


def test_a_search_has_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Story().created(input=0)
    for index in range(30):
        many.completed(index + 1, "s", [7], index=index)
    found = blame(of(many.moved(99, "completed", output=7)), "output")
    assert (len(found.equal), "only the first 20" in found.notes[0]) == (20, True)
    monkeypatch.setattr(module, "_MOST_LOOKED_AT", 50)
    wide = Story().created(input=list(range(100))).moved(99, "completed", output=99)
    assert blame(of(wide), "output").notes == (CUT,)


def test_values_nested_too_deeply_are_neither_slow_nor_fatal() -> None:
    deep: Any = 7
    for _ in range(5_000):
        deep = [deep]
    other: Any = 8
    for _ in range(5_000):
        other = [other]
    story = Story().created(input=other).completed(1, "s", other).moved(2, "completed", output=deep)
    found = blame(of(story), "output")
    assert (found.equal, found.notes) == ((), (CUT,))
    assert same(blame(of(story), "output" + "[0]" * 5_000).value, 7)
    shallow = Story().created(input=other).moved(2, "completed", output=9)
    assert blame(of(shallow), "output").notes == (CUT,), "what lies deeper was not searched"


def test_many_large_outputs_are_compared_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Any] = []

    def noted(one: Any, other: Any) -> bool:
        compared.append(one)
        return same(one, other)

    monkeypatch.setattr(module, "same", noted)
    monkeypatch.setattr(module, "_MOST_COMPARED", 1_000)
    story = Story().created()
    for index in range(30):
        story.completed(index + 1, "s", [*range(99), index], index=index)
    found = blame(of(story.moved(99, "completed", output=[*range(99), -1])), "output")
    assert found.notes == (CUT,)
    assert sum(isinstance(one, list) for one in compared) < 12


def test_a_step_that_was_discarded_and_a_wait() -> None:
    found = blame(of(approval()), "steps.approve.output.name")
    assert found.value is msgspec.UNSET
    assert put(found)[1:3] == ("step.discarded", "approve")
    assert found.puts[-1].actor == "operator"
    assert blame(of(approval()), "steps.ship.child_run_id").puts[0].after == "run_2"
    assert blame(of(approval()), "steps.charge.started_ms").value == 2.0


class TestWhatIsNotThere:
    def test_a_place_names_what_is_beside_it(self) -> None:
        story = Story().created(input={"orders": [{"id": 1}], "n" * 999: 1})
        for path, said in (
            ("input.order", "input has orders, n"),
            ("input.orders.id", "input.orders is a list of 1: write \\[0\\]"),
            ("input.orders[0].id.x", "input.orders\\[0\\].id is neither"),
            ("output.x", "at output.x in run"),
            ("output", "at output in run"),
        ):
            with pytest.raises(NotFoundError, match=said) as raised:
                blame(of(story), path)
            assert len(str(raised.value)) < 400

    def test_an_unknown_step_names_those_there_are(self) -> None:
        with pytest.raises(NotFoundError, match="the steps are: validate, charge, cool-off"):
            blame(of(charge()), "steps.chrage.output")

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("", "a path is empty"),
            ("charge.output", "that is a step: steps.charge.output"),
            ("outptu", "it begins with steps"),
            ("[0]", "it begins with steps"),
            ("steps", "name the step"),
            ("steps[0].output", "name the step"),
            ("steps.charge", "as in steps.charge.output"),
            ("steps.charge.outptu", "as in steps.charge.output"),
            ("a..b", "cannot be read"),
        ],
    )
    def test_a_path_that_leads_nowhere(self, path: str, said: str) -> None:
        with pytest.raises(DefinitionError, match=said):
            blame(of(charge()), path)


class TestRows:
    def recording(self, **fields: Any) -> Recording:
        step = Step(
            id="s",
            run_id=RUN,
            step_id=f"{RUN}:charge:0",
            status=StepStatus("completed"),
            output={"amount": 12},
            original_output={"amount": 10},
            patched_at=Instant(T0 + 9),
            patched_by="ada",
            attempt=2,
            started_at=Instant(T0 + 1),
            ended_at=Instant(T0 + 2),
            sequence=0,
        )
        run = Run(
            id=RUN,
            function_id="pay",
            status=RunStatus("completed"),
            output={"paid": 12},
            input={"n": 1},
            attempt=1,
            worker_id="w",
            started_at=Instant(T0),
            ended_at=Instant(T0 + 20),
        )
        return Recording(run=run, steps=(step,), **fields)

    def test_a_run_that_was_not_recorded_tells_what_its_rows_do(self) -> None:
        found = blame(self.recording(), "steps.charge.output.amount")
        assert (found.value, [one.after for one in found.puts], found.notes) == (12, [10, 12], (UNRECORDED,))
        last = found.puts[-1]
        assert (last.position, last.event_id, last.actor, last.at) == (0, "", "ada", T0 + 9)
        output = blame(self.recording(), "output.paid")
        assert output.notes[0] == UNRECORDED
        assert [(path_text(one.path), one.put.position) for one in output.equal] == [("steps.charge.output.amount", 0)]
        with pytest.raises(NotFoundError, match=r"output\.x"):
            blame(self.recording(), "output.x")

    def test_a_trail_that_does_not_tell_leaves_it_to_the_rows(self) -> None:
        # A server whose trail has no outputs in it.
        story = Story().created().started(1, "charge").moved(3, "completed", "completed")
        events = tuple(story.events)
        found = blame(self.recording(events=events, note="it is incomplete"), "steps.charge.output.amount")
        assert (found.value, found.notes, found.puts[-1].position) == (12, (NOT_TOLD,), 0)
        status = blame(self.recording(events=events, note="it is incomplete"), "status")
        assert (status.notes, status.puts[-1].position) == ((), 3)


@given(trails())
def test_the_last_change_of_any_place_leads_to_what_is_there_now(events: list[AuditEvent]) -> None:
    history = History(RUN, events)
    for label, state in zip(history.labels, history.steps, strict=True):
        if state.output is msgspec.UNSET:
            continue
        found = blame(of(events), path_text(("steps", label, "output")))
        assert same(found.value, state.output)
        for one in found.puts:
            there = history.at_position(one.position).steps[history.lane_of(label) - 1]
            assert same(value_at(there.document(), ("output",)), one.after)
            assert not same(one.before, one.after)
