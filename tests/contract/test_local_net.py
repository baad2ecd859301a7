"""Looking for a free port and for a server that answers, against real sockets."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing

import pytest

from ironflow_lab.local import health, ports


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port_and_one_in_use(host: str) -> None:
    try:
        other = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with closing(other):
        port = other.getsockname()[1]
        assert not ports.is_free(port, host=host)
        assert ports.next_free(port, host=host) != port
    assert ports.is_free(port, host=host)


def test_no_free_port_leaves_the_choice_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port, *, host: False)
    port, note = ports.choose(None, default=9123)
    assert port > 0
    assert note == f"port 9123 is in use, so this is {port}"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{}",
    ],
)
def test_whatever_else_answers_is_no_server(answer: bytes) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        with subprocess.Popen([sys.executable, "-c", ANSWER, repr(answer)], stdin=other.fileno()) as child:
            assert health.ask(f"http://127.0.0.1:{other.getsockname()[1]}") is None
        assert child.returncode == 0


ANSWER = """
import ast, socket, sys
connection, _ = socket.socket(fileno=0).accept()
connection.recv(65536)
connection.sendall(ast.literal_eval(sys.argv[1]))
connection.close()
"""


def test_silence_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT", 0.05)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        assert health.ask(f"http://127.0.0.1:{other.getsockname()[1]}") is None
