"""Publishing: messages get the next place in the log, repeated keys the first one."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.instant import Int64
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.server.engine.commands import Publish
from ironflow_lab.server.engine.outcome import Outcome
from ironflow_lab.server.engine.publishing import PublishState, publish
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, only


def published(state: PublishState | None = None, **fields: Any) -> Outcome:
    command = Publish(env=ENV, **{"topic": "prices.eur", "data": b"[1]", **fields})
    return publish(state or PublishState(), command, NOW, CountingIds())


def test_a_message_gets_the_next_place_and_starts_nothing() -> None:
    outcome = published(PublishState(last=41), idempotency_key="k", run_id="run_1")
    assert outcome.answer == PublishResponse(event_id="msg_000001", sequence=Int64(42))
    assert outcome.wakes == ()
    assert [write.query for write in outcome.writes] == ["insert_message"]
    assert only(outcome, "insert_message") == {
        "seq": 42,
        "env": ENV,
        "id": "msg_000001",
        "topic": "prices.eur",
        "data": b"[1]",
        "idempotency_key": "k",
        "run_id": "run_1",
        "at": NOW,
    }


def test_a_repeated_key_gives_the_first_place_as_a_duplicate() -> None:
    first = PublishResponse(event_id="msg_7", sequence=Int64(7))
    outcome = published(PublishState(last=41, earlier=first), idempotency_key="k")
    assert outcome == Outcome(PublishResponse(event_id="msg_7", sequence=Int64(7), duplicate=True))


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("", "missing"),
        ("x" * 256, "255 characters"),
        ("a b", "blanks"),
        ("a\u00a0b", "blanks"),
        ("a\nb", "control characters"),
        ("a\x00", "control characters"),
        ("a.*", "is a pattern"),
        ("a>", "is a pattern"),
        (">", "is a pattern"),
        ("a..b", "empty part"),
        (".a", "empty part"),
        ("system.run.x", "server's own"),
        ("system", "server's own"),
        ("public.x", "server's own"),
        ("topic:a", "without it"),
        ("events:a", "without it"),
        ("entity:a", "without it"),
    ],
)
def test_a_bad_topic_is_refused(topic: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        published(topic=topic)


@pytest.mark.parametrize("topic", ["a", "x" * 255, "preise.größe", "systematic", "a:b/c-d_e", "\U0001f980"])
def test_a_good_topic(topic: str) -> None:
    assert only(published(topic=topic), "insert_message")["topic"] == topic


@pytest.mark.parametrize("key", ["k" * 256, "ü" * 128, "a b", "a\tb", " "])
def test_a_bad_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidArgumentError, match="255 bytes and no blanks"):
        published(idempotency_key=key)


@pytest.mark.parametrize("key", ["k" * 255, "ü" * 127, "run_1:pay:0"])
def test_a_good_key(key: str) -> None:
    assert only(published(idempotency_key=key), "insert_message")["idempotency_key"] == key


def test_a_bad_topic_is_refused_for_a_repeated_key_too() -> None:
    earlier = PublishResponse(event_id="msg_7", sequence=Int64(7))
    with pytest.raises(InvalidArgumentError):
        published(PublishState(earlier=earlier), topic="a b", idempotency_key="k")
