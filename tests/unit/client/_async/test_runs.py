"""Reading, listing, cancelling and waiting for runs."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.client._seam import AnswerTooLargeError
from ironflow_lab.client.payloads import json_value
from ironflow_lab.errors import (
    AbortedError,
    DefinitionError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    UnimplementedError,
)
from ironflow_lab.models.instant import Instant, parse_instant

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript


async def test_get_settles_the_payload_pairs(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(
        {
            "id": "run_1",
            "status": "RUN_STATUS_FAILED",
            "input": {"a": 1},
            "outputValue": None,
            "error": {"message": "boom", "retryAfterMs": "1500"},
            "createdAt": "2026-01-02T03:04:05.000000001Z",
            "somethingNew": 1,
        }
    )
    run = await client.runs.get("run_1")
    assert (run.status, run.input, run.output, run.attempt) == ("failed", {"a": 1}, None, 0)
    assert run.error is not None
    assert (run.error.message, run.error.retry_after_ms) == ("boom", 1500)
    assert run.created_at == parse_instant("2026-01-02T03:04:05Z") + 1
    assert script.request.path == "/ironflow.v1.IronflowService/GetRun"


async def test_an_unknown_run(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "not_found", "message": "no run run_9"}, status=404)
    with pytest.raises(NotFoundError, match="run_9"):
        await client.runs.get("run_9")


async def test_list_sends_every_filter(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"runs": [{"id": "run_1"}], "totalCount": 1})
    page = await client.runs.list(
        function_id="f",
        status="failed",
        since="2h",
        until=datetime(2026, 1, 2, 3, tzinfo=UTC),
        event_id="evt_1",
        search="x",
        limit=10,
        offset=20,
    )
    assert (page.runs[0].id, page.next_cursor, page.total_count) == ("run_1", "", 1)
    assert script.sent == {
        "functionId": "f",
        "status": "RUN_STATUS_FAILED",
        "since": "2026-01-02T01:04:05Z",
        "until": "2026-01-02T03:00:00Z",
        "eventId": "evt_1",
        "search": "x",
        "limit": 10,
        "offset": 20,
    }


async def test_list_without_filters_sends_nothing(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({})
    assert (await client.runs.list()).runs == ()
    assert script.sent == {}


async def test_several_statuses_in_either_spelling(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({})
    await client.runs.list(statuses=["failed", "RUN_STATUS_CANCELLED"])
    assert script.sent == {"statuses": ["RUN_STATUS_FAILED", "RUN_STATUS_CANCELLED"]}


@pytest.mark.parametrize(
    ("since", "sent"),
    [
        (timedelta(minutes=5), "2026-01-02T02:59:05Z"),
        ("1h30m", "2026-01-02T01:34:05Z"),
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01 00:00:00.5Z", "2026-01-01T00:00:00.500Z"),
        (Instant(1), "1970-01-01T00:00:00.000000001Z"),
    ],
)
async def test_the_ways_to_say_when(client: AsyncClient, script: AsyncScript, since: Any, sent: str) -> None:
    script.answer({})
    await client.runs.list(since=since)
    assert script.sent == {"since": sent}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"status": "complete"}, "completed"),
        ({"statuses": ["failed", "dead"]}, "'dead' is not one of"),
        ({"status": "failed", "statuses": ["failed"]}, "not both"),
        ({"since": "1h", "until": "2h"}, "after until"),
        ({"cursor": "c", "offset": 3}, "not both"),
    ],
)
async def test_wrong_filters_are_not_sent(client: AsyncClient, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        await client.runs.list(**wrong)


@pytest.mark.parametrize(
    "since", ["yesterday", "", 5, "2026-01-01", "2026-01-01T00:00:00", datetime.fromisoformat("2026-01-01"), "999999d"]
)
async def test_wrong_times_are_not_sent(client: AsyncClient, since: Any) -> None:
    with pytest.raises(DefinitionError):
        await client.runs.list(since=since)


async def test_iterate_follows_the_cursor(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"runs": [{"id": "run_3"}, {"id": "run_2"}], "nextCursor": "after-2"})
    script.answer({"runs": [], "nextCursor": "after-2b"})
    script.answer({"runs": [{"id": "run_1"}]})
    found = [run.id async for run in client.runs.iterate(status="failed", page_size=2)]
    assert found == ["run_3", "run_2", "run_1"]
    asked = {"status": "RUN_STATUS_FAILED", "limit": 2}
    assert script.all_sent == [
        asked,
        {**asked, "cursor": "after-2"},
        {**asked, "cursor": "after-2b"},
    ]


def test_iterate_checks_its_filters_before_the_first_step(client: AsyncClient) -> None:
    with pytest.raises(InvalidArgumentError):
        client.runs.iterate(status="nope")
    with pytest.raises(InvalidArgumentError, match="page_size"):
        client.runs.row_pages(page_size=0)


async def test_a_server_that_repeats_its_cursor_does_not_loop_forever(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"runs": [{"id": "run_1"}], "nextCursor": "c"})
    script.answer({"runs": [{"id": "run_1"}], "nextCursor": "c"})
    with pytest.raises(InternalError, match="twice"):
        _ = [run async for run in client.runs.iterate()]


async def test_rows_keep_payloads_and_times_as_text(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(
        b'{"runs":[{"id":"run_1","input":{"a":1},"outputValue":[1],"status":"RUN_STATUS_COMPLETED",'
        b'"createdAt":"2026-01-02T03:04:05Z"}],"nextCursor":"n"}'
    )
    script.answer({"runs": [{"id": "run_0"}]})
    first, second = [page async for page in client.runs.row_pages(function_id="f")]
    row = first.runs[0]
    assert (bytes(row.input), bytes(row.output_value), bytes(row.output)) == (b'{"a":1}', b"[1]", b"")
    assert (row.status, row.created_at) == ("RUN_STATUS_COMPLETED", "2026-01-02T03:04:05Z")
    assert second.runs[0].id == "run_0"
    asked = {"functionId": "f", "limit": 500}
    assert script.all_sent == [asked, {**asked, "cursor": "n"}]


async def test_pages_too_large_are_asked_for_again_in_halves(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(AnswerTooLargeError("big"))
    script.answer({"runs": [{"id": "run_2"}], "nextCursor": "c"})
    script.fail(AnswerTooLargeError("big"))
    script.answer({"runs": [{"id": "run_1"}]})
    found = [run.id async for run in client.runs.iterate(page_size=5)]
    assert found == ["run_2", "run_1"]
    assert [sent["limit"] for sent in script.all_sent] == [5, 2, 2, 1]


async def test_one_run_too_large_is_an_error(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(AnswerTooLargeError("big"))
    with pytest.raises(AnswerTooLargeError):
        _ = [run async for run in client.runs.iterate(page_size=1)]


async def test_steps(client: AsyncClient, script: AsyncScript) -> None:
    steps = [{"id": "s", "stepId": "run_1:a:0", "stepType": "STEP_TYPE_SLEEP", "outputValue": 3}]
    script.answer({"steps": steps})
    script.answer({"steps": steps})
    (step,) = await client.runs.steps("run_1")
    (row,) = await client.runs.step_rows("run_1")
    assert (step.step_type, step.output) == ("sleep", 3)
    assert (row.step_type, bytes(row.output_value)) == ("STEP_TYPE_SLEEP", b"3")
    assert script.all_sent == [{"runId": "run_1"}, {"runId": "run_1"}]


async def test_cancel(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"id": "run_1", "status": "RUN_STATUS_CANCELLED"})
    assert (await client.runs.cancel("run_1", reason="tired")).status == "cancelled"
    assert script.sent == {"id": "run_1", "reason": "tired"}


async def test_cancel_of_an_ended_run(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "failed_precondition", "message": "run_1 has ended"}, status=400)
    with pytest.raises(FailedPreconditionError, match="has ended"):
        await client.runs.cancel("run_1")


async def test_wait(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"ended": ["run_1"], "unknown": ["run_9"]})
    answer = await client.runs.wait(["run_1", "run_9"], timeout=2.5)
    assert (answer.ended, answer.unknown) == (("run_1",), ("run_9",))
    assert script.sent == {"run_ids": ["run_1", "run_9"], "timeout_ms": 2500}
    assert (script.request.path, script.request.wait) == ("/lab/v1/runs/wait", 2.5)


async def test_waiting_for_no_run_asks_nobody(client: AsyncClient, script: AsyncScript) -> None:
    assert (await client.runs.wait([], timeout="1s")).ended == ()
    assert script.requests == []


@pytest.mark.parametrize("run_id", ["", "  ", None, 7, "..", "\ud800"])
async def test_wrong_ids_are_not_sent(client: AsyncClient, run_id: Any) -> None:
    runs = client.runs
    for call in (runs.get, runs.steps, runs.cancel, runs.pause, runs.paused_state, runs.resume, runs.retry):
        with pytest.raises(InvalidArgumentError):
            await call(run_id)
    for erase in (runs.delete, runs.redact, runs.redact_step, runs.why):
        with pytest.raises(InvalidArgumentError):
            await erase(run_id)
    for run, step in ((run_id, "s"), ("run_1", run_id)):
        with pytest.raises(InvalidArgumentError):
            await runs.inject(run, step, 1)
    with pytest.raises(InvalidArgumentError):
        await runs.patch(run_id, 1)


async def test_pause_says_whether_the_run_stands(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"status": "pause_requested"})
    assert (await client.runs.pause("run_1")).status == "pause_requested"
    assert script.request.path == "/ironflow.v1.IronflowService/PauseRun"
    assert script.sent == {"runId": "run_1"}


async def test_the_paused_state_keeps_payloads_as_text(client: AsyncClient, script: AsyncScript) -> None:
    step = {"id": "run_1:a:0", "name": "a", "output": "WzFd", "injected": True, "status": "completed"}
    script.answer({"steps": [step, {"error": "e30="}], "nextStepHint": "b", "pauseReason": "injection"})
    state = await client.runs.paused_state("run_1")
    assert (state.next_step_hint, state.pause_reason) == ("b", "injection")
    assert [json_value(one.output) for one in state.steps] == [[1], None]
    assert json_value(state.steps[1].error) == {}
    assert script.request.repeatable, "a read is sent again"


@pytest.mark.parametrize(
    ("output", "text"), [({"a": 1}, b'{"a":1}'), (None, b"null"), ("\u00fc", b'"\xc3\xbc"'), (0, b"0")]
)
async def test_an_injected_output_travels_as_json_text_in_base64(
    client: AsyncClient, script: AsyncScript, output: Any, text: bytes
) -> None:
    script.answer({"stepId": "run_1:a:0", "previousOutput": "Mg=="})
    found = await client.runs.inject("run_1", "step_1", output, reason="why")
    assert json_value(found.previous_output) == 2
    assert b64decode(script.sent["newOutput"]) == text
    assert (script.sent["runId"], script.sent["stepId"], script.sent["reason"]) == ("run_1", "step_1", "why")


@pytest.mark.parametrize(
    ("output", "pair"),
    [
        ({"a": 1}, {"output": {"a": 1}}),
        ([1], {"outputValue": [1]}),
        (None, {"outputValue": None}),
        ("", {"outputValue": ""}),
    ],
)
async def test_a_patch_sends_every_value_null_included(
    client: AsyncClient, script: AsyncScript, output: Any, pair: dict[str, Any]
) -> None:
    script.answer({"id": "step_1", "outputValue": 3, "originalOutput": {"n": 1}, "patchedBy": "ann"})
    step = await client.runs.patch("step_1", output, reason="why")
    assert script.sent == {"stepId": "step_1", "reason": "why", **pair}
    assert (step.output, step.original_output, step.patched_by) == (3, {"n": 1}, "ann")


async def test_what_is_no_json_is_not_sent(client: AsyncClient) -> None:
    for wrong in (object(), float("nan"), "\ud800"):
        with pytest.raises(InvalidArgumentError, match="output"):
            await client.runs.inject("run_1", "s", wrong)
        with pytest.raises(InvalidArgumentError, match="output"):
            await client.runs.patch("s", wrong)


async def test_resume_where_it_stands_and_from_a_step(client: AsyncClient, script: AsyncScript) -> None:
    for _ in range(2):
        script.answer({"id": "run_1", "status": "RUN_STATUS_WAITING_FOR_CAPACITY"})
    assert (await client.runs.resume("run_1")).status == "waiting_for_capacity"
    await client.runs.resume("run_1", from_step="charge")
    assert script.all_sent == [{"runId": "run_1"}, {"runId": "run_1", "fromStep": "charge"}]


async def test_a_retry_from_the_beginning_resumes_from_the_first_step(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"id": "run_1"})
    await client.runs.retry("run_1")
    script.answer({"steps": [{"id": "s1", "stepId": "run_1:a:0"}, {"id": "s2", "stepId": "run_1:b:0"}]})
    script.answer({"id": "run_1"})
    await client.runs.retry("run_1", from_beginning=True)
    script.answer({})
    script.answer({"id": "run_1"})
    await client.runs.retry("run_1", from_beginning=True)
    resumed = [sent for sent, one in zip(script.all_sent, script.requests, strict=True) if "Resume" in one.path]
    assert resumed == [{"runId": "run_1"}, {"runId": "run_1", "fromStep": "run_1:a:0"}, {"runId": "run_1"}]


async def test_what_changes_a_run_is_sent_once(client: AsyncClient, script: AsyncScript) -> None:
    runs = client.runs
    for call in (
        lambda: runs.pause("run_1"),
        lambda: runs.inject("run_1", "s", 1),
        lambda: runs.patch("s", 1),
        lambda: runs.resume("run_1"),
        lambda: runs.cancel("run_1"),
        lambda: runs.delete("run_1"),
        lambda: runs.delete_many(status="failed"),
        lambda: runs.redact("run_1"),
        lambda: runs.redact_step("s"),
    ):
        script.fail(UnavailableError("gone", retryable=True))
        before = len(script.requests)
        with pytest.raises(UnavailableError):
            await call()
        assert len(script.requests) == before + 1


async def test_a_lost_race_says_what_became_of_the_injection(client: AsyncClient, script: AsyncScript) -> None:
    body = {"code": "aborted", "message": "the run moved"}
    script.answer(body, status=409, ironflow_error_reason="injection_unverified")
    with pytest.raises(AbortedError) as lost:
        await client.runs.inject("run_1", "s", 1)
    assert lost.value.reason == "injection_unverified"
    script.answer(body, status=409)
    with pytest.raises(AbortedError) as lost:
        await client.runs.inject("run_1", "s", 1)
    assert lost.value.reason == ""


async def test_delete_and_redact_by_their_own_fields(client: AsyncClient, script: AsyncScript) -> None:
    for _ in range(3):
        script.answer({})
    await client.runs.delete("run_1")
    await client.runs.redact("run_1")
    await client.runs.redact_step("step_1")
    assert script.all_sent == [{"id": "run_1"}, {"runId": "run_1"}, {"stepId": "step_1"}]
    assert [one.path.rpartition("/")[2] for one in script.requests] == ["DeleteRun", "RedactRun", "RedactStep"]


async def test_delete_many_counts(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"deleted": "10000"})
    assert await client.runs.delete_many(function_id="f", status="failed", until="2h") == 10_000
    assert script.sent == {"functionId": "f", "status": "RUN_STATUS_FAILED", "until": "2026-01-02T01:04:05Z"}


@pytest.mark.parametrize("filters", [{}, {"status": "running"}, {"status": "pending"}, {"status": "bogus"}])
async def test_delete_many_is_refused_before_it_is_sent(client: AsyncClient, filters: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError):
        await client.runs.delete_many(**filters)


async def test_why(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(
        {"run_id": "run_1", "status": "waiting", "reason": "event", "event": "paid", "due_at": "2026-01-02T03:04:05Z"}
    )
    why = await client.runs.why("run_1")
    assert (why.reason, why.event, why.due_at) == ("event", "paid", parse_instant("2026-01-02T03:04:05Z"))
    assert (script.request.method, script.request.path) == ("GET", "/lab/v1/runs/run_1/why")


async def test_why_of_an_unknown_run_and_on_a_server_without_it(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "not_found", "message": "no run 'run_1' in this environment"}, status=404)
    with pytest.raises(NotFoundError, match="no run 'run_1'"):
        await client.runs.why("run_1")
    for body in (b"<html>", b'{"code":"not_found","message":"no route GET /lab/v1/runs/run_1/why here"}'):
        script.answer(body, status=404)
        with pytest.raises(UnimplementedError, match="does not say why"):
            await client.runs.why("run_1")


async def test_the_state_at_an_instant_keeps_payloads_as_text(client: AsyncClient, script: AsyncScript) -> None:
    step = {"stepId": "run_1:a:0", "name": "a", "status": "completed", "output": "WzFd", "patched": True}
    snapshot = {"runId": "run_1", "status": "running", "input": "eyJuIjogMX0=", "steps": [step]}
    script.answer({"snapshot": {**snapshot, "timestamp": "2026-01-02T01:04:05Z"}})
    found = await client.runs.state_at("run_1", "2h")
    assert script.request.path == "/ironflow.v1.TimeTravelService/GetRunStateAt"
    assert script.sent == {"runId": "run_1", "timestamp": "2026-01-02T01:04:05Z"}
    assert (found.status, found.input, found.timestamp) == (
        "running",
        b'{"n": 1}',
        parse_instant("2026-01-02T01:04:05Z"),
    )
    assert (found.steps[0].output, found.steps[0].patched, found.steps[0].injected) == (b"[1]", True, False)


async def test_the_timeline(client: AsyncClient, script: AsyncScript) -> None:
    moment = {"id": "aud_1", "eventType": "run.created", "summary": "Run created", "significant": True}
    script.answer({"events": [moment]})
    (found,) = await client.runs.timeline("run_1")
    assert (found.summary, found.significant, found.step_id) == ("Run created", True, "")
    assert script.request.path == "/ironflow.v1.TimeTravelService/GetRunTimeline"
    assert script.sent == {"runId": "run_1"}


async def test_a_step_s_output_at_an_instant(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(
        {
            "stepId": "run_1:a:0",
            "status": "completed",
            "output": "Mg==",
            "originalOutput": "MQ==",
            "injected": True,
            "patched": True,
        }
    )
    found = await client.runs.step_output_at("run_1", "run_1:a:0", datetime(2026, 1, 2, tzinfo=UTC))
    assert (found.output, found.original_output, found.patched, found.injected) == (b"2", b"1", True, True)
    assert script.request.path == "/ironflow.v1.TimeTravelService/GetStepOutputAt"
    assert script.sent == {"runId": "run_1", "stepId": "run_1:a:0", "timestamp": "2026-01-02T00:00:00Z"}


async def test_an_unrecorded_run_has_no_past(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "failed_precondition", "message": "register it with recording on"}, status=400)
    with pytest.raises(FailedPreconditionError, match="recording on"):
        await client.runs.state_at("run_1", "1h")


@pytest.mark.parametrize("when", [None, Instant(0), "", "soon", 3])
async def test_an_instant_has_to_be_given(client: AsyncClient, when: Any) -> None:
    with pytest.raises(DefinitionError, match="timestamp"):
        await client.runs.state_at("run_1", when)


async def test_a_step_has_to_be_named(client: AsyncClient) -> None:
    with pytest.raises(InvalidArgumentError, match="step id"):
        await client.runs.step_output_at("run_1", "", "1h")
