"""A real server, a lab joined to it, and a function that settles orders."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.client._async.transport import AsyncHttpTransport
from ironflow_lab.client._sync.transport import HttpTransport
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire.message import Request, Response
from ironflow_lab.wire.rest import WORKERS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory whose data folder is not the repository's."""
    before, place = Path.cwd(), tmp_path_factory.mktemp("lab")
    (place / ".ironflow").mkdir()
    os.chdir(place)
    yield place
    os.chdir(before)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(scope="module")
def lab(server: LocalServer) -> Iterator[il.Lab]:
    joined = il.connect(server.url)
    yield joined
    joined.worker.stop()
    joined.close()


@pytest.fixture(scope="module")
def orders(lab: il.Lab) -> il.Lab:
    """The lab with a function that charges, sleeps a moment, and fails for some."""

    @lab.function("settle", on="order.placed", retry={"max_attempts": 3, "initial_delay": "20ms"})
    async def settle(ctx: Any) -> Any:
        number = ctx.event.data["n"]
        charged = await ctx.step.run("charge", charge, number, ctx.run.attempt)
        await ctx.step.sleep("rest", "300ms")
        return {"n": number, "charged": charged}

    return lab


def charge(number: int, attempt: int) -> int:
    if number % 5 == 4:
        raise il.NonRetryableError(f"card {number} declined", code="DECLINED")
    if number % 5 == 3 and attempt == 1:
        raise TimeoutError("no answer")
    return number * 100


@pytest.fixture(scope="module")
def script() -> Callable[..., subprocess.Popen[str]]:
    """Start a program of its own: `script(folder, code, **environment)`."""

    def start(folder: Path, code: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every request that leaves this process from now on, but those of its worker."""
    sent: list[Request] = []
    plain, awaited = HttpTransport.send, AsyncHttpTransport.send

    def note(request: Request) -> None:
        if not request.path.startswith(WORKERS):
            sent.append(request)

    def send(self: HttpTransport, request: Request) -> Response:
        note(request)
        return plain(self, request)

    async def send_async(self: AsyncHttpTransport, request: Request) -> Response:
        note(request)
        return await awaited(self, request)

    monkeypatch.setattr(HttpTransport, "send", send)
    monkeypatch.setattr(AsyncHttpTransport, "send", send_async)
    return sent
