"""One joined server: the clients, the guard and what the server can do; shared by all a lab hands out."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import msgspec

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.client._async.transport import AsyncHttpTransport
from ironflow_lab.client.config import Settings
from ironflow_lab.clock import Clock, Ids, SystemClock, SystemIds
from ironflow_lab.errors import IronflowError, NotFoundError, UnimplementedError
from ironflow_lab.kernel.session import in_kernel
from ironflow_lab.lab.guard import Guard
from ironflow_lab.lab.interruptible import InterruptibleTransport
from ironflow_lab.lab.naming import Naming
from ironflow_lab.models.server import Capabilities
from ironflow_lab.runtime.threads import io_thread
from ironflow_lab.wire.discovery import is_loopback
from ironflow_lab.wire.retry import RetryPolicy

if TYPE_CHECKING:
    from ironflow_lab.history.capsule import Capsule
    from ironflow_lab.history.recording import Recording
    from ironflow_lab.runtime.logs import Lines

T = TypeVar("T")
log = logging.getLogger("ironflow_lab.lab")

# What a lab does worse without, and how.
WANTED = {
    "runs/wait": "waits look at every run again and again",
    "workers/lease": "runs of a kernel that died move on only when their lease lapses",
    "runs/why": "run.why() tells only what the rows of a run do",
    "runs/audit": "a scrubber that follows a run asks for news once a second",
}
# Their connections are closed at the end of the process, which libraries below complain about else.
_open: WeakSet[Session] = WeakSet()

_TIMEOUT = 30.0
# Rides out a server that is being started again: about 12 s in all.
_PATIENT = RetryPolicy(attempts=8)


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """What a lab joined; `missing` names the extra routes the server lacks."""

    server_url: str
    version: str = ""
    environment: str = ""
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def line(self) -> str:
        """Return one line: server, version, environment, what is missing."""
        parts = [self.server_url, f"version {self.version or 'unknown'}"]
        parts.append(f"environment {self.environment or 'of the key'}")
        if self.missing:
            parts.append("without " + ", ".join(self.missing))
        return ", ".join([*parts, *self.warnings])


class Session:
    """What every verb needs.

    `holds` says that the server can hold a wait for runs, `follows` that it can hold a read of a run's
    audit events; `data_dir` is the data folder when the server is its embedded one. Raises `ApiError`
    when the server cannot be joined.
    """

    clock: Clock
    ids: Ids
    _in_io: dict[RetryPolicy, AsyncClient]
    _background: set[Future[None]]
    _awaited: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient]

    def __init__(
        self,
        settings: Settings,
        *,
        guard: bool | None = None,
        namespace: str = "",
        data_dir: Path | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        self._begin(settings, data_dir)
        self.clock = clock or SystemClock()
        self.ids = ids or SystemIds()
        self.client = Client(settings.server_url, settings.api_key, settings.environment)
        try:
            self.joined = _join(self.client)
        except BaseException:
            self.client.close()
            raise
        self.holds = "runs/wait" not in self.joined.missing
        self.follows = "runs/audit" not in self.joined.missing
        self.guard = Guard(settings.server_url, on=guard)
        self.naming = Naming(namespace)
        _open.add(self)

    @property
    def capsule(self) -> Capsule | None:
        """What stands in the place of a server, where nothing changes and nothing can be changed; else None."""
        return None

    @property
    def scope(self) -> str | None:
        """The server's name in a data folder where that is known beforehand; None where it is to be found out."""
        return None

    @property
    def told(self) -> str:
        """What there is to say below the card of every run; "" for nothing."""
        return ""

    def recording_of(self, run_id: str) -> Recording | None:
        """Return a run that is at hand as a whole; None where it has to be read."""
        return None

    def lines_of(self, run_id: str) -> Lines | None:
        """Return what a run wrote where that is at hand; None where the data folder has it."""
        return None

    def call(
        self,
        work: Callable[[AsyncClient], Coroutine[Any, Any, T]],
        *,
        timeout: float | None = None,
        patient: bool = True,
    ) -> T:
        """Return what `work` returns, run in the I/O thread; the stop button cancels it.

        A server that cannot be reached is asked again for 12 s, or at once gives an error when not
        `patient`. Raises `WaitTimeoutError` after `timeout` seconds, having cancelled it.
        """
        retry = _PATIENT if patient else RetryPolicy()
        return io_thread().call(lambda: work(self._client_in_io(retry)), timeout=timeout)

    def begin(self, work: Callable[[AsyncClient], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Let `work` run in the I/O thread, and return what cancels it; closing the session does too.

        It gets a client that does not wait for a server which is away.
        """

        async def begun() -> None:
            await work(self._client_in_io(RetryPolicy()))

        future = asyncio.run_coroutine_threadsafe(begun(), io_thread().loop)
        self._background.add(future)
        future.add_done_callback(self._background.discard)
        future.add_done_callback(_log_failure)

        def end() -> None:
            future.cancel()

        return end

    def awaited(self) -> AsyncClient:
        """Return the client of the running loop, or a fresh one that the loop to come will bind."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self.new_async_client()
        client = self._awaited.get(loop)
        if client is None:
            client = self._awaited[loop] = self._make_awaited()
        return client

    def new_async_client(self) -> AsyncClient:
        """Return another client of this server; it belongs to the event loop that first uses it."""
        return self._make(RetryPolicy())

    def close(self) -> None:
        """Close the connections of the blocking client and of the I/O thread, and end what runs there."""
        _open.discard(self)
        self.client.close()
        for future in list(self._background):
            future.cancel()
        clients, self._in_io = list(self._in_io.values()), {}
        for client in clients:
            io_thread().call(client.aclose, timeout=1.0)

    def _begin(self, settings: Settings, data_dir: Path | None = None) -> None:
        self._settings = settings
        self.server_url = settings.server_url
        self.data_dir = data_dir
        self._in_io = {}
        self._background = set()
        self._awaited = WeakKeyDictionary()

    def _client_in_io(self, retry: RetryPolicy) -> AsyncClient:
        if retry not in self._in_io:
            self._in_io[retry] = self._make(retry)
        return self._in_io[retry]

    def _make_awaited(self) -> AsyncClient:
        if not in_kernel():
            return self.new_async_client()
        settings = self._settings
        inner = AsyncHttpTransport(settings, timeout=_TIMEOUT)
        return AsyncClient(
            settings.server_url,
            settings.api_key,
            settings.environment,
            transport=InterruptibleTransport(inner),
        )

    def _make(self, retry: RetryPolicy) -> AsyncClient:
        settings = self._settings
        return AsyncClient(settings.server_url, settings.api_key, settings.environment, retry=retry)


def open_sessions() -> list[Session]:
    """Return the sessions of this process that have not been closed."""
    return list(_open)


def _log_failure(future: Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("work in the background ended: %s", error, exc_info=error)


@atexit.register
def _close_all() -> None:
    for session in list(_open):
        with contextlib.suppress(IronflowError):
            session.close()


def _join(client: Client) -> Joined:
    health, found = client.server.health(), _capabilities(client)
    is_local = is_loopback(client.server_url)
    return Joined(
        server_url=client.server_url,
        version=found.version or health.version,
        environment=client.environment or ("default" if is_local else ""),
        missing=tuple(name for name in WANTED if name not in found.lab),
        warnings=health.warnings,
    )


def _capabilities(client: Client) -> Capabilities:
    try:
        return client.server.capabilities()
    except (NotFoundError, UnimplementedError):
        # An older server does not say: nothing extra is assumed.
        return Capabilities()
