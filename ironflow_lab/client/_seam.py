"""The one file that knows httpx: it builds transports, writes requests and names failures (design D17).

httpx's transports are called directly. Its client layer above them (cookies, redirects, auth, hooks:
none of them used here) costs as much again as a whole call on the fast transport.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import httpx

from ironflow_lab._version import __version__
from ironflow_lab.client.config import Settings
from ironflow_lab.errors import (
    ApiError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    UnavailableError,
)
from ironflow_lab.wire.discovery import is_loopback
from ironflow_lab.wire.message import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiohttp

LARGEST_ANSWER = 32 * 1024 * 1024
SLACK = 5.0
_CONNECTIONS = 100
# Shorter than the idle time of common servers: a call must not meet a connection just being closed.
_IDLE = 4.0
_CONNECT = 10.0
# From so many calls in flight on, httpx's own async transport costs six times the fast one.
_MANY = 4


class AnswerTooLargeError(InternalError):
    """An answer is over the client's limit; ask for fewer things at once."""


class Endpoint:
    """What both colours share: where calls go, how they are written and what went wrong with them."""

    def __init__(self, settings: Settings, *, timeout: float) -> None:
        self.server_url = settings.server_url
        self._key = settings.api_key
        self._timeout = timeout
        self._local = is_loopback(settings.server_url)
        self._url = httpx.URL(settings.server_url)
        self._headers = httpx.Headers(self._standing(settings))
        self._urls = lru_cache(maxsize=512)(self._locate)
        self._heads = lru_cache(maxsize=16)(self._head)

    def message(self, request: Request) -> httpx.Request:
        """Return the request as httpx writes it."""
        return httpx.Request(
            request.method,
            self._urls(request.path, request.query),
            headers=self._heads(request.headers),
            content=request.body,
            extensions={"timeout": self._limits(request)},
        )
