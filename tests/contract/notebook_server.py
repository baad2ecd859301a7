"""A Jupyter server process with a token and the handlers, and an engine that only listens and keeps what it heard."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlencode, urlsplit

from ironflow_lab.local import health, ports

TOKEN = "the-token-of-jupyter"
ROUTES = "/ironflow-lab/"


@dataclass
class Answer:
    """An HTTP answer; `cookies` are those it set."""

    status: int
    headers: str
    body: bytes
    cookies: list[str]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class NotebookServer:
    """A running Jupyter server; `answers` keeps all it ever said."""

    url: str
    root: Path
    process: subprocess.Popen[bytes]
    answers: list[Answer] = field(default_factory=list)

    def send(self, method: str, path: str, body: bytes | None = None, *, token: str = TOKEN, **headers: str) -> Answer:
        """Send one request; without a token when it is empty."""
        address = urlsplit(self.url)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"token {token}"
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            cookies = response.headers.get_all("Set-Cookie") or []
            answer = Answer(response.status, str(response.headers), response.read(), cookies)
        finally:
            connection.close()
        self.answers.append(answer)
        return answer

    @contextmanager
    def asking(self, path: str) -> Iterator[None]:
        """Send a request and leave at the end of the block without having read its answer."""
        address = urlsplit(self.url)
        with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)) as connection:
            connection.request("GET", path, headers={"Authorization": f"token {TOKEN}"})
            yield

    def get(self, route: str, **query: str | int) -> Answer:
        """Ask a route of ours."""
        return self.send("GET", f"{ROUTES}{route}?{urlencode(query)}")

    def post(self, route: str, **query: str | int) -> Answer:
        """Tell a route of ours."""
        return self.send("POST", f"{ROUTES}{route}?{urlencode(query)}", b"")


def started(root: Path, home: Path) -> NotebookServer:
    """Start a Jupyter server that shows `root`, with folders of its own for all it keeps."""
    port = ports.next_free(8890)
    own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IRONFLOW_")}
    command = [sys.executable, "-m", "jupyter_server", f"--ServerApp.root_dir={root}", f"--ServerApp.port={port}"]
    command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0"]
    command += ["--allow-root"] if os.geteuid() == 0 else []
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root, env={**kept, **own, "JUPYTER_TOKEN": TOKEN}, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    deadline = monotonic() + 60
    while health.get(url, "/api", timeout=1.0)[0] != 200:
        assert process.poll() is None, (home / "log").read_text()
        assert monotonic() < deadline, (home / "log").read_text()
        sleep(0.05)
    return NotebookServer(url=url, root=root, process=process)


class Listener(ThreadingHTTPServer):
    """An engine that answers `/health` and holds everything else until its caller leaves."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Listening)
        self.keys: list[str] = []
        self.held = threading.Event()
        self.left = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()


class _Listening(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("Authorization", ""))
        content = {"status": "ok", "version": "1", "lab": ["runs/audit"]}
        if self.path.startswith(("/health", "/api/v1/capabilities")):
            self._answer(content)
            return
        self.server.held.set()
        if self.connection.recv(1) == b"":
            self.server.left.set()

    def do_POST(self) -> None:
        self.server.keys.append(self.headers.get("Authorization", ""))
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer({"id": "run_held", "functionId": "held", "status": "RUN_STATUS_RUNNING"})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
