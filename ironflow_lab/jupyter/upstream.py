"""Which server the panel shows for a folder, and the clients that ask it.

Settings are resolved anew for every request, so that a server that comes, goes or moves is followed.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from ironflow_lab import local
from ironflow_lab.client import AsyncClient
from ironflow_lab.client.config import Settings, find_discovery, resolve
from ironflow_lab.errors import ApiError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.local.discovery import leads_to
from ironflow_lab.models.server import Health
from ironflow_lab.wire.discovery import FILE, is_loopback
from ironflow_lab.wire.retry import NO_RETRY

_MOST = 8
_TIMEOUT = 10.0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the panel says of the server; `startable` is whether the embedded one could take its place."""

    found: bool
    url: str
    version: str = ""
    environment: str = ""
    instance: str = ""
    local: bool = False
    startable: bool = False
    message: str = ""


class Upstream:
    """One server as one caller; `extras` are the routes it has under /lab/v1."""

    def __init__(self, client: AsyncClient, settings: Settings) -> None:
        self.client = client
        self.settings = settings
        self._extras: tuple[str, ...] | None = None

    async def extras(self) -> tuple[str, ...]:
        """Return the names of its extra routes, asked for once; raises `ApiError`."""
        if self._extras is None:
            try:
                self._extras = (await self.client.server.capabilities()).lab
            except NotFoundError:
                # An older server does not say: nothing extra is assumed.
                self._extras = ()
        return self._extras

    def forget(self) -> None:
        """Ask for the extra routes again: what comes back after an outage may be another version."""
        self._extras = None


class Upstreams:
    """The servers of the folders below `root`, the folder that Jupyter shows."""

    def __init__(self, root: Path, *, client: Callable[[Settings], AsyncClient] | None = None) -> None:
        self._root = root.resolve()
        self._client = client or _client
        self._known: OrderedDict[Settings, Upstream] = OrderedDict()
        self._starting = asyncio.Lock()

    def folder(self, named: str) -> Path:
        """Return the folder a path of Jupyter's means, or the nearest above it that exists.

        Raises `InvalidArgumentError` for one outside the folder that Jupyter shows.
        """
        try:
            place = (self._root / named.strip("/")).resolve()
        except (OSError, ValueError):
            raise InvalidArgumentError("the folder cannot be read") from None
        if not place.is_relative_to(self._root):
            raise InvalidArgumentError("the folder is outside the one that Jupyter shows")
        while place != self._root and not place.is_dir():
            place = place.parent
        return place

    def at(self, folder: Path) -> Upstream:
        """Return the server of a folder, whether or not it answers; raises `DefinitionError`."""
        settings = resolve(folder=folder)
        known = self._known.get(settings)
        if known is None:
            known = self._known[settings] = Upstream(self._client(settings), settings)
        self._known.move_to_end(settings)
        if len(self._known) > _MOST:
            # Not closed: a request may still be on its way; its connections end when it is forgotten.
            self._known.popitem(last=False)
        return known

    async def status(self, folder: Path) -> Status:
        """Return what is to be said of the folder's server; never raises `ApiError`."""
        upstream = self.at(folder)
        settings = upstream.settings
        try:
            health = await upstream.client.server.health()
        except ApiError as error:
            upstream.forget()
            return _missing(settings, error.message)
        found = find_discovery(folder) if _discovered(settings) else None
        if found is not None and not leads_to(found[1], health):
            return _missing(settings, "another server answers there now")
        return _present(settings, health)

    async def start(self, folder: Path) -> Status:
        """Start the folder's embedded server, which ends with this process; return its status.

        Raises `FailedPreconditionError` where another server is configured, and `ServerStartError`.
        """
        settings = self.at(folder).settings
        if not _startable(settings):
            raise FailedPreconditionError(f"{settings.source} names {settings.server_url}: unset it to start a server")
        async with self._starting:
            await asyncio.to_thread(local.start, owner_pid=os.getpid(), cwd=folder)
        return await self.status(folder)


def _client(settings: Settings) -> AsyncClient:
    # Tried once: the browser asks again, and is to hear of an outage at once.
    return AsyncClient(settings.server_url, settings.api_key, settings.environment, timeout=_TIMEOUT, retry=NO_RETRY)


def _discovered(settings: Settings) -> bool:
    return Path(settings.source).name == FILE


def _startable(settings: Settings) -> bool:
    return settings.source == "default" or _discovered(settings)


def _missing(settings: Settings, why: str) -> Status:
    return Status(
        found=False,
        url=settings.server_url,
        local=is_loopback(settings.server_url),
        startable=_startable(settings),
        message=why,
    )


def _present(settings: Settings, health: Health) -> Status:
    here = is_loopback(settings.server_url)
    return Status(
        found=True,
        url=settings.server_url,
        version=health.version,
        environment=settings.environment or ("default" if here else ""),
        instance=health.instance,
        local=here,
    )
