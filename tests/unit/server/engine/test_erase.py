"""Deleting and redacting: only what has ended, whole, and nothing of a payload left."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.server.engine import erase
from ironflow_lab.server.engine.commands import DeleteRun, DeleteRuns, RedactRun, RedactStep
from ironflow_lab.server.engine.decide import decide
from ironflow_lab.server.engine.erase import Held, HeldStep, Told
from ironflow_lab.server.engine.outcome import Erased, Outcome, Recorded
from ironflow_lab.server.engine.records import RunState
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, resting, running

SECRET = b'{"card":"4111"}'
MARK = {"$redacted", "sha256", "redactedAt"}


def decided(state: Any, command: Any, now: int = NOW) -> Outcome:
    return decide(state, command, now, CountingIds())


def queries(outcome: Outcome) -> list[str]:
    return [write.query for write in outcome.writes]


def held(run: RunState, **fields: Any) -> Held:
    step = HeldStep(step_id="run_1:a:0", input=SECRET, output=SECRET, original_output=SECRET)
    payload = msgspec.json.encode({"stepId": "run_1:a:0", "output": msgspec.Raw(SECRET), "durationMs": 1})
    given: dict[str, Any] = {
        "run": run,
        "input": SECRET,
        "output": SECRET,
        "steps": (step,),
        "events": (Told(seq=7, payload=payload),),
    }
    return Held(**given | fields)


class TestDelete:
    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_all_of_an_ended_run_goes(self, status: str) -> None:
        outcome = decided(resting(status), DeleteRun(env=ENV, run_id="run_1"))
        assert queries(outcome) == ["delete_audit", "delete_steps", "delete_timers", "delete_runs"]
        assert {write.parameters["ids"] for write in outcome.writes} == {'["run_1"]'}
        assert outcome.wakes == (Erased(("run_1",)),)

    @pytest.mark.parametrize("status", ["waiting_for_capacity", "running", "waiting", "paused"])
    def test_what_has_not_ended_is_refused_with_the_remedy(self, status: str) -> None:
        with pytest.raises(FailedPreconditionError, match=rf"is {status}.*or cancel it"):
            decided(resting(status), DeleteRun(env=ENV, run_id="run_1"))

    @pytest.mark.parametrize("run", [None, resting("failed", env="other")])
    def test_an_unknown_run(self, run: RunState | None) -> None:
        for command in (DeleteRun(env=ENV, run_id="run_1"), RedactRun(env=ENV, run_id="run_1")):
            with pytest.raises(NotFoundError, match="run_1"):
                decided(run if isinstance(command, DeleteRun) else Held(run=run), command)

    @pytest.mark.parametrize("fields", [{"function_id": "f"}, {"status": "failed"}, {"until": 1}])
    def test_one_filter_is_enough(self, fields: dict[str, Any]) -> None:
        outcome = decided(("run_1", "run_2"), DeleteRuns(env=ENV, **fields))
        assert (outcome.answer, outcome.wakes) == (2, (Erased(("run_1", "run_2")),))
        assert decided((), DeleteRuns(env=ENV, **fields)) == Outcome(0)

    def test_no_filter_is_refused(self) -> None:
        with pytest.raises(InvalidArgumentError, match="at least one of"):
            decided((), DeleteRuns(env=ENV))

    @pytest.mark.parametrize("status", ["pending", "waiting_for_capacity", "running", "waiting", "paused"])
    def test_only_ended_runs_can_be_meant(self, status: str) -> None:
        with pytest.raises(InvalidArgumentError, match="cancel the runs first"):
            decided((), DeleteRuns(env=ENV, status=status))


class TestRedact:
    def test_no_payload_of_a_run_is_left(self) -> None:
        outcome = decided(held(resting("completed", recording="all")), RedactRun(env=ENV, run_id="run_1"))
        assert queries(outcome) == ["redact_step", "redact_audit", "redact_run", "touch_run", "insert_audit"]
        assert SECRET not in msgspec.json.encode([write.parameters for write in outcome.writes])
        mark = msgspec.json.decode(outcome.writes[2].parameters["output"])
        assert mark.keys() == MARK
        assert mark["sha256"] == hashlib.sha256(SECRET).hexdigest()
        told = msgspec.json.decode(outcome.writes[1].parameters["payload"])
        assert told == {"stepId": "run_1:a:0", "output": mark, "durationMs": 1}
        assert outcome.writes[-1].parameters["type"] == "run.redacted"
        assert outcome.wakes == (Erased(("run_1",)), Recorded("run_1"))

    def test_of_one_step_only_that_step(self) -> None:
        outcome = decided(held(resting("failed", recording="all")), RedactStep(env=ENV, step_id="run_1:a:0"))
        assert queries(outcome) == ["redact_step", "redact_audit", "touch_run", "insert_audit"]
        noted = outcome.writes[-1].parameters
        assert (noted["type"], noted["step_id"], noted["payload"]) == (
            "step.redacted",
            "run_1:a:0",
            b'{"stepId":"run_1:a:0"}',
        )

    def test_a_second_time_changes_nothing(self) -> None:
        run, command = resting("completed", recording="all"), RedactRun(env=ENV, run_id="run_1")
        first = decided(held(run), command)
        by_query = {write.query: write.parameters for write in first.writes}
        step = HeldStep(**{name: by_query["redact_step"][name] for name in HeldStep.__struct_fields__})
        again = held(
            run,
            input=by_query["redact_run"]["input"],
            output=by_query["redact_run"]["output"],
            steps=(step,),
            events=(Told(seq=7, payload=by_query["redact_audit"]["payload"]),),
        )
        assert decided(again, command, NOW + 1) == Outcome(None)

    def test_what_is_not_there_stays_away(self) -> None:
        bare = Held(run=resting("cancelled"), steps=(HeldStep(step_id="run_1:a:0"),))
        assert decided(bare, RedactRun(env=ENV, run_id="run_1")) == Outcome(None)

    @pytest.mark.parametrize(
        ("recording", "noted"),
        [("", []), ("all", ["insert_audit"]), ("run_lifecycle", []), ("steps", ["insert_audit"])],
    )
    def test_it_is_noted_where_the_profile_keeps_such_events(self, recording: str, noted: list[str]) -> None:
        outcome = decided(held(resting("failed", recording=recording)), RedactStep(env=ENV, step_id="run_1:a:0"))
        assert [query for query in queries(outcome) if query == "insert_audit"] == noted

    @pytest.mark.parametrize("name", sorted(erase._PAYLOADS))
    def test_every_payload_of_an_audit_event_goes(self, name: str) -> None:
        event = Told(seq=1, payload=msgspec.json.encode({name: msgspec.Raw(SECRET), "reason": "kept"}))
        outcome = decided(Held(run=resting("failed"), events=(event,)), RedactRun(env=ENV, run_id="run_1"))
        told = msgspec.json.decode(outcome.writes[0].parameters["payload"])
        assert told[name].keys() == MARK
        assert told["reason"] == "kept"

    def test_the_value_a_wait_expected_goes_too(self) -> None:
        event = Told(seq=1, payload=b'{"stepId":"s","event":"paid","match":"data.id","value":"ann@example.org"}')
        outcome = decided(Held(run=resting("failed"), events=(event,)), RedactRun(env=ENV, run_id="run_1"))
        assert msgspec.json.decode(outcome.writes[0].parameters["payload"])["value"] == "[redacted]"

    def test_numbers_that_stay_keep_every_digit(self) -> None:
        event = Told(seq=1, payload=b'{"output":1,"until":12345678901234567890123,"attempt":1.50}')
        outcome = decided(Held(run=resting("failed"), events=(event,)), RedactRun(env=ENV, run_id="run_1"))
        assert b'"until":12345678901234567890123,"attempt":1.50}' in outcome.writes[0].parameters["payload"]

    @pytest.mark.parametrize("run", [running(), resting("paused"), resting("waiting"), resting("waiting_for_capacity")])
    def test_only_what_has_ended(self, run: RunState) -> None:
        for command in (RedactRun(env=ENV, run_id="run_1"), RedactStep(env=ENV, step_id="run_1:a:0")):
            with pytest.raises(FailedPreconditionError, match="only a run that has ended can be redacted"):
                decided(held(run), command)

    def test_an_unknown_step(self) -> None:
        with pytest.raises(NotFoundError, match="step_9"):
            decided(Held(), RedactStep(env=ENV, step_id="step_9"))

    def test_time_does_not_go_back(self) -> None:
        run = resting("completed", recording="all")
        outcome = decided(held(run), RedactRun(env=ENV, run_id="run_1"), now=1)
        assert outcome.writes[-1].parameters["at"] == run.updated_at + 1
