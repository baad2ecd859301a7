"""A capsule in the place of a server: what the client asks is answered out of it, the rest is refused by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.errors import ApiError, FailedPreconditionError, NotFoundError, UnimplementedError
from ironflow_lab.history.capsule import Capsule, Origin
from ironflow_lab.lab.carried import AsyncCarried, Carried
from ironflow_lab.models.instant import Instant
from ironflow_lab.wire import rest
from ironflow_lab.wire.message import Request
from tests.unit.history.carried import capsule, step
from tests.unit.history.stories import RUN, T0

NAME = "pay.ironflow"
URL = "http://capsule.invalid"
MS = 1_000_000


def client(whole: Capsule | None = None) -> Client:
    return Client(URL, "", "", transport=Carried(whole or capsule(), NAME))


def test_rows_events_function_reason_and_children_are_answered() -> None:
    whole, asked = capsule(), client()
    assert asked.runs.get(RUN) == whole.run
    assert asked.runs.steps(RUN) == whole.recording.steps
    assert tuple(asked.audit.iterate(RUN)) == whole.recording.events
    assert asked.runs.why(RUN) == whole.why
    assert asked.functions.get("pay") == whole.function
    assert asked.events.get("evt_1") == whole.event
    assert asked.runs.get("run_child") == whole.children[0]


def test_it_says_of_itself_what_the_server_could() -> None:
    assert client().server.health().status == "ok"
    found = client().server.capabilities().lab
    assert "runs/why" in found and "runs/wait" not in found


@pytest.mark.parametrize("size", [1, 3, 5, 100])
def test_the_trail_is_read_page_by_page_either_way(size: int) -> None:
    events, asked = capsule().recording.events, client()
    assert tuple(asked.audit.iterate(RUN, page_size=size)) == events
    followed: list[Any] = []
    cursor, ended = "", False
    while not ended:
        page = asked.audit.follow(RUN, cursor=cursor, limit=size)
        followed += page.events
        cursor, ended = page.next_cursor, page.ended
        assert page.total_count == len(events)
    assert tuple(followed) == events


def test_the_trail_is_filtered_by_kind_and_time() -> None:
    events, asked = capsule().recording.events, client()
    failed = tuple(asked.audit.iterate(RUN, event_type="step.failed", page_size=1))
    assert failed == tuple(event for event in events if event.event_type == "step.failed")
    since, until = Instant(T0 + 5 * MS).to_datetime(), Instant(T0 + 8 * MS).to_datetime()
    between = tuple(asked.audit.iterate(RUN, since=since, until=until))
    assert between == tuple(event for event in events if T0 + 5 * MS <= event.created_at <= T0 + 8 * MS)
    assert 0 < len(between) < len(events)


def test_null_is_told_from_nothing_as_a_server_does() -> None:
    steps = (step("a", None), step("b", 0), step("c", [None]))
    whole = capsule()
    recording = msgspec.structs.replace(whole.recording, steps=steps)
    asked = client(msgspec.structs.replace(whole, recording=recording))
    assert asked.runs.steps(RUN) == steps
    rows = asked.runs.step_rows(RUN)
    assert [bytes(row.output) or bytes(row.output_value) for row in rows] == [b"null", b"0", b"[null]"]


REFUSED: tuple[Callable[[Client], Any], ...] = (
    lambda asked: asked.runs.cancel(RUN),
    lambda asked: asked.runs.pause(RUN),
    lambda asked: asked.runs.resume(RUN),
    lambda asked: asked.runs.retry(RUN),
    lambda asked: asked.runs.inject(RUN, "stp_charge", 1),
    lambda asked: asked.runs.patch("stp_charge", 1),
    lambda asked: asked.runs.delete(RUN),
    lambda asked: asked.runs.delete_many(function_id="pay"),
    lambda asked: asked.runs.redact(RUN),
    lambda asked: asked.events.emit("order.placed", {}),
    lambda asked: asked.events.emit("order.placed", {}, idempotency_key="k"),
    lambda asked: asked.functions.invoke("pay", {}),
    lambda asked: asked.functions.invoke("pay", {}, idempotency_key="k"),
    lambda asked: asked.secrets.list(),
    lambda asked: asked.topics.publish("t", {}),
    lambda asked: asked.runs.list(),
    lambda asked: asked.functions.list(),
    lambda asked: asked.runs.state_at(RUN, "2h"),
    lambda asked: asked.runs.wait([RUN], timeout="1s"),
)


@pytest.mark.parametrize("verb", REFUSED)
def test_what_it_cannot_do_is_refused_by_name(verb: Callable[[Client], Any]) -> None:
    with pytest.raises(FailedPreconditionError, match=rf"capsule {NAME} is a copy of run {RUN}") as caught:
        verb(client())
    assert f"il.connect(...).run('{RUN}')" in str(caught.value)


@pytest.mark.parametrize(
    "verb",
    [
        lambda asked: asked.runs.get("run_2"),
        lambda asked: asked.runs.steps("run_child"),
        lambda asked: asked.audit.list("run_child"),
        lambda asked: asked.audit.follow("run_2"),
        lambda asked: asked.audit.list(RUN, cursor="aud_99"),
        lambda asked: asked.functions.get("other"),
        lambda asked: asked.events.get("evt_2"),
    ],
)
def test_what_it_does_not_hold_is_not_found_in_it(verb: Callable[[Client], Any]) -> None:
    with pytest.raises(NotFoundError, match=f"is not in it: capsule {NAME}"):
        verb(client())


def test_a_capsule_of_a_server_that_did_not_say_why_does_not_either() -> None:
    whole = msgspec.structs.replace(capsule(), why=None, origin=Origin(missing=("runs/why", "runs/audit")))
    with pytest.raises(UnimplementedError):
        client(whole).runs.why(RUN)
    assert "runs/audit" not in client(whole).server.capabilities().lab


def test_odd_paths_are_no_way_in() -> None:
    carried = Carried(capsule(), NAME)
    for run_id in ("../run_1", "run_1/x", "run_1%2f", "", "x" * 10_000):
        with pytest.raises(ApiError):
            Client(URL, "", "", transport=carried).audit.follow(run_id)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "POST"])
def test_a_route_that_it_answers_is_answered_for_reading_only(method: str) -> None:
    carried = Carried(capsule(), NAME)
    assert carried.send(rest.event("evt_1")).status == 200
    with pytest.raises(FailedPreconditionError):
        carried.send(Request(method=method, path=rest.event("evt_1").path, body=b"{}"))


def test_an_awaited_client_gets_the_same() -> None:
    async def ask() -> Any:
        async with AsyncClient(URL, "", "", transport=AsyncCarried(Carried(capsule(), NAME))) as asked:
            with pytest.raises(FailedPreconditionError):
                await asked.runs.pause(RUN)
            return await asked.runs.get(RUN)

    assert asyncio.run(ask()) == capsule().run
