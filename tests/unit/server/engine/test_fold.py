"""The fold's rules, one by one, on events as any server may write them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.models.timetravel import GetRunStateAtResponse
from ironflow_lab.server.engine.fold import Fold, RunThen, StateAnswer, StepThen, tell
from ironflow_lab.wire import codec
from tests.unit.server.engine.states import NOW

STEP = "run_1:charge:0"
AT = "2026-01-02T03:04:05Z"
EARLIER, LATER = "2026-01-02T03:04:01Z", "2026-01-02T03:04:02Z"


def folded(*events: tuple[str, dict[str, Any]], step_id: str = STEP) -> Fold:
    """Fold events that are a nanosecond apart from `NOW`."""
    return Fold().feed(
        tell(
            (kind, step_id if kind.startswith("step") else "", NOW + index, msgspec.json.encode(payload))
            for index, (kind, payload) in enumerate(events)
        )
    )


def step(*events: tuple[str, dict[str, Any]]) -> StepThen:
    (found,) = folded(*events).steps.values()
    return found


STARTED = ("step.started", {"stepName": "charge", "stepType": "invoke", "attempt": 1, "startedAt": EARLIER})
COMPLETED = ("step.completed", {"output": {"ok": True}, "durationMs": 7, "endedAt": LATER})
FAILED = ("step.failed", {"error": {"message": "no"}, "attempt": 1, "endedAt": LATER})
PATCHED = ("step.patched", {"originalOutput": {"ok": True}, "patchedOutput": 2, "patchedBy": "me"})
DISCARDED = ("step.discarded", {"stepId": STEP, "reason": "resumed from a"})
UNDO = "run_1:compensate:charge:0"
INJECTED = ("step.injected", {"previousOutput": [0], "newOutput": None, "reason": "r"})


class TestRun:
    def test_nothing_is_known_of_nothing(self) -> None:
        nothing = folded()
        assert (nothing.status, nothing.input, nothing.steps) == ("", b"", {})

    def test_its_birth_with_and_without_our_own_keys(self) -> None:
        ours = folded(("run.created", {"input": [1, None], "status": "running", "attempt": 3}))
        assert (ours.status, ours.attempt, ours.input) == ("running", 3, b"[1,null]")
        theirs = folded(("run.created", {"runId": "r"}))
        assert (theirs.status, theirs.attempt, theirs.input) == ("waiting_for_capacity", 1, b"")

    def test_changes_of_status(self) -> None:
        run = folded(
            ("run.created", {"input": 1}),
            ("run.status_changed", {"newStatus": "running"}),
            ("run.status_changed", {"newStatus": "waiting", "attempt": 2, "error": {"message": "no"}}),
            ("run.paused", {"newStatus": "paused"}),
        )
        assert (run.status, run.attempt, run.error) == ("paused", 2, b'{"message":"no"}')
        run.feed(tell([("run.resumed", "", NOW + 9, b'{"newStatus":"waiting_for_capacity"}')]))
        assert (run.status, run.error) == ("waiting_for_capacity", b'{"message":"no"}')
        run.feed(tell([("run.status_changed", "", NOW + 10, b'{"newStatus":"completed","output":null}')]))
        assert (run.status, run.output, run.error) == ("completed", b"null", b"")

    @pytest.mark.parametrize("kind", ["run.renamed", "run.redacted", "step.dreamt", "saga.compensation.odd", "kv.set"])
    def test_an_unknown_event_changes_nothing(self, kind: str) -> None:
        before = folded(("run.created", {}), STARTED)
        after = folded(("run.created", {}), STARTED, (kind, {"newStatus": "failed", "output": 1}))
        assert (after.status, after.attempt, after.steps) == (before.status, before.attempt, before.steps)


class TestSteps:
    def test_it_appears_when_it_starts(self) -> None:
        assert step(STARTED) == StepThen(
            step_id=STEP, name="charge", type="invoke", status="running", started_at=EARLIER
        )

    @pytest.mark.parametrize(
        ("kind", "status"),
        [("sleep", "sleeping"), ("wait_for_event", "waiting"), ("invoke_function", "waiting"), ("dance", "running")],
    )
    def test_its_status_follows_its_type(self, kind: str, status: str) -> None:
        found = step(("step.started", {"stepName": "n", "stepType": kind}))
        assert (found.type, found.status) == (kind, status)

    def test_it_completes(self) -> None:
        found = step(STARTED, COMPLETED)
        assert (found.status, found.output, found.error) == ("completed", b'{"ok":true}', b"")
        assert (found.completed_at, found.duration_ms) == (LATER, 7)

    def test_it_fails_and_begins_again(self) -> None:
        failed = step(STARTED, FAILED)
        assert (failed.status, failed.error, failed.completed_at) == ("failed", b'{"message":"no"}', LATER)
        again = step(STARTED, FAILED, ("step.started", {**STARTED[1], "startedAt": AT, "attempt": 2}))
        assert (again.status, again.error, again.completed_at, again.duration_ms) == ("running", b"", "", 0)
        assert again.started_at == AT
        done = step(STARTED, FAILED, COMPLETED)
        assert (done.status, done.error) == ("completed", b"")

    def test_times_that_are_not_given_are_the_events(self) -> None:
        found = step(("step.started", {"stepName": "charge"}), ("step.completed", {"output": 1}))
        assert (found.started_at, found.completed_at) == (AT, "2026-01-02T03:04:05.000000001Z")
        failed = step(("step.started", {}), ("step.failed", {}))
        assert (failed.completed_at, failed.error) == ("2026-01-02T03:04:05.000000001Z", b"")

    @pytest.mark.parametrize("end", [COMPLETED, FAILED, PATCHED, INJECTED])
    def test_an_end_without_a_beginning_makes_it_appear(self, end: tuple[str, dict[str, Any]]) -> None:
        found = step(end)
        assert (found.name, found.type, found.started_at) == ("charge", "invoke", "")

    def test_a_name_with_colons_is_read_from_the_id(self) -> None:
        (found,) = folded(COMPLETED, step_id="run_1:cool\\:off:0").steps.values()
        assert found.name == "cool:off"

    def test_sequence_is_the_order_of_appearance(self) -> None:
        begins = [("step.started", f"run_1:{name}:0", NOW, b'{"stepName":"%s"}' % name.encode()) for name in "bab"]
        fold = Fold().feed(tell(begins))
        assert [(one.name, one.sequence) for one in fold.steps.values()] == [("b", 0), ("a", 1)]


class TestCorrections:
    def test_a_patch(self) -> None:
        found = step(STARTED, COMPLETED, PATCHED)
        assert (found.status, found.output, found.original_output) == ("completed", b"2", b'{"ok":true}')
        assert (found.patched, found.injected) == (True, False)

    def test_an_injection(self) -> None:
        found = step(STARTED, FAILED, INJECTED)
        assert (found.status, found.output, found.original_output) == ("completed", b"null", b"[0]")
        assert (found.patched, found.injected) == (False, True)

    def test_the_first_original_is_kept(self) -> None:
        found = step(STARTED, COMPLETED, PATCHED, INJECTED)
        assert (found.output, found.original_output) == (b"null", b'{"ok":true}')
        assert (found.patched, found.injected) == (True, True)
        assert step(STARTED, COMPLETED, INJECTED, PATCHED).original_output == b"[0]"

    @pytest.mark.parametrize("correction", [PATCHED, INJECTED])
    def test_a_corrected_step_has_not_failed(self, correction: tuple[str, dict[str, Any]]) -> None:
        found = step(STARTED, FAILED, correction)
        assert (found.status, found.error, found.completed_at) == ("completed", b"", LATER)

    def test_a_step_that_had_no_output_has_no_original_one(self) -> None:
        found = step(STARTED, FAILED, ("step.patched", {"patchedOutput": 2}), INJECTED)
        assert (found.output, found.original_output) == (b"null", b"")

    def test_what_is_discarded_is_as_if_it_had_not_begun(self) -> None:
        pending = StepThen(step_id=STEP, name="charge", type="sleep", status="pending")
        slept = ("step.started", {"stepName": "charge", "stepType": "sleep"})
        assert step(slept, COMPLETED, PATCHED, INJECTED, DISCARDED) == pending
        again = step(slept, COMPLETED, PATCHED, DISCARDED, STARTED, COMPLETED)
        assert (again.output, again.original_output, again.patched) == (b'{"ok":true}', b"", False)

    def test_a_discarded_step_keeps_its_place(self) -> None:
        both = [(kind, f"run_1:{name}:0", NOW, b"{}") for name in "ab" for kind in ("step.started", "step.completed")]
        fold = Fold().feed(tell([*both, ("step.discarded", "run_1:a:0", NOW, b"{}")]))
        assert [(one.name, one.sequence, one.status) for one in fold.steps.values()] == [
            ("a", 0, "pending"),
            ("b", 1, "completed"),
        ]

    def test_a_new_beginning_forgets_no_original(self) -> None:
        found = step(STARTED, COMPLETED, PATCHED, STARTED)
        assert (found.output, found.original_output, found.patched) == (b"", b'{"ok":true}', True)


class TestWaitsAndCompensations:
    def test_a_wait_that_timed_out(self) -> None:
        found = step(STARTED, ("step.failed", {"error": {"message": "late"}, "rowStatus": "timed_out"}))
        assert (found.status, found.error) == ("timed_out", b'{"message":"late"}')

    def test_a_compensation_completes(self) -> None:
        begun = ("saga.compensation.started", {"compensationTargetStep": "charge", "stepName": "compensate:charge"})
        running = undo(begun)
        assert (running.name, running.type, running.status) == ("compensate:charge", "compensate", "running")
        done = undo(begun, ("saga.compensation.completed", {"result": None, "durationMs": 4, "endedAt": LATER}))
        assert (done.status, done.output, done.duration_ms, done.completed_at) == ("completed", b"null", 4, LATER)

    def test_a_compensation_fails(self) -> None:
        found = undo(("saga.compensation.failed", {"error": {"message": "no"}, "attempt": 1}))
        assert (found.status, found.error) == ("failed", b'{"message":"no"}')

    @pytest.mark.parametrize("end", ["completed", "failed"])
    def test_one_told_of_only_by_its_end_is_a_compensation_all_the_same(self, end: str) -> None:
        found = undo((f"saga.compensation.{end}", {}))
        assert (found.name, found.type) == ("compensate:charge", "compensate")


def undo(*events: tuple[str, dict[str, Any]]) -> StepThen:
    moments = [(kind, UNDO, NOW, msgspec.json.encode(payload)) for kind, payload in events]
    (found,) = Fold().feed(tell(moments)).steps.values()
    return found


def test_the_answer_is_the_protocols_message() -> None:
    fold = folded(("run.created", {"input": {"n": 2**53 + 1}}), STARTED, COMPLETED, PATCHED)
    sent = codec.encode(StateAnswer(snapshot=RunThen(status=fold.status, steps=tuple(fold.steps.values()))))
    (read,) = codec.decode(sent, GetRunStateAtResponse).snapshot.steps
    assert (read.step_id, read.name, read.type, read.sequence) == (STEP, "charge", "invoke", 0)
    assert (read.output, read.original_output, read.error) == (b"2", b'{"ok":true}', b"")
    assert (str(read.started_at), str(read.completed_at)) == (EARLIER, LATER)
    assert (read.duration_ms, read.patched, read.injected) == (7, True, False)
    unset = codec.encode(StepThen(step_id=STEP))
    assert unset == b'{"stepId":"run_1:charge:0"}'
