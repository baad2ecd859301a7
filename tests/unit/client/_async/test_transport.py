"""The seam to httpx: what is sent, which answers are refused, what every failure becomes."""

from __future__ import annotations

import errno
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from ironflow_lab._version import __version__
from ironflow_lab.client import AsyncClient, _seam
from ironflow_lab.client._async.transport import AsyncHttpTransport
from ironflow_lab.client.config import Key, Settings
from ironflow_lab.errors import (
    ApiError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    UnavailableError,
)
from ironflow_lab.wire.message import Request
from ironflow_lab.wire.retry import NO_RETRY

KEY = "ifkey_secret_1234"
GET = Request(method="GET", path="/health", repeatable=True)
Play = Callable[[httpx.Request], httpx.Response]


class AsyncWire(httpx.AsyncBaseTransport):
    """Stands where httpx's transport stands; `play` answers or raises."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.play(request)

    async def aclose(self) -> None:
        self.closed = True


class AsyncParts(httpx.AsyncByteStream):
    """A body in parts; an exception among them is raised in its place."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self.parts = parts
        self.given = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            self.given += 1
            yield part

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AsyncHttpTransport]:
    """Make a transport whose httpx part is played."""

    def make(
        play: Play, url: str = "http://127.0.0.1:9123", key: str = "", environment: str = ""
    ) -> AsyncHttpTransport:
        monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda **options: AsyncWire(play))
        # As behind a proxy: there every call is httpx's.
        monkeypatch.setattr(_seam.Endpoint, "open_fast", lambda endpoint: None)
        settings = Settings(server_url=url, api_key=Key(key), environment=environment)
        return AsyncHttpTransport(settings, timeout=30.0)

    return make


Plug = Callable[..., AsyncHttpTransport]


def failing(error: Exception) -> Play:
    """Return a play that raises."""

    def play(request: httpx.Request) -> httpx.Response:
        raise error

    return play


async def test_headers_and_timeouts(plug: Plug) -> None:
    seen: list[httpx.Request] = []

    def play(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, headers={"X-Thing": "1"}, content=b"{}")

    transport = plug(play, key=KEY, environment="env_1", url="http://127.0.0.1:9123/prefix")
    response = await transport.send(
        Request(method="POST", path="/a%2Fb/c", query=(("q", "x y"),), body=b"{}", wait=20.0)
    )
    assert (response.status, response.body, response.headers["x-thing"]) == (200, b"{}", "1")
    (request,) = seen
    assert str(request.url) == "http://127.0.0.1:9123/prefix/a%2Fb/c?q=x+y"
    headers = dict(request.headers)
    assert headers == {
        "host": "127.0.0.1:9123",
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": f"ironflow-lab/{__version__}",
        "x-ironflow-sdk": f"ironflow-lab/{__version__}",
        "x-ironflow-environment-id": "env_1",
        "authorization": f"Bearer {KEY}",
        "content-length": "2",
    }
    limits = {"connect": 10.0, "read": 25.0, "write": 30.0, "pool": 30.0}
    assert request.extensions["timeout"] == limits
    assert KEY not in repr(vars(request))


async def test_no_header_for_what_is_not_given(plug: Plug) -> None:
    seen: list[httpx.Request] = []

    def play(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    await plug(play).send(GET)
    assert "authorization" not in seen[0].headers
    assert "x-ironflow-environment-id" not in seen[0].headers
    assert seen[0].extensions["timeout"]["read"] == 30.0


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (httpx.ConnectError("x"), UnavailableError, "il.start()"),
        (httpx.ConnectTimeout("x"), UnavailableError, "ironflow-lab serve"),
        (httpx.ReadError(""), UnavailableError, "ReadError"),
        (httpx.WriteError("x"), UnavailableError, "IRONFLOW_SERVER_URL"),
        (httpx.CloseError("x"), UnavailableError, ""),
        (httpx.ProxyError("407"), UnavailableError, "407"),
        (httpx.RemoteProtocolError("Server disconnected"), UnavailableError, "disconnected"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), UnavailableError, "reset"),
        (httpx.ReadTimeout("x"), DeadlineExceededError, "within 30 s"),
        (httpx.WriteTimeout("x"), DeadlineExceededError, "timeout="),
        (httpx.PoolTimeout("x"), DeadlineExceededError, "fewer calls at once"),
        (httpx.DecodingError("bad gzip"), InternalError, "bad gzip"),
        (httpx.LocalProtocolError("odd"), InvalidArgumentError, "odd"),
        (httpx.UnsupportedProtocol("odd"), InvalidArgumentError, "odd"),
        (httpx.InvalidURL("odd"), InvalidArgumentError, "odd"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_every_failure_is_ours(plug: Plug, error: Exception, kind: type[ApiError], says: str) -> None:
    with pytest.raises(kind) as caught:
        await plug(failing(error)).send(GET)
    assert "http://127.0.0.1:9123" in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def httpx_errors(kind: type[Exception] = httpx.HTTPError) -> set[type[Exception]]:
    """Return every error class that httpx raises by itself."""
    return {kind}.union(*(httpx_errors(below) for below in kind.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(httpx_errors(), key=str))
async def test_no_error_of_httpx_comes_through(plug: Plug, kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "x")
    with pytest.raises(ApiError):
        await plug(failing(error)).send(GET)


async def test_the_systems_own_words_are_kept(plug: Plug) -> None:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed")
    with pytest.raises(UnavailableError, match="connection refused"):
        await plug(failing(error)).send(GET)
    error = httpx.ConnectError("x")
    error.__context__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    with pytest.raises(UnavailableError, match="certificate verify failed"):
        await plug(failing(error), url="https://far.example").send(GET)


async def test_a_server_far_away_is_not_started_here(plug: Plug) -> None:
    with pytest.raises(UnavailableError, match=r"https://far\.example.*network") as caught:
        await plug(failing(httpx.ConnectError("x")), url="https://far.example").send(GET)
    assert "il.start" not in str(caught.value)


async def test_a_change_that_timed_out_may_have_happened(plug: Plug) -> None:
    change = Request(method="POST", path="/x", wait=10.0)
    with pytest.raises(DeadlineExceededError, match=r"within 15 s.*carried out all the same"):
        await plug(failing(httpx.ReadTimeout("x"))).send(change)


async def test_a_body_that_breaks_off(plug: Plug) -> None:
    parts = AsyncParts(b"{", httpx.ReadError("broken"))
    with pytest.raises(UnavailableError, match="broken"):
        await plug(lambda request: httpx.Response(200, stream=parts)).send(GET)
    assert parts.closed


async def test_an_answer_over_the_limit_is_not_read_to_its_end(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_seam, "LARGEST_ANSWER", 10)
    parts = AsyncParts(*[b"12345"] * 9)
    with pytest.raises(_seam.AnswerTooLargeError, match="page_size="):
        await plug(lambda request: httpx.Response(200, stream=parts)).send(GET)
    assert (parts.given, parts.closed) == (3, True)
    exact = AsyncParts(b"12345", b"12345")
    answer = await plug(lambda request: httpx.Response(200, stream=exact)).send(GET)
    assert answer.body == b"1234512345"


async def test_a_packed_answer_is_unpacked(plug: Plug) -> None:
    def play(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "gzip"
        parts = AsyncParts(gzip.compress(b"{}" * 50))
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=parts)

    answer = await plug(play, url="https://far.example").send(GET)
    assert answer.body == b"{}" * 50


async def test_a_wrongly_packed_answer(plug: Plug) -> None:
    def play(request: httpx.Request) -> httpx.Response:
        headers = {"content-encoding": "gzip"}
        return httpx.Response(200, headers=headers, stream=AsyncParts(b"not gzip"))

    with pytest.raises(InternalError, match="packed wrongly"):
        await plug(play).send(GET)


async def test_an_interrupt_goes_through_and_the_client_lives_on(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plays: list[Any] = [KeyboardInterrupt(), httpx.Response(200, json={"status": "ok"})]

    def play(request: httpx.Request) -> httpx.Response:
        now = plays.pop(0)
        if isinstance(now, BaseException):
            raise now
        assert isinstance(now, httpx.Response)
        return now

    client = AsyncClient("http://127.0.0.1:9123", retry=NO_RETRY, transport=plug(play))
    with pytest.raises(KeyboardInterrupt):
        await client.server.health()
    assert (await client.server.health()).status == "ok"


async def test_the_key_is_in_no_message(plug: Plug) -> None:
    for error in (httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.LocalProtocolError("x")):
        with pytest.raises(ApiError) as caught:
            await plug(failing(error), key=KEY).send(GET)
        assert KEY not in str(caught.value)
        assert KEY not in repr(caught.value)


async def test_closing_closes_httpx(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    wires: list[AsyncWire] = []

    def open_wire(**options: Any) -> AsyncWire:
        wires.append(AsyncWire(failing(httpx.ConnectError("x"))))
        return wires[-1]

    monkeypatch.setattr(httpx, "AsyncHTTPTransport", open_wire)
    monkeypatch.setattr(_seam.Endpoint, "open_fast", lambda endpoint: None)
    transport = AsyncHttpTransport(Settings(server_url="http://h"), timeout=1.0)
    with pytest.raises(UnavailableError):
        await transport.send(GET)
    await transport.aclose()
    assert [wire.closed for wire in wires] == [True]


# async only: begin
async def test_lines_wait_without_end_and_come_whole(plug: Plug) -> None:
    parts = AsyncParts(b'{"a"', b":1}\n\n{", b'"b":2}\n{"c":3}\n{"cut')

    def play(request: httpx.Request) -> httpx.Response:
        assert request.extensions["timeout"]["read"] is None
        return httpx.Response(200, stream=parts)

    lines = [line async for line in plug(play).lines(GET)]
    assert lines == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    assert parts.closed


async def test_lines_end_with_an_error_when_the_connection_breaks(plug: Plug) -> None:
    parts = AsyncParts(b"1\n", httpx.ReadError("cut"))
    lines = plug(lambda request: httpx.Response(200, stream=parts)).lines(GET)
    assert await anext(lines) == b"1"
    with pytest.raises(UnavailableError, match="cut"):
        await anext(lines)
    assert parts.closed


async def test_lines_that_are_refused(plug: Plug) -> None:
    body = b'{"code":"unauthenticated","message":"no key"}'
    transport = plug(lambda request: httpx.Response(401, content=body))
    with pytest.raises(ApiError, match="no key"):
        await anext(transport.lines(GET))


async def test_leaving_the_lines_closes_the_connection(plug: Plug) -> None:
    parts = AsyncParts(b"1\n", b"2\n")
    lines = plug(lambda request: httpx.Response(200, stream=parts)).lines(GET)
    async for _ in lines:
        break
    await lines.aclose()  # type: ignore[attr-defined]  # an async generator behind the protocol
    assert parts.closed


# async only: end
