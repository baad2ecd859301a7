"""A proxy before a server that keeps the first line of every request: what left this process, told by the socket."""

from __future__ import annotations

import http.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from urllib.parse import urlsplit

from ironflow_lab.wire import connect, rest

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class CountingProxy:
    """A context manager; `requests` are method and path, in the order in which they arrived."""

    def __init__(self, server_url: str) -> None:
        self.requests: list[tuple[str, str]] = []
        address = urlsplit(server_url)
        assert address.hostname is not None
        upstream, requests = (address.hostname, address.port), self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                requests.append((self.command, self.path))
                back = http.client.HTTPConnection(*upstream, timeout=60)
                sent = {key: value for key, value in self.headers.items() if key.lower() not in _HOP}
                back.request(self.command, self.path, body, sent)
                answer = back.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in _HOP:
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                back.close()

            def log_message(self, format: str, *args: object) -> None:
                pass

        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            setattr(Handler, f"do_{method}", Handler._pass)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def changes(self) -> list[str]:
        """The paths of the requests that may have changed something."""
        return [path for method, path in self.requests if not _harmless(method, path)]

    def __enter__(self) -> CountingProxy:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; connections under way end with the process."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _harmless(method: str, path: str) -> bool:
    plain = path.partition("?")[0]
    return method == "GET" or plain.removeprefix(connect.SERVICE) in connect.REPEATABLE or plain == rest.LAB_WAIT
