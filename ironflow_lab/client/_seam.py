"""The one file that builds httpx transports, writes their requests and names their failures (D17).

The transports are called directly. httpx's client layer above them (cookies, redirects, auth, hooks,
none of them used here) costs as much again as a whole call on the fast transport.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import getproxies, proxy_bypass

import httpx

from ironflow_lab._version import __version__
from ironflow_lab.client.config import Settings
from ironflow_lab.errors import (
    ApiError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    UnavailableError,
)
from ironflow_lab.wire.discovery import is_loopback
from ironflow_lab.wire.message import Request

if TYPE_CHECKING:
    from ironflow_lab.client._fast import FastPool

LARGEST_ANSWER = 32 * 1024 * 1024
_CONNECTIONS = 100
# Shorter than servers keep idle connections: a call must not meet one that is being closed.
_IDLE = 4.0
_CONNECT = 10.0
_SLACK = 5.0
FAILURES: tuple[type[Exception], ...] = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
)
_TIMEOUTS = httpx.ReadTimeout | httpx.WriteTimeout
_OURS = httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL


class AnswerTooLargeError(InternalError):
    """An answer is over the client's limit: ask for fewer things at once."""


class Endpoint:
    """What both colours share: where calls go, how they are written, what a failure means."""

    def __init__(self, settings: Settings, *, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self._local = is_loopback(settings.server_url)
        self._url = lru_cache(maxsize=512)(self._locate)
        self._head = lru_cache(maxsize=16)(self._write_head)
        self._head_text = lru_cache(maxsize=16)(self._write_head_text)
        self._prefix = httpx.URL(settings.server_url).path.rstrip("/")

    def message(self, request: Request) -> httpx.Request:
        """Return the request as httpx sends it, with its timeouts."""
        return httpx.Request(
            request.method,
            self._url(request.path, request.query),
            headers=self._head(request.headers),
            content=request.body,
            extensions={"timeout": self._limits(request)},
        )

    def stream_message(self, request: Request) -> httpx.Request:
        """Return the request for an answer that stays open: it may be silent for any time."""
        message = self.message(request)
        message.extensions["timeout"]["read"] = None
        return message

    def explain(self, error: Exception, request: Request) -> ApiError:
        """Return a transport's failure as an error of this library that names server and remedy."""
        at = self._settings.server_url
        call = f"{request.method} {request.path}"
        if isinstance(error, _TIMEOUTS):
            waited = self._limits(request)["read"]
            again = "" if request.repeatable else " It may have been carried out all the same."
            return DeadlineExceededError(
                f"the server at {at} did not answer {call} within {waited:g} s.{again}"
                " Give the client a longer timeout=, or look at the server's log.",
                retryable=request.repeatable,
            )
        if isinstance(error, httpx.PoolTimeout):
            return DeadlineExceededError(
                f"all {_CONNECTIONS} connections of this client to {at} were busy for"
                f" {self._timeout:g} s; run fewer calls at once",
                retryable=True,
            )
        if isinstance(error, httpx.DecodingError):
            return InternalError(f"the answer of {at} to {call} is packed wrongly: {_reason(error)}")
        if isinstance(error, _OURS):
            return InvalidArgumentError(f"{call} cannot be sent to {at}: {_reason(error)}")
        return UnavailableError(f"no answer from a server at {at}: {_reason(error)}. {self._remedy()}", retryable=True)

    def too_large(self, request: Request) -> AnswerTooLargeError:
        """Return the error for an answer over the limit."""
        return AnswerTooLargeError(
            f"the answer to {request.method} {request.path} is larger than"
            f" {LARGEST_ANSWER // 1024**2} MiB; ask for fewer at once with limit= or page_size="
        )

    def open_async(self) -> httpx.AsyncBaseTransport:
        """Return httpx's own async transport."""
        return httpx.AsyncHTTPTransport(verify=self._tls(), trust_env=False, limits=_limits(), proxy=self._proxy())

    def open_sync(self) -> httpx.BaseTransport:
        """Return httpx's own blocking transport, safe in many threads."""
        return httpx.HTTPTransport(verify=self._tls(), trust_env=False, limits=_limits(), proxy=self._proxy())

    def open_fast(self) -> FastPool | None:
        """Return fast connections, or None where a proxy stands between."""
        from ironflow_lab.client._fast import FastPool

        url = httpx.URL(self._settings.server_url)
        if self._proxy() is not None:
            return None
        return FastPool(
            url.host,
            url.port or (443 if url.scheme == "https" else 80),
            tls=self._tls() if url.scheme == "https" else None,
            limit=_CONNECTIONS,
            idle=_IDLE,
            largest=LARGEST_ANSWER,
        )

    def text(self, request: Request) -> bytes:
        """Return the request as it goes over a connection."""
        body = request.body or b""
        length = b"content-length: %d\r\n" % len(body) if request.body is not None else b""
        query = "?" + urlencode(request.query) if request.query else ""
        line = f"{request.method} {self._prefix}{request.path}{query} HTTP/1.1\r\n"
        return b"".join((line.encode("ascii"), self._head_text(request.headers), length, b"\r\n", body))

    def patience(self, request: Request) -> dict[str, float]:
        """Return the seconds for a connection and for the answer."""
        limits = self._limits(request)
        return {"connect": limits["connect"], "read": limits["read"]}

    def _locate(self, path: str, query: tuple[tuple[str, str], ...]) -> httpx.URL:
        url = self._settings.server_url + path
        return httpx.URL(url, params=query) if query else httpx.URL(url)

    def _write_head(self, extra: tuple[tuple[str, str], ...]) -> httpx.Headers:
        settings = self._settings
        sdk = f"ironflow-lab/{__version__}"
        head = [
            ("host", httpx.URL(settings.server_url).netloc.decode("ascii")),
            ("accept", "*/*"),
            ("accept-encoding", "identity" if self._local else "gzip"),
            ("user-agent", sdk),
            ("x-ironflow-sdk", sdk),
            *extra,
        ]
        if settings.environment:
            head.append(("x-ironflow-environment-id", settings.environment))
        if settings.api_key:
            # httpx.Headers hides the value of this name in its representation.
            head.append(("authorization", "Bearer " + settings.api_key))
        return httpx.Headers(head)

    def _write_head_text(self, extra: tuple[tuple[str, str], ...]) -> bytes:
        head = self._write_head(extra)
        # Answers come as they are: unpacking costs more than a few bytes less are worth to frequent calls.
        head["accept-encoding"] = "identity"
        return b"".join(name + b": " + value + b"\r\n" for name, value in head.raw)

    def _limits(self, request: Request) -> dict[str, float]:
        read = request.wait + _SLACK if request.wait else self._timeout
        connect = min(self._timeout, _CONNECT)
        return {"connect": connect, "read": read, "write": self._timeout, "pool": self._timeout}

    def _tls(self) -> ssl.SSLContext:
        # Loading the system's certificates costs 50 ms; a plain http call needs none, and an empty
        # context trusts nobody.
        if self._settings.server_url.startswith("http://"):
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return _trusting()

    def _proxy(self) -> httpx.Proxy | None:
        url = httpx.URL(self._settings.server_url)
        if self._local or proxy_bypass(url.host):
            return None
        known = getproxies()
        found = known.get(url.scheme) or known.get("all")
        return httpx.Proxy(found if "://" in found else "http://" + found) if found else None

    def _remedy(self) -> str:
        if self._local:
            return (
                "Start one with il.start() or `ironflow-lab serve`, or set IRONFLOW_SERVER_URL to the server you mean."
            )
        return "Check IRONFLOW_SERVER_URL, the network and whether that server runs."


def head(answer: httpx.Response) -> dict[str, str]:
    """Return an answer's headers, names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers.raw}


@cache
def _trusting() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _limits() -> httpx.Limits:
    return httpx.Limits(
        max_connections=_CONNECTIONS,
        max_keepalive_connections=_CONNECTIONS,
        keepalive_expiry=_IDLE,
    )


def _reason(error: BaseException) -> str:
    """Return the system's own words for a failure when there are some."""
    causes = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "connection refused"
    said = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return next(said, None) or str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__
