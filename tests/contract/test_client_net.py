"""The clients over real sockets, against servers that misbehave in ways no honest server can.

The same laws hold for the blocking client, the awaited one and its fast transport.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest

from ironflow_lab.client import AsyncClient, Client, _seam
from ironflow_lab.errors import (
    ApiError,
    DeadlineExceededError,
    FailedPreconditionError,
    UnavailableError,
)
from ironflow_lab.models.workers import Fence, LeaseLine
from ironflow_lab.wire.retry import NO_RETRY

OK = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"status":"ok"}'
Behave = Callable[[socket.socket, int], bool]


class Rogue:
    """A server of one behaviour: called with each request's number, it answers and says "go on"."""

    def __init__(self, behave: Behave) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.connections = 0
        self.hung_up = threading.Event()
        self.leaving = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def stop(self) -> None:
        self.leaving.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in self._threads)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.leaving.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(lambda peer=peer: self._serve(peer))  # type: ignore[misc]  # a bound default

    def _serve(self, peer: socket.socket) -> None:
        peer.settimeout(10)
        with peer:
            while request := self._read(peer):
                self.requests.append(request)
                if not self.behave(peer, len(self.requests)):
                    return
        self.hung_up.set()

    def _read(self, peer: socket.socket) -> bytes:
        data = b""
        while not _whole(data):
            try:
                part = peer.recv(65536)
            except OSError:
                return b""
            if not part:
                return b""
            data += part
        return data


def _whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return len(body) >= (int(lengths[0].split(b":")[1]) if lengths else 0)


@pytest.fixture
def rogue() -> Iterator[Callable[[Behave], Rogue]]:
    """Start servers that the test's end stops."""
    started: list[Rogue] = []

    def start(behave: Behave) -> Rogue:
        started.append(Rogue(behave))
        return started[-1]

    yield start
    for server in started:
        server.stop()


Start = Callable[[Behave], Rogue]


def say(answer: bytes, *, then: bool = True) -> Behave:
    """Return the behaviour that always sends `answer`, then goes on or hangs up."""

    def behave(peer: socket.socket, number: int) -> bool:
        peer.sendall(answer)
        return then

    return behave


def until_hung_up(peer: socket.socket, number: int) -> bool:
    """Say nothing until the client leaves."""
    return bool(peer.recv(1)) and False


def ask_sync(url: str, times: int, timeout: float) -> None:
    with Client(url, timeout=timeout, retry=NO_RETRY) as client:
        for _ in range(times):
            client.workers.ack("w", "j", Fence())


def ask_calm(url: str, times: int, timeout: float) -> None:
    async def ask() -> None:
        async with AsyncClient(url, timeout=timeout, retry=NO_RETRY) as client:
            for _ in range(times):
                await client.runs.cancel("run_1")

    asyncio.run(ask())


def ask_fast(url: str, times: int, timeout: float) -> None:
    async def ask() -> None:
        async with AsyncClient(url, timeout=timeout, retry=NO_RETRY) as client:
            for _ in range(times):
                await client.workers.ack("w", "j", Fence())

    asyncio.run(ask())


Ask = Callable[[str, int, float], None]


@pytest.fixture(params=[ask_sync, ask_calm, ask_fast], ids=["sync", "calm", "fast"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Call a server some times: blocking, awaited, and by the fast transport."""
    asked: Ask = request.param
    return asked


RUN = b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"id":"run_1"}'


def test_connections_are_kept(rogue: Start, ask: Ask) -> None:
    server = rogue(say(RUN))
    ask(server.url, 3, 10.0)
    assert (len(server.requests), server.connections) == (3, 1)


def test_the_key_goes_with_every_call(rogue: Start) -> None:
    server = rogue(say(RUN))
    with Client(server.url, "ifkey_1") as client:
        for _ in range(2):
            client.runs.get("run_1")
    assert [b"authorization: bearer ifkey_1\r\n" in request.lower() for request in server.requests] == [True] * 2


def test_nobody_listens(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(UnavailableError, match="connection refused") as caught:
        ask(url, 1, 10.0)
    assert url in str(caught.value)
    assert "il.start()" in str(caught.value)


def test_a_host_that_does_not_exist(ask: Ask) -> None:
    with pytest.raises(UnavailableError, match=r"no-such-host\.invalid"):
        ask("http://no-such-host.invalid:9123", 1, 10.0)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken\x00header\r\n\r\n",
    ],
    ids=["hangs-up", "no-http", "cut-short", "bad-chunk", "bad-status", "bad-header"],
)
def test_answers_that_are_no_answers(rogue: Start, ask: Ask, answer: bytes) -> None:
    server = rogue(say(answer, then=False))
    with pytest.raises(ApiError) as caught:
        ask(server.url, 1, 10.0)
    assert server.url in str(caught.value)
    assert caught.value.__cause__ is None


def test_silence_ends_at_the_deadline(rogue: Start, ask: Ask) -> None:
    server = rogue(until_hung_up)
    with pytest.raises(DeadlineExceededError, match=r"within 0\.2 s.*carried out all the same"):
        ask(server.url, 1, 0.2)


def test_a_kept_connection_that_breaks_does_not_repeat_the_call(rogue: Start, ask: Ask) -> None:
    def second_is_lost(peer: socket.socket, number: int) -> bool:
        if number == 1:
            peer.sendall(RUN)
        return number == 1

    server = rogue(second_is_lost)
    with pytest.raises(UnavailableError):
        ask(server.url, 2, 10.0)
    assert len(server.requests) == 2


def test_a_redirect_is_not_followed(rogue: Start, ask: Ask) -> None:
    elsewhere = rogue(say(RUN))
    head = f"HTTP/1.1 307 Moved\r\nlocation: {elsewhere.url}/x\r\ncontent-length: 0\r\n\r\n"
    server = rogue(say(head.encode()))
    with pytest.raises(FailedPreconditionError, match=elsewhere.url):
        ask(server.url, 1, 10.0)
    assert elsewhere.requests == []


def test_an_answer_without_end_is_cut(rogue: Start, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_seam, "LARGEST_ANSWER", 100_000)

    def flood(peer: socket.socket, number: int) -> bool:
        peer.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                peer.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except OSError:
            return False

    server = rogue(flood)
    with pytest.raises(_seam.AnswerTooLargeError):
        ask(server.url, 1, 10.0)


def test_a_call_over_many_threads(rogue: Start) -> None:
    server = rogue(say(OK))
    with Client(server.url) as client, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.server.health().status, range(80)))
    assert answers == ["ok"] * 80
    assert server.connections <= 8


async def test_the_blocking_client_works_inside_a_running_loop(rogue: Start) -> None:
    with Client(rogue(say(OK)).url) as client:
        assert client.server.health().status == "ok"


def test_an_interrupt_ends_a_blocking_call_at_once(rogue: Start) -> None:
    def interrupt_first(peer: socket.socket, number: int) -> bool:
        if number > 1:
            peer.sendall(OK)
            return True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return until_hung_up(peer, number)

    with Client(rogue(interrupt_first).url) as client:
        with pytest.raises(KeyboardInterrupt):
            client.server.health()
        assert client.server.health().status == "ok"


def test_an_async_client_belongs_to_one_loop(rogue: Start) -> None:
    client = AsyncClient(rogue(say(OK)).url)

    async def first() -> None:
        await client.server.health()
        # What another loop cannot use any more is not left for it to close.
        await client._connection._transport.aclose()

    async def second() -> None:
        with pytest.raises(FailedPreconditionError, match="one client per loop"):
            await client.server.health()
        async with AsyncClient(client.server_url) as another:
            assert (await another.server.health()).status == "ok"

    asyncio.run(first())
    asyncio.run(second())


async def test_many_calls_at_once_share_the_fast_connections(rogue: Start) -> None:
    server = rogue(say(OK))
    async with AsyncClient(server.url) as client:
        found = await asyncio.gather(*(client.server.health() for _ in range(20)))
        assert {health.status for health in found} == {"ok"}
        before = server.connections
        await client.server.health()
        assert server.connections == before


async def test_a_cancelled_poll_leaves_the_server(rogue: Start) -> None:
    asked = threading.Event()

    def hold(peer: socket.socket, number: int) -> bool:
        asked.set()
        return until_hung_up(peer, number) or True

    server = rogue(hold)
    async with AsyncClient(server.url) as client:
        poll = asyncio.ensure_future(client.workers.poll("w", available=1))
        await asyncio.to_thread(asked.wait, 10)
        poll.cancel()
        await asyncio.wait([poll])
        assert poll.cancelled()
        assert await asyncio.to_thread(server.hung_up.wait, 10)


LEASE = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{"type":"held"}\n\r\n'


async def test_leaving_the_lease_closes_its_connection(rogue: Start) -> None:
    def hold(peer: socket.socket, number: int) -> bool:
        peer.sendall(LEASE)
        return until_hung_up(peer, number) or True

    server = rogue(hold)
    async with AsyncClient(server.url) as client:
        lines: AsyncIterator[LeaseLine] = client.workers.lease("w", "i")
        async with aclosing(lines) as opened:  # type: ignore[type-var]  # a generator behind the protocol
            assert (await anext(opened)).type == "held"
        assert await asyncio.to_thread(server.hung_up.wait, 10)


async def test_a_lease_whose_server_vanishes(rogue: Start) -> None:
    server = rogue(say(LEASE, then=False))
    async with AsyncClient(server.url) as client:
        lines = client.workers.lease("w", "i")
        assert (await anext(lines)).type == "held"
        with pytest.raises(UnavailableError):
            await anext(lines)
