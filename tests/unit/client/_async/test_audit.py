"""Reading what was recorded: one run's trail, a search across runs, and following a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.client._seam import AnswerTooLargeError
from ironflow_lab.errors import DefinitionError, InternalError, InvalidArgumentError
from ironflow_lab.models.instant import parse_instant

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript


async def test_a_page_of_a_run_s_events(client: AsyncClient, script: AsyncScript) -> None:
    event = {
        "id": "aud_1", "runId": "run_1", "eventType": "step.completed", "payload": {"output": [1]},
        "stepId": "run_1:a:0", "createdAt": "2026-01-02T03:04:05.000000001Z", "metadataValue": 3, "new": 1,
    }  # fmt: skip
    script.answer({"events": [event], "totalCount": 7, "nextCursor": "c"})
    page = await client.audit.list(
        "run_1",
        event_type="step.completed",
        since="2h",
        until=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        limit=1,
        cursor="b",
    )
    assert script.request.path == "/ironflow.v1.AuditService/GetAuditTrail"
    assert script.request.repeatable
    assert script.sent == {
        "runId": "run_1",
        "eventType": "step.completed",
        "fromTimestamp": "2026-01-02T01:04:05Z",
        "toTimestamp": "2026-01-02T03:04:00Z",
        "limit": 1,
        "cursor": "b",
    }
    (found,) = page.events
    assert (page.total_count, page.next_cursor) == (7, "c")
    assert (found.event_type, found.payload, found.step_id) == ("step.completed", {"output": [1]}, "run_1:a:0")
    assert found.created_at == parse_instant("2026-01-02T03:04:05Z") + 1


async def test_what_is_not_asked_is_not_sent(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({})
    assert (await client.audit.list("run_1")).events == ()
    assert script.sent == {"runId": "run_1"}


async def test_values_that_are_no_objects_arrive_too(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"events": [{"id": "aud_1", "payloadValue": "text"}]})
    assert (await client.audit.list("run_1")).events[0].payload == "text"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"run_id": ""}, InvalidArgumentError),
        ({"run_id": "r", "limit": -1}, InvalidArgumentError),
        ({"run_id": "r", "since": "1h", "until": "2h"}, InvalidArgumentError),
        ({"run_id": "r", "since": "yesterday"}, DefinitionError),
        ({"run_id": "r", "until": datetime.fromisoformat("2026-01-01")}, DefinitionError),
    ],
)
async def test_wrong_questions_are_not_sent(
    client: AsyncClient, script: AsyncScript, wrong: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await client.audit.list(**wrong)
    assert script.requests == []


async def test_iterate_follows_the_cursor_and_halves_pages_too_large(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(AnswerTooLargeError("big"))
    script.answer({"events": [{"id": "aud_1"}, {"id": "aud_2"}], "nextCursor": "2"})
    script.answer({"events": [{"id": "aud_3"}]})
    found = [event.id async for event in client.audit.iterate("run_1", event_type="run.created", page_size=4)]
    assert found == ["aud_1", "aud_2", "aud_3"]
    asked = {"runId": "run_1", "eventType": "run.created"}
    assert script.all_sent == [{**asked, "limit": 4}, {**asked, "limit": 2}, {**asked, "limit": 2, "cursor": "2"}]


async def test_a_server_that_repeats_its_cursor_does_not_loop_forever(client: AsyncClient, script: AsyncScript) -> None:
    for _ in range(2):
        script.answer({"events": [{"id": "aud_1"}], "nextCursor": "c"})
    with pytest.raises(InternalError, match="twice"):
        _ = [event async for event in client.audit.iterate("run_1")]


def test_iterate_checks_before_the_first_step(client: AsyncClient) -> None:
    with pytest.raises(InvalidArgumentError, match="run id"):
        client.audit.iterate(" ")
    with pytest.raises(InvalidArgumentError, match="page_size"):
        client.audit.search_iterate(page_size=0)


async def test_a_search_across_runs(client: AsyncClient, script: AsyncScript) -> None:
    row = {"id": "aud_9", "run_id": "run_1", "event_type": "run.created", "payload": {"runId": "run_1"}}
    script.answer({"events": [row], "next_cursor": "n", "retention_days": 30, "total_count": 12})
    found = await client.audit.search(
        run_id="run_1", function_id="f", event_type="run.created", since="1h", until="30m", limit=5, cursor="c"
    )
    assert (script.request.method, script.request.path) == ("GET", "/api/v1/audit")
    assert dict(script.request.query) == {
        "run_id": "run_1",
        "function_id": "f",
        "event_type": "run.created",
        "from": "2026-01-02T02:04:05Z",
        "to": "2026-01-02T02:34:05Z",
        "limit": "5",
        "cursor": "c",
    }
    assert (found.events[0].run_id, found.next_cursor, found.retention_days, found.total_count) == (
        "run_1",
        "n",
        30,
        12,
    )


async def test_a_search_goes_through_the_pages(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"events": [{"id": "aud_2"}], "next_cursor": "n"})
    script.fail(AnswerTooLargeError("big"))
    script.answer({"events": [{"id": "aud_1"}]})
    assert [row.id async for row in client.audit.search_iterate(since="1h", page_size=2)] == ["aud_2", "aud_1"]
    asked = {"from": "2026-01-02T02:04:05Z"}
    assert [dict(request.query) for request in script.requests] == [
        {**asked, "limit": "2"},
        {**asked, "limit": "2", "cursor": "n"},
        {**asked, "limit": "1", "cursor": "n"},
    ]


@pytest.mark.parametrize(("wait", "query", "held"), [("0s", None, 0.0), ("1.2s", "2", 2.0), (25, "25", 25.0)])
async def test_following_a_run(
    client: AsyncClient, script: AsyncScript, wait: Any, query: str | None, held: float
) -> None:
    script.answer({"events": [{"id": "aud_3", "payload": {}}], "nextCursor": "3", "ended": True})
    found = await client.audit.follow("run/1", cursor="2", limit=10, wait=wait)
    assert (found.events[0].id, found.next_cursor, found.ended) == ("aud_3", "3", True)
    assert script.request.path == "/lab/v1/runs/run%2F1/audit"
    assert dict(script.request.query) == {"cursor": "2", "limit": "10"} | ({"wait": query} if query else {})
    assert (script.request.wait, script.request.repeatable) == (held, True)


@pytest.mark.parametrize("wait", ["26s", -1, "soon"])
async def test_a_wait_no_server_holds_is_not_sent(client: AsyncClient, wait: Any) -> None:
    with pytest.raises(DefinitionError):
        await client.audit.follow("run_1", wait=wait)
