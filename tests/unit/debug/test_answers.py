"""What a recording answers: each status of a step, what differs, and where the recording ends."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from ironflow_lab.debug.answers import Recorded, answer_of, differs, fresh, hidden
from ironflow_lab.debug.calls import Call, Fail, Give, Kind, Stop
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, RunStatus, Step, StepStatus, StepType
from ironflow_lab.runtime.function import function
from tests.unit.debug.lives import recorded
from tests.unit.debug.replays import boom, made, replay, step

SECOND = 10**9


def call(label: str, kind: Kind = "run", wanted: Any = UNSET) -> Call:
    name, _, number = label.partition(":")
    return Call(step_id=f"run_1:{name}:{number or 0}", label=label, name=name, kind=kind, wanted=wanted, order=1)


def typed(kind: str, **fields: Any) -> Step:
    return step(0, "a:0", fields.pop("output", None), step_type=StepType(kind), **fields)


@pytest.mark.parametrize("status", ["failed", "dead", "timed_out", "retrying"])
def test_a_step_that_failed_fails(status: str) -> None:
    error = Error(message="no", code="X")
    answer = answer_of(step(0, "a:0", status=StepStatus(status), error=error), call("a"))
    assert isinstance(answer, Fail)
    assert answer.error == error


@pytest.mark.parametrize("status", ["running", "sleeping", "waiting"])
def test_a_step_that_has_not_ended_is_where_the_run_stands(status: str) -> None:
    answer = answer_of(step(0, "a:0", status=StepStatus(status)), call("a"))
    assert isinstance(answer, Stop)
    assert (answer.status, answer.reason) == ("waiting", f"the run stands in step 'a' ({status})")


def test_a_discarded_step_was_not_recorded() -> None:
    recording = made(step(0, "a:0", status=StepStatus("pending")), status=RunStatus("running"), ended_at=Instant(0))
    answer = Recorded(recording).answer(call("a"))
    assert isinstance(answer, Stop)
    assert answer.reason == "the recording ends here: the run goes on with step 'a'"


def test_a_child_that_failed_names_its_run() -> None:
    row = typed("invoke_function", status=StepStatus("failed"), error=Error(message="no"), child_run_id="run_2")
    answer = answer_of(row, call("a", "invoke"))
    assert isinstance(answer, Fail)
    assert answer.error.details == {"child_run_id": "run_2"}


@pytest.mark.parametrize("emit", [True, False])
def test_a_wait_that_timed_out_ends_the_replay_as_it_ended_the_run(emit: bool) -> None:
    @function
    async def waits(ctx: Any) -> Any:
        try:
            return (await ctx.step.wait_for_event("w", "a.b", timeout="1h")).data
        except Exception:  # noqa: BLE001 - a server does not tell the code
            return "caught"

    recording = recorded(waits, {}, emit=[("a.b", {"n": 1})] if emit else [])
    found = replay(recording, waits)
    assert (found.status, found.same) == ("completed" if emit else "failed", True)


@pytest.mark.parametrize(
    ("row", "kind", "wanted", "words"),
    [
        (typed("sleep"), "run", UNSET, "step 'a' is a run now and was recorded as sleep"),
        (typed("invoke"), "sleep", {}, "step 'a' is a sleep now and was recorded as invoke"),
        (typed("invoke"), "publish", {}, ""),
        (typed("invoke_function"), "invoke_async", {}, ""),
        (
            typed("wait_for_event", wait_event_name="a.b"),
            "wait_for_event",
            {"event": "a.c"},
            "step 'a' waits for 'a.c' and was recorded for 'a.b'",
        ),
        (typed("wait_for_event", wait_event_name="a.b"), "wait_for_event", {"event": "a.b"}, ""),
        (
            typed("sleep", started_at=Instant(SECOND), sleep_until=Instant(6 * SECOND)),
            "sleep",
            {"seconds": 10.0},
            "step 'a' sleeps 10 s and was recorded with 5 s",
        ),
        (typed("sleep", started_at=Instant(SECOND), sleep_until=Instant(6 * SECOND)), "sleep", {"seconds": 5.5}, ""),
        (
            typed("sleep", started_at=Instant(SECOND), sleep_until=Instant(60 * SECOND)),
            "sleep",
            {"seconds": 1.0, "until": "1970-01-01T00:01:00Z"},
            "",
        ),
        (
            typed("invoke_function", input={"n": 1}),
            "invoke",
            {"input": {"n": 2}},
            'step \'a\' is given {"n":2} and was recorded with {"n":1}',
        ),
        (typed("invoke_function", input={"n": 1.0}), "invoke", {"input": {"n": 1}}, ""),
        (typed("invoke_function", input={"$redacted": True}), "invoke", {"input": {"n": 2}}, ""),
    ],
)
def test_what_is_asked_otherwise_than_recorded_is_told(row: Step, kind: Kind, wanted: Any, words: str) -> None:
    assert differs(call("a", kind, wanted), row) == words
    answer = Recorded(made(row)).answer(call("a", kind, wanted))
    assert isinstance(answer, Stop if words else Give)
    if isinstance(answer, Stop):
        assert answer.status == "diverged"
        assert answer.divergence is not None
        assert (answer.divergence.kind, answer.divergence.label) == ("changed", "a")


@pytest.mark.parametrize(
    ("recording", "status", "words"),
    [
        (made(), "diverged", "the recorded run completed without it"),
        (made(status=RunStatus("failed"), error=Error(code="X")), "diverged", "the recorded run failed without it"),
        (made(status=RunStatus("failed"), error=Error(code="TIMEOUT")), "stopped", "was failed before it went on"),
        (made(status=RunStatus("cancelled")), "stopped", "was cancelled before it went on"),
        (made(status=RunStatus("running")), "stopped", "the run goes on with step 'b'"),
        (made(step(0, "a:0"), status=RunStatus("running")), "diverged", "the recording has 'a' next"),
    ],
)
def test_a_call_that_was_not_recorded_stops(recording: Recording, status: str, words: str) -> None:
    answer = Recorded(recording).answer(call("b"))
    assert isinstance(answer, Stop)
    assert answer.status == status
    assert words in answer.reason
    assert (answer.divergence is not None) == (status == "diverged")


def test_what_is_left_is_what_nobody_has_asked_for() -> None:
    answers = Recorded(made(step(1, "b:0"), step(0, "a:0"), step(2, "c:0")))
    assert [one.step_id for one in answers.order] == ["run_1:a:0", "run_1:b:0", "run_1:c:0"]
    answers.answer(call("b"))
    assert [one.step_id for one in answers.left()] == ["run_1:a:0", "run_1:c:0"]


def test_a_patch_after_the_end_is_not_what_the_run_saw() -> None:
    @function
    async def doubles(ctx: Any) -> Any:
        return 2 * await ctx.step.run("a", lambda: 4)

    recording = recorded(doubles)
    after = Instant(recording.run.ended_at + SECOND)
    row = replace(recording.steps[0], output=9, original_output=4, patched_at=after)
    patch = AuditEvent(
        id="patch",
        run_id=recording.run.id,
        step_id=row.step_id,
        event_type="step.patched",
        payload={"stepId": row.step_id, "originalOutput": 4, "patchedOutput": 9},
        created_at=after,
    )
    for known in (
        replace(recording, steps=(row,), events=(*recording.events, patch)),
        replace(recording, steps=(row,), events=()),
    ):
        found = replay(known, doubles)
        assert (found.output, found.same) == (8, True)
        assert found.notes == ("step 'a' was patched after the run had ended: the replay gives what the run saw",)
    before = replace(recording, steps=(replace(row, patched_at=Instant(recording.run.started_at)),))
    assert replay(before, doubles).output == 18


def test_steps_in_another_order_are_noted() -> None:
    @function
    async def swapped(ctx: Any) -> Any:
        await ctx.step.run("b", boom)
        await ctx.step.run("a", boom)

    a = step(0, "a:0", started_at=Instant(1), ended_at=Instant(2))
    b = step(1, "b:0", started_at=Instant(3), ended_at=Instant(4))
    found = replay(made(a, b), swapped)
    assert found.notes == ("the code asks for step 'b' before 'a', and the run had them the other way",)
    together = replace(b, started_at=Instant(1))
    assert replay(made(a, together), swapped).notes == ()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (None, ""),
        ("[redacted]", "$"),
        ({"a": [{"b": "[redacted]"}]}, "$.a[0].b"),
        ({"$redacted": False, "a": "[redacted] not"}, ""),
        ([[{"$redacted": True}]], "$[0][0]"),
    ],
)
def test_hidden_names_the_first_redacted_place(value: Any, path: str) -> None:
    assert hidden(value) == path


@pytest.mark.parametrize("value", [{"a": [1, {"b": None}]}, [2**70, ["x"]], {"s": "\ud800", "l": [[]]}])
def test_a_fresh_value_shares_nothing(value: Any) -> None:
    copy = fresh(value)
    assert copy == value
    assert copy is not value
    inner, outer = (list(one.values())[-1] if isinstance(one, dict) else one[-1] for one in (copy, value))
    assert inner is not outer
