"""A recording proxy: what the official worker and the server really say to each other."""

from __future__ import annotations

import http.client
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.conformance.plain import Answer, Plain

KEPT = ("content-type", "ironflow-poll-wait", "retry-after")


@dataclass(frozen=True)
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    answer: Answer


class Listener(ThreadingHTTPServer):
    """Takes connections until closed; a client or server that went away is part of the game."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what is wrong with the proxy itself."""
        if not isinstance(sys.exception(), ConnectionError | http.client.HTTPException):
            super().handle_error(request, client_address)


class Tap:
    """Stands between a worker and a server; `exchanges` grows as answers come back."""

    def __init__(self, upstream: Plain) -> None:
        self.exchanges: list[Exchange] = []
        self._listener = Listener(("127.0.0.1", 0), self._handler(upstream))
        self._thread = threading.Thread(target=self._listener.serve_forever, daemon=True)
        self.plain = Plain(f"http://127.0.0.1:{self._listener.server_port}")

    def of_job(self, run_id: str) -> list[Exchange]:
        """Return the acks and reports about the run's jobs."""
        return [one for one in list(self.exchanges) if f"/jobs/{run_id}" in one.path]

    def to(self, ending: str) -> list[Exchange]:
        """Return the exchanges whose path ends so, the query apart."""
        return [one for one in list(self.exchanges) if urlsplit(one.path).path.endswith(ending)]

    def _handler(self, upstream: Plain) -> type[BaseHTTPRequestHandler]:
        tap = self
        address = urlsplit(upstream.url)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                connection = http.client.HTTPConnection(address.hostname or "", address.port)
                try:
                    connection.request(self.command, self.path, body or None, headers)
                    response = connection.getresponse()
                    found = {name.lower(): value for name, value in response.getheaders()}
                    answer = Answer(response.status, found, response.read())
                finally:
                    connection.close()
                tap.exchanges.append(Exchange(self.command, self.path, headers, body, answer))
                self.send_response(answer.status)
                for name in KEPT:
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = forward  # noqa: N815 -- the names http.server looks for

            def log_message(self, *words: Any) -> None:
                """Say nothing: the exchanges are kept."""

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
