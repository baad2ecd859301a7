"""Publishing as a step: its id, its key, its memory, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json

from ironflow_lab.errors import InvalidArgumentError, StepError
from ironflow_lab.models.instant import Int64
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.runtime import publishing
from tests.unit.runtime.assignments import done
from tests.unit.runtime.colours import COLOURS, execute, fault, made, recorded
from tests.unit.runtime.fakes import FakeTopics, broken

both = pytest.mark.parametrize("colour", COLOURS)
KEY = "step-d99541bfde7b70ec7395f6aafcf01e813079df48ad996038b9f1588ec40a5579"


def publishes(colour: str, *args: Any, **options: Any) -> Any:
    def plain(ctx: Any) -> Any:
        sent = ctx.step.publish(*args, **options)
        return [sent.event_id, sent.sequence]

    async def looped(ctx: Any) -> Any:
        sent = await ctx.step.publish(*args, **options)
        return [sent.event_id, sent.sequence]

    return made(colour, plain if colour == "plain" else looped)


@both
async def test_a_message_is_a_step_with_a_key_of_its_id(colour: str) -> None:
    topics = FakeTopics()
    segment = await execute(publishes(colour, "notifications", {"n": 2**60}), topics=topics)
    [message] = topics.messages
    assert (message.topic, message.data, message.run_id) == ("notifications", {"n": 2**60}, "run_01")
    assert message.idempotency_key == KEY
    [step] = segment.collect()
    assert (step.id, step.name, step.type) == ("run_01:publish:notifications:0", "publish:notifications", "invoke")
    assert json.decode(step.output) == {"eventId": "evt_1", "sequence": 1}
    assert segment.outcome == (await execute(publishes(colour, "notifications"), done_row())).outcome


def done_row(output: Any = None) -> Any:
    return done("publish:notifications", {"eventId": "evt_1", "sequence": 1} if output is None else output)


@both
async def test_a_published_message_is_not_sent_again(colour: str) -> None:
    topics = FakeTopics()
    segment = await execute(publishes(colour, "notifications", 1), done_row(), topics=topics)
    assert (topics.messages, recorded(segment)) == ([], [])


@both
async def test_topics_are_escaped_and_counted(colour: str) -> None:
    def plain(ctx: Any) -> None:
        for topic in ("orders:eu", "orders:eu", "b"):
            ctx.step.publish(topic)

    async def looped(ctx: Any) -> None:
        for topic in ("orders:eu", "orders:eu", "b"):
            await ctx.step.publish(topic)

    segment = await execute(made(colour, plain if colour == "plain" else looped))
    assert [one for one, _ in recorded(segment)] == [
        "run_01:publish:orders\\:eu:0",
        "run_01:publish:orders\\:eu:1",
        "run_01:publish:b:0",
    ]


@both
async def test_a_key_that_is_given_is_used(colour: str) -> None:
    topics = FakeTopics()
    await execute(publishes(colour, "t", idempotency_key="mine"), topics=topics)
    assert topics.messages[0].idempotency_key == "mine"


@both
@pytest.mark.parametrize(
    ("error", "retryable"), [(broken(), True), (InvalidArgumentError("no such topic", status=400), False)]
)
async def test_a_failure_is_the_steps(colour: str, error: Any, retryable: bool) -> None:
    topics = FakeTopics()
    topics.refusals.append(error)
    segment = await execute(publishes(colour, "t"), topics=topics)
    assert fault(segment.outcome)[:2] == ("STEP_FAILED", retryable)
    assert recorded(segment) == [("run_01:publish:t:0", "failed")]


@both
@pytest.mark.parametrize(
    ("topic", "options", "why"),
    [
        ("", {}, "is not a topic name"),
        (7, {}, "is not a topic name"),
        ("orders.*", {}, "has a wildcard"),
        ("a b", {}, "has blanks"),
        ("publish:x", {}, "are reserved"),
        ("t", {"idempotency_key": 7}, "idempotency_key must be text"),
    ],
)
async def test_bad_arguments(colour: str, topic: Any, options: dict[str, Any], why: str) -> None:
    topics = FakeTopics()
    segment = await execute(publishes(colour, topic, **options), topics=topics)
    code, retryable, message = fault(segment.outcome)
    assert (code, retryable, topics.messages) == ("NON_RETRYABLE", False, [])
    assert why in message


@both
async def test_data_that_is_not_json_is_not_sent(colour: str) -> None:
    topics = FakeTopics()
    segment = await execute(publishes(colour, "t", {"when": {1}}), topics=topics)
    code, retryable, message = fault(segment.outcome)
    assert (code, retryable, topics.messages) == ("SERIALIZATION_ERROR", False, [])
    assert message == "publish 't' was given something that is not JSON: $.when is a set; pass a sorted list"


@both
async def test_a_row_without_an_event_id_is_an_error(colour: str) -> None:
    segment = await execute(publishes(colour, "notifications"), done_row({"sequence": 3}))
    assert fault(segment.outcome)[:2] == ("STEP_FAILED", False)


def test_a_repetition_looks_like_the_first() -> None:
    first = PublishResponse(event_id="evt_1", sequence=Int64(7))
    again = PublishResponse(event_id="evt_1", sequence=Int64(7), duplicate=True)
    assert publishing.output(first) == publishing.output(again) == {"eventId": "evt_1", "sequence": 7}


@pytest.mark.parametrize("sequence", [7, "7"])
def test_sequences_of_other_kits_are_read(sequence: Any) -> None:
    assert publishing.of_output("t", {"eventId": "e", "sequence": sequence}).sequence == 7


@pytest.mark.parametrize("row", [None, {}, {"eventId": ""}, {"eventId": 7}, "evt_1"])
def test_rows_that_say_nothing(row: Any) -> None:
    with pytest.raises(StepError, match="has no eventId"):
        publishing.of_output("t", row)
