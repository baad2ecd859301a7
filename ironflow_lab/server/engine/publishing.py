"""Publishing to topics: an append-only log of messages that start nothing (rpc.md section 6, Publish)."""

from __future__ import annotations

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.instant import Int64
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.server.engine.commands import Publish
from ironflow_lab.server.engine.outcome import Outcome, Write

LONGEST_TOPIC = LONGEST_KEY = 255
# What begins the topics that are not for messages (realtime.md section 2).
_FAMILIES = ("topic:", "events:", "entity:")
_RESERVED = ("system", "public")


class PublishState(msgspec.Struct, frozen=True, kw_only=True):
    """The last place in the log, and the message an earlier call with the same key has appended."""

    last: int = 0
    earlier: PublishResponse | None = None


def publish(state: PublishState, command: Publish, now: int, ids: Ids) -> Outcome:
    """Append a message; a key that the topic has seen gives the first message's place, as a duplicate."""
    _check(command)
    if state.earlier is not None:
        return Outcome(msgspec.structs.replace(state.earlier, duplicate=True))
    place, message_id = state.last + 1, ids.new("msg_")
    message = {
        "seq": place,
        "env": command.env,
        "id": message_id,
        "topic": command.topic,
        "data": command.data,
        "idempotency_key": command.idempotency_key,
        "run_id": command.run_id,
        "at": now,
    }
    answer = PublishResponse(event_id=message_id, sequence=Int64(place))
    return Outcome(answer, (Write("insert_message", message),))


def _check(command: Publish) -> None:
    wrong = _topic_fault(command.topic)
    if wrong is not None:
        raise InvalidArgumentError(f"nothing can be published: {wrong}")
    key = command.idempotency_key
    if len(key.encode()) > LONGEST_KEY or any(character.isspace() for character in key):
        raise InvalidArgumentError(f"the key of a message has at most {LONGEST_KEY} bytes and no blanks")


def _topic_fault(topic: str) -> str | None:
    if not topic:
        return "the topic is missing"
    if len(topic) > LONGEST_TOPIC:
        return f"a topic has at most {LONGEST_TOPIC} characters, and this one has {len(topic)}"
    if any(character.isspace() or not character.isprintable() for character in topic):
        return f"{topic!r} has blanks or control characters"
    if "*" in topic or ">" in topic:
        return f"{topic!r} is a pattern; a message goes to one topic"
    for family in _FAMILIES:
        if topic.startswith(family):
            return f"{topic!r} begins with {family!r}; a topic is named without it"
    tokens = topic.split(".")
    if "" in tokens:
        return f"{topic!r} has an empty part between dots"
    if tokens[0] in _RESERVED:
        return f"topics that begin with '{tokens[0]}.' are the server's own"
    return None
