"""The server under test (an embedded one unless told otherwise) and the two kinds of worker."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.plain import Plain
from tests.conformance.plain_worker import PlainWorker
from tests.conformance.processes import Official, Process, Server
from tests.conformance.rpc import OfficialRpc
from tests.conformance.script import Script

HERE = Path(__file__).parent
RPC = [(client, codec) for client in ("sync", "async") for codec in ("binary", "json")]
PROCESSES = pytest.StashKey[list[Process]]()

StartOfficial = Callable[..., Official]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server-url",
        default=os.environ.get("IRONFLOW_CONFORMANCE_URL"),
        help="the server to hold to the protocol; default: an embedded one, started here"
        " ($IRONFLOW_CONFORMANCE_URL; the key in $IRONFLOW_CONFORMANCE_API_KEY)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.conformance)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes printed with a failure."""
    report = yield
    if report.failed:
        for process in item.config.stash.get(PROCESSES, []):
            report.sections.append((process.name, process.story()))
    return report


@pytest.fixture(scope="session")
def processes(request: pytest.FixtureRequest) -> list[Process]:
    """The processes whose output a failure shows."""
    return request.config.stash.setdefault(PROCESSES, [])


@pytest.fixture(scope="session")
def plain(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    processes: list[Process],
) -> Iterator[Plain]:
    """The server under test."""
    named = request.config.getoption("--server-url", default=os.environ.get("IRONFLOW_CONFORMANCE_URL"))
    if named:
        key = os.environ.get("IRONFLOW_CONFORMANCE_API_KEY")
        yield Plain(named.rstrip("/"), {"Authorization": f"Bearer {key}"} if key else {})
        return
    server = Server(tmp_path_factory.mktemp("server"))
    processes.append(server)
    with server:
        yield server.plain


@pytest.fixture(scope="session", params=RPC, ids="-".join)
def rpc(
    request: pytest.FixtureRequest, plain: Plain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OfficialRpc]:
    """The official RPC client, blocking and async, in either codec."""
    client, codec = request.param
    with OfficialRpc(plain.url, tmp_path_factory.mktemp("rpc"), client=client, codec=codec) as started:
        yield started


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of this scenario's own, for functions and events: scenarios share the server."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())
    return f"{words[:30].strip('-')}-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def embedded(
    request: pytest.FixtureRequest, tmp_path: Path, processes: list[Process]
) -> Iterator[Callable[..., Server]]:
    """Start embedded servers that the scenario may kill; skips when the server is somebody else's."""
    if request.config.getoption("--server-url", default=None):
        pytest.skip("kills its server or sets its lease: only with a server of its own")
    with ExitStack() as stack:

        def start(*arguments: str) -> Server:
            server = Server(tmp_path, *arguments)
            processes.append(server)
            return stack.enter_context(server)

        yield start


@pytest.fixture
def official(name: str, tmp_path: Path, processes: list[Process]) -> Iterator[StartOfficial]:
    """Start official workers: `official(url, worker_id=..., ...)`."""
    yield from start_officials(name, tmp_path, processes)


def start_officials(prefix: str, folder: Path, processes: list[Process]) -> Iterator[StartOfficial]:
    """Yield a function that starts official workers, and stop them all at the end."""
    with ExitStack() as stack:

        def start(plain: Plain, worker_id: str = "", **options: Any) -> Official:
            chosen = worker_id or f"{prefix}-worker"
            worker = Official(folder, plain.url, prefix, worker_id=chosen, **options)
            processes.append(worker)
            return stack.enter_context(worker)

        yield start


@pytest.fixture(scope="session")
def script(plain: Plain, tmp_path_factory: pytest.TempPathFactory, processes: list[Process]) -> Iterator[Script]:
    """One official worker for all scenarios whose runs carry their program."""
    prefix = f"scr{uuid.uuid4().hex[:6]}"
    for start in start_officials(prefix, tmp_path_factory.mktemp("script"), processes):
        worker = start(plain, program="script.py", slots=30, checkpoint=0.02)
        yield Script(plain, worker.serves(plain, "mirror"))


@pytest.fixture
def worker(plain: Plain, name: str) -> PlainWorker:
    """A registered plain worker whose one function `{name}` is started by the event `{name}.go`."""
    return register(plain, name)


def register(plain: Plain, name: str, **options: Any) -> PlainWorker:
    """Register the function and a worker for it."""
    plain.call("RegisterFunction", {"id": name, "triggers": [{"event": f"{name}.go"}], **options})
    return PlainWorker(plain, f"{name}-worker", (name,)).register()
