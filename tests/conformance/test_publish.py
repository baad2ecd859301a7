"""Messages of topics: an ordered log that starts nothing (rpc.md section 6, Publish)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain
from tests.conformance.plain_worker import PlainWorker

PUBLISH = "PubSubService/Publish"


def publish(plain: Plain, topic: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = plain.call(PUBLISH, {"topic": topic, **fields})
    return found


def test_a_message_has_a_place_and_starts_nothing(plain: Plain, name: str) -> None:
    worker = register(plain, name, triggers=[{"event": f"{name}.>"}, {"event": f"topic:{name}.t"}])
    first = publish(plain, f"{name}.t", data={"n": 1})
    assert first.keys() == {"eventId", "sequence"}
    assert isinstance(first["sequence"], str), "64-bit numbers are text in JSON"
    second = publish(plain, f"{name}.u", dataValue=None)
    assert int(second["sequence"]) > int(first["sequence"]) > 0
    assert first["eventId"] != second["eventId"]
    assert worker.poll().status == 204
    assert plain.rest("GET", f"/api/v1/events/{first['eventId']}").fault == (404, "not_found"), "it is no event"


def test_a_key_is_one_message_of_its_topic(plain: Plain, name: str) -> None:
    key = f"{name}-k"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: publish(plain, f"{name}.t", dataValue=n, idempotencyKey=key), range(16)))
    assert sorted(answer.get("duplicate", False) for answer in answers) == [False] + [True] * 15
    assert len({(answer["eventId"], answer["sequence"]) for answer in answers}) == 1
    elsewhere = publish(plain, f"{name}.u", idempotencyKey=key)
    assert "duplicate" not in elsewhere
    assert elsewhere["eventId"] != answers[0]["eventId"]
    assert "duplicate" not in publish(plain, f"{name}.t", idempotencyKey="")


def test_places_follow_the_order_of_arrival(plain: Plain, name: str) -> None:
    places = [int(publish(plain, f"{name}.t", dataValue=n)["sequence"]) for n in range(5)]
    assert places == sorted(set(places))


def test_a_key_of_messages_is_none_of_events(plain: Plain, name: str) -> None:
    publish(plain, f"{name}.t", idempotencyKey=f"{name}-k")
    first = plain.emit(f"{name}.go", {}, idempotencyKey=f"{name}-k")
    assert plain.emit(f"{name}.go", {}, idempotencyKey=f"{name}-k") == first


def test_both_spellings_and_a_run_that_says_who_it_is(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    message = {"topic": f"{name}.t", "data_value": [{"x_y": 1}], "idempotency_key": f"{name}-k"}
    for caller in (run_id, "run_of_nobody"):
        plain.call(PUBLISH, message, headers={"X-Ironflow-Run-ID": caller})
    assert publish(plain, f"{name}.t", idempotencyKey=f"{name}-k")["duplicate"] is True


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"topic": ""},
        {"topic": " "},
        {"topic": "a b"},
        {"topic": "a\nb"},
        {"topic": "a.*"},
        {"topic": "a.>"},
        {"topic": "a..b"},
        {"topic": "system.run.x"},
        {"topic": "topic:a"},
        {"topic": "x" * 256},
        {"topic": 7},
        {"topic": "a", "data": [1]},
        {"topic": "a", "data": 1},
        {"topic": "a", "idempotencyKey": "a b"},
        {"topic": "a", "idempotencyKey": "k" * 256},
        {"topic": "a", "idempotencyKey": "ü" * 128},
    ],
    ids=lambda message: json.dumps(message)[:40],
)
def test_what_is_refused(plain: Plain, message: dict[str, Any]) -> None:
    assert plain.post(PUBLISH, message).fault == (400, "invalid_argument")


def test_the_largest_and_the_strangest(plain: Plain, name: str) -> None:
    for topic in ("ü" * 200 + name, f"{name}.\U0001f980.größe", f"{name}:a/b"):
        publish(plain, topic, dataValue=0)
    publish(plain, f"{name}.t", dataValue="y" * (8 * 1024 * 1024 - 5_000), idempotencyKey="ü" * 100 + name)
    body = json.dumps({"topic": f"{name}.t", "dataValue": "y" * (8 * 1024 * 1024)}).encode()
    assert plain.post(PUBLISH, body).fault == (413, "invalid_argument")
