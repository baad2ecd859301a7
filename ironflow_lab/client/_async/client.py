"""`AsyncClient`: settings, connections and one attribute per resource."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ironflow_lab.client import config
from ironflow_lab.client._async.audit import AsyncAudit
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client._async.events import AsyncEvents
from ironflow_lab.client._async.functions import AsyncFunctions
from ironflow_lab.client._async.runs import AsyncRuns
from ironflow_lab.client._async.secrets import AsyncSecrets
from ironflow_lab.client._async.server import AsyncServer
from ironflow_lab.client._async.topics import AsyncTopics
from ironflow_lab.client._async.transport import AsyncHttpTransport, AsyncTransport
from ironflow_lab.client._async.workers import AsyncWorkers
from ironflow_lab.client.arguments import hold
from ironflow_lab.clock import Clock, SystemClock
from ironflow_lab.wire.duration import Duration
from ironflow_lab.wire.retry import RetryPolicy


class AsyncClient:
    """The remote API of one server: `server`, `functions`, `events`, `topics`, `runs`, `audit`, `secrets`, `workers`.

    What is not given comes from `IRONFLOW_SERVER_URL` (or `IRONFLOW_URL`), `IRONFLOW_API_KEY` and
    `IRONFLOW_ENV`, then from the discovery file of a local server, then it is http://localhost:9123.
    `timeout` is how long an answer may take, a hold the call asks for not counted. Raises
    `DefinitionError` for a URL, key or environment that cannot be sent.
    """

    def __init__(
        self,
        server_url: str | None = None,
        api_key: str | None = None,
        environment: str | None = None,
        timeout: Duration = 30.0,
        retry: RetryPolicy = RetryPolicy(),
        transport: AsyncTransport | None = None,
        *,
        clock: Clock = SystemClock(),
    ) -> None:
        # Bound anew: a traceback that prints local variables must not show the key.
        api_key = key = None if api_key is None else config.Key(api_key)
        settings = config.resolve(server_url, key, environment)
        seconds = hold("timeout", timeout) / 1_000
        self.server_url = settings.server_url
        self.environment = settings.environment
        connection = AsyncConnection(
            transport or AsyncHttpTransport(settings, timeout=seconds), retry=retry, clock=clock
        )
        self._connection = connection
        self.server = AsyncServer(connection)
        self.functions = AsyncFunctions(connection)
        self.events = AsyncEvents(connection)
        self.topics = AsyncTopics(connection)
        self.runs = AsyncRuns(connection)
        self.audit = AsyncAudit(connection)
        self.secrets = AsyncSecrets(connection, settings.environment)
        self.workers = AsyncWorkers(connection)

    def __repr__(self) -> str:
        place = f", environment={self.environment!r}" if self.environment else ""
        return f"AsyncClient({self.server_url!r}{place})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; later calls raise `FailedPreconditionError`."""
        await self._connection.aclose()
