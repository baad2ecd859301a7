"""What a server says of itself (rest.md section 3)."""

from __future__ import annotations

from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.models.server import Capabilities, Health, Ready
from ironflow_lab.wire import rest


class AsyncServer:
    """`client.server`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def health(self) -> Health:
        """Return whether the server lives, its version and, of an embedded one, its start token."""
        return await self._connection.call(rest.get("/health"), lambda response: rest.read(response, Health))

    async def ready(self) -> Ready:
        """Return whether the server is ready and what is not; "not ready" is an answer, no error."""
        return await self._connection.call(rest.get("/ready"), rest.read_ready)

    async def capabilities(self) -> Capabilities:
        """Return the server's transports, features and extra routes (`lab`)."""
        return await self._connection.call(
            rest.get("/api/v1/capabilities"), lambda response: rest.read(response, Capabilities)
        )
