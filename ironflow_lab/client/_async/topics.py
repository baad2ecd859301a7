"""Topics: messages that start nothing (PubSubService; rpc.md section 6)."""

from __future__ import annotations

from typing import Any

from ironflow_lab.client import arguments
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.payloads import json_pair
from ironflow_lab.models.pubsub import PublishRequest, PublishResponse


class AsyncTopics:
    """`client.topics`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def publish(
        self, topic: str, data: Any = None, *, idempotency_key: str = "", run_id: str = ""
    ) -> PublishResponse:
        """Append a message to a topic, named without the prefix `topic:`; return its id and its place in the log.

        `data` is any value with a JSON form; None sends no payload. With an `idempotency_key` (at most 255
        bytes, no blanks) the call is sent again when the server cannot be reached, and a repeat on the same
        topic gives the first message with `duplicate` set. `run_id` says in which run it is published.
        """
        message = PublishRequest(
            topic=arguments.identifier("the topic", topic),
            idempotency_key=idempotency_key,
            **json_pair("data", data),
        )
        return await self._connection.unary(
            "PubSubService/Publish",
            message,
            PublishResponse,
            keyed=bool(idempotency_key),
            run_id=arguments.attribution(run_id),
        )
