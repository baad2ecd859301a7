"""Reading a run's audit events once each, on servers with and without the route to follow them."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.client._seam import AnswerTooLargeError
from ironflow_lab.client.trail import PAGE, Trail
from ironflow_lab.errors import InternalError
from ironflow_lab.wire.message import Request, Response


class Script:
    """A transport that plays one answer a request and keeps the requests."""

    def __init__(self, *answers: Any) -> None:
        self.answers = deque(answers)
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return Response(status=200, headers={}, body=msgspec.json.encode(answer))

    def lines(self, request: Request) -> Any:
        raise AssertionError("nothing here is read line by line")

    async def aclose(self) -> None:
        """Nothing is open."""

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(request.body or b"{}") | dict(request.query) for request in self.requests]


def page(*ids: str, cursor: str = "", **more: Any) -> dict[str, Any]:
    return {"events": [{"id": one, "runId": "run_1"} for one in ids], "nextCursor": cursor, **more}


def reader(follows: bool, *answers: Any) -> tuple[Trail, AsyncClient, Script]:
    script = Script(*answers)
    return Trail("run_1", follows=follows), AsyncClient("http://127.0.0.1:1", transport=script), script


async def ids(trail: Trail, client: AsyncClient) -> list[str]:
    return [event.id for event in await trail.page(client)]


async def test_where_the_end_has_a_cursor_it_is_gone_on_from() -> None:
    trail, client, script = reader(
        True, page("a", "b", cursor="2"), page(cursor="2"), page("c", cursor="3", ended=True)
    )
    assert (await ids(trail, client), trail.ended) == (["a", "b"], False)
    assert (await ids(trail, client), trail.ended) == ([], False)
    assert (await ids(trail, client), trail.ended) == (["c"], True)
    assert [asked.get("cursor") for asked in script.asked] == [None, "2", "2"]


async def test_a_wait_is_asked_for_where_it_can_be_held() -> None:
    trail, client, script = reader(True, page("a", cursor="1"))
    await trail.page(client, wait="20s")
    assert script.asked == [{"limit": str(PAGE), "wait": "20"}]


async def test_elsewhere_the_last_page_is_read_again_and_only_news_returned() -> None:
    answers = (
        page("a", "b", cursor="2"),
        page("c"),
        page("c"),
        page("c", "d"),
        page("c", "d", "e", cursor="5"),
        page("f"),
    )
    trail, client, script = reader(False, *answers)
    found = [await ids(trail, client) for _ in answers]
    assert found == [["a", "b"], ["c"], [], ["d"], ["e"], ["f"]]
    assert [asked.get("cursor") for asked in script.asked] == [None, "2", "2", "2", "2", "5"]
    assert not trail.ended


async def test_a_page_without_news_is_passed_over() -> None:
    trail, client, _ = reader(False, page("a", cursor="1"), page("a", cursor="2"), page("b"))
    assert [await ids(trail, client) for _ in range(2)] == [["a"], ["b"]]


async def test_a_server_that_repeats_its_cursor_does_not_loop_forever() -> None:
    trail, client, _ = reader(False, page("a", cursor="1"), page(cursor="1"))
    await trail.page(client)
    with pytest.raises(InternalError, match="twice"):
        await trail.page(client)


@pytest.mark.parametrize("follows", [True, False])
async def test_pages_too_large_are_asked_for_again_in_halves(follows: bool) -> None:
    trail, client, script = reader(follows, AnswerTooLargeError("big"), AnswerTooLargeError("big"), page("a"), page())
    assert await ids(trail, client) == ["a"]
    assert await ids(trail, client) == []
    assert [int(asked["limit"]) for asked in script.asked] == [PAGE, PAGE // 2, PAGE // 4, PAGE // 4]


async def test_one_event_too_large_is_an_error() -> None:
    trail, client, _ = reader(True, *[AnswerTooLargeError("big")] * 10)
    with pytest.raises(AnswerTooLargeError):
        await trail.page(client)


async def test_a_copy_goes_on_alone() -> None:
    trail, client, _ = reader(False, page("a", cursor="1"), page("b"), page("b", "c"), page("b", "c"))
    await trail.page(client)
    other = trail.copy()
    assert await ids(other, client) == ["b"]
    assert await ids(other, client) == ["c"]
    assert await ids(trail, client) == ["b", "c"]
