"""The fast connections as tables of bytes: what an answer is, what ends a connection, what is used again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest

from ironflow_lab.client import _seam
from ironflow_lab.client._fast import AnswerCut, FastPool
from ironflow_lab.client.config import Key, Settings
from ironflow_lab.wire.message import Request, Response

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n{}"


class Line:
    """A connection whose other end is the test: `play` gets each request and feeds the protocol.

    No `asyncio.Transport`, as those of other event loops are none.
    """

    def __init__(self, protocol: asyncio.Protocol, play: Callable[[Line, bytes], None]) -> None:
        self.protocol, self.play = protocol, play
        self.aborted = False
        protocol.connection_made(cast("asyncio.Transport", self))

    def write(self, data: bytes) -> None:
        self.play(self, data)

    def abort(self) -> None:
        self.aborted = True


class Lines:
    """The connections a pool opened, in the place of `loop.create_connection`."""

    def __init__(self, play: Callable[[Line, bytes], None]) -> None:
        self.play = play
        self.opened: list[Line] = []
        self.places: list[tuple[Any, ...]] = []

    async def create(
        self, make: Callable[[], asyncio.Protocol], host: str, port: int, *, ssl: Any, server_hostname: str | None
    ) -> Any:
        self.places.append((host, port, ssl, server_hostname))
        line = Line(make(), self.play)
        self.opened.append(line)
        return line, line.protocol


def answering(*parts: bytes) -> Callable[[Line, bytes], None]:
    """Return the play that answers every request with these parts, one after the other."""

    def play(line: Line, request: bytes) -> None:
        for part in parts:
            line.protocol.data_received(part)

    return play


def leaving(answer: bytes, error: Exception | None = None) -> Callable[[Line, bytes], None]:
    """Return the play that answers and closes the connection."""

    def play(line: Line, request: bytes) -> None:
        if answer:
            line.protocol.data_received(answer)
        line.protocol.connection_lost(error)

    return play


async def pool_over(
    monkeypatch: pytest.MonkeyPatch, play: Callable[[Line, bytes], None], *, limit: int = 10
) -> tuple[FastPool, Lines]:
    lines = Lines(play)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", lines.create)
    return FastPool("127.0.0.1", 9123, tls=None, limit=limit, idle=4.0, largest=1000), lines


async def ask(pool: FastPool) -> Response:
    return await pool.send(b"GET / HTTP/1.1\r\n\r\n", connect=30.0, read=30.0)


@pytest.mark.parametrize(
    "parts",
    [
        (OK,),
        tuple(OK[place : place + 1] for place in range(len(OK))),
        (CHUNKED,),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK,),
    ],
    ids=["whole", "byte by byte", "chunked", "interim", "interim in one piece"],
)
async def test_an_answer_and_its_connection_used_again(
    monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...]
) -> None:
    pool, lines = await pool_over(monkeypatch, answering(*parts))
    for _ in range(3):
        answer = await ask(pool)
        assert (answer.status, answer.body) == (200, b"{}")
    assert len(lines.opened) == 1


async def test_headers_are_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = b"HTTP/1.1 204 No Content\r\nIronflow-Poll-Wait: 20\r\n\r\n"
    pool, _ = await pool_over(monkeypatch, answering(empty))
    answer = await ask(pool)
    assert (answer.status, answer.body, answer.headers) == (204, b"", {"ironflow-poll-wait": "20"})


@pytest.mark.parametrize(
    "play",
    [
        answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"),
        answering(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
        leaving(ENDLESS),
        leaving(OK),
        answering(OK, b"HTTP/1.1 200 OK\r\n"),
    ],
    ids=["says close", "old", "ends with the connection", "left after it", "says more"],
)
async def test_an_answer_whose_connection_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch, play: Callable[[Line, bytes], None]
) -> None:
    pool, lines = await pool_over(monkeypatch, play)
    for _ in range(2):
        assert (await ask(pool)).body == b"{}"
    assert len(lines.opened) == 2


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (leaving(b""), httpx.ReadError),
        (leaving(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"), httpx.ReadError),
        (leaving(ENDLESS, ConnectionResetError("reset")), httpx.ReadError),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), httpx.RemoteProtocolError),
        (answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), httpx.RemoteProtocolError),
        (
            answering(b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
            httpx.RemoteProtocolError,
        ),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n" + OK[17:]), httpx.DecodingError),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2000), AnswerCut),
    ],
    ids=["hangs up", "cut short", "reset", "no http", "bad chunk", "upgrade", "packed", "too large"],
)
async def test_no_answer(
    monkeypatch: pytest.MonkeyPatch, play: Callable[[Line, bytes], None], error: type[Exception]
) -> None:
    pool, lines = await pool_over(monkeypatch, play)
    for _ in range(2):
        with pytest.raises(error):
            await ask(pool)
    assert [line.aborted for line in lines.opened] == [True, True]


async def test_what_comes_unasked_ends_a_kept_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, lines = await pool_over(monkeypatch, answering(OK))
    await ask(pool)
    lines.opened[0].protocol.data_received(OK)
    await ask(pool)
    assert [line.aborted for line in lines.opened] == [True, False]


async def test_a_cancelled_call_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, lines = await pool_over(monkeypatch, answering())
    call = asyncio.ensure_future(ask(pool))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait({call})
    assert call.cancelled()
    assert [line.aborted for line in lines.opened] == [True]


async def test_no_more_connections_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[Line] = []
    pool, lines = await pool_over(monkeypatch, lambda line, request: waiting.append(line), limit=2)
    calls = [asyncio.ensure_future(ask(pool)) for _ in range(5)]
    while not all(call.done() for call in calls):
        await asyncio.sleep(0)
        assert len(waiting) <= 2
        while waiting:
            waiting.pop().protocol.data_received(OK)
    assert len(lines.opened) == 2


async def test_closing_fails_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, lines = await pool_over(monkeypatch, answering())
    call = asyncio.ensure_future(ask(pool))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    pool.close()
    lines.opened[0].protocol.connection_lost(None)
    with pytest.raises(httpx.ReadError):
        await call


async def test_tls_checks_the_name_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines(answering(OK))
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", lines.create)
    monkeypatch.setattr(_seam, "getproxies", dict)
    endpoint = _seam.Endpoint(Settings(server_url="https://ironflow.invalid"), timeout=30.0)
    pool = endpoint.open_fast()
    assert pool is not None
    await ask(pool)
    ((host, port, tls, name),) = lines.places
    assert (host, port, name) == ("ironflow.invalid", 443, "ironflow.invalid")
    assert tls.check_hostname
    assert tls.verify_mode is ssl.CERT_REQUIRED


def test_a_request_as_it_goes_over_the_line() -> None:
    settings = Settings(
        server_url="http://127.0.0.1:9123/prefix", api_key=Key("ifkey_secret_1234"), environment="env_1"
    )
    endpoint = _seam.Endpoint(settings, timeout=30.0)
    request = Request(
        method="PUT",
        path="/a%2Fb/c",
        query=(("q", "x y"),),
        body=b"{}",
        headers=(("content-type", "application/json"),),
    )
    head, _, body = endpoint.text(request).partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    assert (first, body) == ("PUT /prefix/a%2Fb/c?q=x+y HTTP/1.1", b"{}")
    headers = dict(line.split(": ", 1) for line in rest)
    assert headers.items() >= {
        ("host", "127.0.0.1:9123"),
        ("accept-encoding", "identity"),
        ("authorization", "Bearer ifkey_secret_1234"),
        ("x-ironflow-environment-id", "env_1"),
        ("content-type", "application/json"),
        ("content-length", "2"),
    }


def test_a_request_without_a_body_has_no_length() -> None:
    endpoint = _seam.Endpoint(Settings(server_url="http://localhost:9123"), timeout=30.0)
    assert b"content-length" not in endpoint.text(Request(method="GET", path="/health"))
    assert endpoint.patience(Request(method="GET", path="/jobs", wait=20.0)) == {"connect": 10.0, "read": 25.0}
