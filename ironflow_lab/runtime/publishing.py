"""Publishing as a step: once per run, however often the handler is executed (worker.md 9.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from ironflow_lab.errors import DefinitionError, InvalidArgumentError, NonRetryableError, StepError
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.runtime import payloads
from ironflow_lab.runtime.journal import PUBLISH, check_name
from ironflow_lab.runtime.namespaces import inside
from ironflow_lab.wire import patterns


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What `step.publish` returns: the message's id and its place in the topic's log."""

    event_id: str
    sequence: int = 0


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way out, in the name of a run; `data` is plain JSON."""

    topic: str
    data: Any
    idempotency_key: str
    run_id: str


class Publish(Protocol):
    """What sends a message, from any thread; it may be sent again, since it has a key."""

    def __call__(self, message: Message) -> Future[PublishResponse]:
        """Begin to send the message."""
        ...


Sending = Callable[[Message], Coroutine[Any, Any, PublishResponse]]


def check_topic(topic: Any) -> str:
    """Return the name of the step that publishes to this topic; raises `DefinitionError`."""
    check_name(topic, "topic")
    fault = patterns.fault(topic)
    if fault is None and ("*" in topic or ">" in topic):
        fault = f"{topic!r:.60} has a wildcard; publish to one topic"
    if fault is not None:
        raise DefinitionError(f"{topic!r:.60} is not a topic: {fault.replace('an event name', 'a topic')}")
    return PUBLISH + str(topic)


def check_key(key: Any) -> str:
    """Return the idempotency key as it travels; raises `DefinitionError`."""
    if not isinstance(key, str):
        raise DefinitionError(f"idempotency_key must be text, not {type(key).__name__}")
    return key


def message(step_id: str, topic: str, data: Any, key: str, run_id: str) -> Message:
    """Return what a step publishes: its key is made of the step's id unless one is given."""
    text = payloads.given(data, f"publish {topic!r:.60}")
    return Message(
        topic=topic,
        data=msgspec.json.decode(text),
        idempotency_key=key or "step-" + hashlib.sha256(step_id.encode()).hexdigest(),
        run_id=run_id,
    )


def placed(namespace: str, message: Message) -> Message:
    """Return the message as code of this namespace sends it."""
    return msgspec.structs.replace(message, topic=inside(namespace, message.topic)) if namespace else message


def output(answer: PublishResponse) -> dict[str, Any]:
    """Return the step's output, the same for a message and for its repetition."""
    return {"eventId": answer.event_id, "sequence": int(answer.sequence)}


def refused(error: InvalidArgumentError) -> NonRetryableError:
    """Return the error of a message that the server will never take."""
    return NonRetryableError(f"the server refused the message: {error}")


def of_output(topic: str, recorded: Any) -> Published:
    """Return what a recorded publish was; raises `StepError` for a row without an event id."""
    told = recorded if isinstance(recorded, dict) else {}
    event_id, sequence = told.get("eventId"), told.get("sequence")
    if not (isinstance(event_id, str) and event_id):
        raise StepError(
            f"the recorded output of publish {topic!r:.60} has no eventId, so it is not known whether it was published",
            retryable=False,
        )
    if isinstance(sequence, str) and sequence.isdecimal():
        sequence = int(sequence)
    return Published(event_id=event_id, sequence=sequence if isinstance(sequence, int) else 0)
