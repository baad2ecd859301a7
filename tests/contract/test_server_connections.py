"""Connections that break, stall or speak something else: nothing is lost, and nobody else waits."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from ironflow_lab.testing import LocalServer
from tests.conformance.plain import RPC, Plain, until
from tests.contract.jobs import WORKERS, job_path, register, report, works

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        plain = Plain(server.url)
        plain.call("RegisterFunction", {"id": "f", "triggers": [{"event": "go"}]})
        register(plain, "w", "f")
        yield server


@pytest.fixture
def hasty() -> Iterator[LocalServer]:
    """A server whose leases are short."""
    with LocalServer(lease_seconds=1) as server:
        yield server


@pytest.fixture
def plain(server: LocalServer) -> Iterator[Plain]:
    """The server; afterwards it still does what it is for."""
    plain = Plain(server.url)
    yield plain
    works(plain)


def connected(server: LocalServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def reset(link: socket.socket) -> None:
    """Break the connection, as a killed process or a lost network does."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


def http_of(body: bytes) -> bytes:
    head = f"POST {RPC}IronflowService/Emit HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def read_answer(link: socket.socket) -> tuple[int, bytes]:
    """Read one answer, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = link.recv(1)
        assert byte, f"closed after {head!r}"
        head += byte
    lines = head.decode("latin-1").split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))
    body = b""
    while len(body) < length:
        body += link.recv(length - len(body))
    return int(lines[0].split()[1]), body


class TestConnections:
    def talk(self, server: LocalServer, raw: bytes, answers: int) -> list[int]:
        """Send raw bytes on one connection and return the statuses of that many answers."""
        with connected(server) as link:
            link.sendall(raw)
            return [read_answer(link)[0] for _ in range(answers)]

    def test_a_connection_lives_on_after_refusals(self, server: LocalServer, plain: Plain) -> None:
        bad = [http_of(b"{"), http_of(b"{}"), http_of(b'{"event":"go","dataValue":' + b"[" * 9_000 + b"}")]
        good = http_of(b'{"event":"nobody.listens"}')
        raw = b"".join(one + good for one in bad)
        assert self.talk(server, raw, 6) == [400, 200] * 3

    def test_pipelined_after_an_oversized_body(self, server: LocalServer, plain: Plain) -> None:
        raw = http_of(b" " * (9 * MEGABYTE)) + http_of(b'{"event":"nobody.listens"}')
        assert self.talk(server, raw, 2) == [413, 200]

    @pytest.mark.parametrize(
        "raw",
        [
            b"nonsense\r\n\r\n",
            b"GET /health HTTP/9.9\r\n\r\n",
            b"GET /h\xffalth HTTP/1.1\r\nhost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: many\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    )
    def test_what_is_not_http_is_told_so(self, server: LocalServer, plain: Plain, raw: bytes) -> None:
        assert self.talk(server, raw, 1) == [400]

    def test_an_upgrade_is_answered_as_a_plain_request(self, server: LocalServer, plain: Plain) -> None:
        raw = b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        assert self.talk(server, raw, 1) == [404]

    def test_half_a_request_holds_up_nobody(self, server: LocalServer, plain: Plain) -> None:
        halves = [connected(server) for _ in range(20)]
        for number, link in enumerate(halves):
            link.sendall(http_of(b'{"event":"nobody.listens"}')[: 30 + 6 * number])
        works(plain)
        for link in halves:
            link.close()

    def test_a_client_that_leaves_amid_its_body_changes_nothing(self, server: LocalServer, plain: Plain) -> None:
        before = plain.call("ListRuns", {"functionId": "f"}).get("totalCount", 0)
        for _ in range(5):
            link = connected(server)
            link.sendall(http_of(b'{"event":"go"}')[:-3])
            reset(link)
        works(plain)
        assert plain.call("ListRuns", {"functionId": "f"}).get("totalCount", 0) == before

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_a_poll_whose_client_has_left_takes_nothing(self, server: LocalServer, plain: Plain, how: str) -> None:
        plain.call("RegisterFunction", {"id": "left", "triggers": [{"event": "left"}]})
        register(plain, "leaver", "left")
        links = [connected(server) for _ in range(3)]
        for link in links:
            link.sendall(b"GET /api/v1/workers/leaver/jobs?available=5&wait=20 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        # The writer has seen them once it has answered a later one.
        assert plain.rest("GET", f"{WORKERS}leaver/jobs?available=1").status == 204
        for link in links:
            link.close() if how == "close" else reset(link)
        run_id = plain.start("left", {})
        answer = plain.rest("GET", f"{WORKERS}leaver/jobs?available=5&wait=10")
        (job,) = answer.json["jobs"]
        assert job["run_id"] == run_id
        assert plain.rest("PUT", job_path("leaver", job), report(job)).status == 200

    def test_polls_that_die_as_the_job_comes_lose_none(self, hasty: LocalServer) -> None:
        plain = Plain(hasty.url)
        plain.call("RegisterFunction", {"id": "dying", "triggers": [{"event": "dying"}]})
        register(plain, "dier", "dying")
        runs = []
        for _ in range(30):
            link = connected(hasty)
            link.sendall(b"GET /api/v1/workers/dier/jobs?available=1&wait=20 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            emitting = threading.Thread(target=lambda: runs.append(plain.start("dying", {})))
            emitting.start()
            reset(link)
            emitting.join()
        # A job sent into a connection that was still open is known to nobody: it comes back without an ack.
        found: set[str] = set()
        while len(found) < len(runs):
            answer = plain.rest("GET", f"{WORKERS}dier/jobs?available=50&wait=20")
            assert answer.status == 200, f"{len(runs) - len(found)} jobs are lost"
            found |= {job["run_id"] for job in answer.json["jobs"]}
        assert found == set(runs)

    def test_a_lease_connection_that_breaks_gives_its_runs_back(self, server: LocalServer, plain: Plain) -> None:
        plain.call("RegisterFunction", {"id": "held", "triggers": [{"event": "held"}]})
        register(plain, "holder", "held", instance_id="one")
        link = connected(server)
        link.sendall(b"GET /lab/v1/workers/holder/lease?instance=one HTTP/1.1\r\nhost: localhost\r\n\r\n")
        until(lambda: b'{"type":"held"}' in link.recv(4_096), "the connection to hold")
        run_id = plain.start("held", {})
        (job,) = plain.rest("GET", f"{WORKERS}holder/jobs?available=1&wait=5").json["jobs"]
        reset(link)
        plain.in_status(run_id, "waiting_for_capacity")
        assert plain.rest("PUT", job_path("holder", job), report(job)).status == 409
        (again,) = plain.rest("GET", f"{WORKERS}holder/jobs?available=1&wait=5").json["jobs"]
        assert again["execution_seq"] == job["execution_seq"] + 1
        assert plain.rest("PUT", job_path("holder", again), report(again)).status == 200

    def test_worker_ids_may_hold_anything(self, plain: Plain) -> None:
        for worker in ("a%2Fb", "a%20b%3F", "%E2%82%AC", "a%252Fb", "jobs", "%00"):
            register(plain, worker, "none")
            assert plain.rest("GET", f"{WORKERS}{worker}/jobs?available=1").status == 204
