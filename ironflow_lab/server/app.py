"""Composes protocol, engine and store into one process that listens on a loopback port."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import msgspec
import uvicorn

from ironflow_lab._version import __version__
from ironflow_lab.clock import SECOND, Clock, Ids, SystemClock, SystemIds
from ironflow_lab.errors import ServerStartError
from ironflow_lab.server.engine.outcome import Wake
from ironflow_lab.server.engine.ports import Wakes
from ironflow_lab.server.protocol.asgi import App
from ironflow_lab.server.protocol.connect import Connect
from ironflow_lab.server.protocol.eventlog import EventLog
from ironflow_lab.server.protocol.events import Events
from ironflow_lab.server.protocol.exchange import first
from ironflow_lab.server.protocol.functions import Functions
from ironflow_lab.server.protocol.history import History
from ironflow_lab.server.protocol.invoking import Invocations
from ironflow_lab.server.protocol.runs import Runs
from ironflow_lab.server.protocol.secrets import Secrets
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.server.protocol.workers import Workers
from ironflow_lab.server.store.desk import Desk
from ironflow_lab.server.store.reads import Reader

log = logging.getLogger("ironflow_lab.server")


class ServeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to serve.

    `port` 0 means any free one; `token` is what `/health` answers as `instance`; `lease_seconds` is
    how long a silent worker without a lease connection keeps its runs; `on_ready` gets the URL once
    requests are answered.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 9123
    token: str = ""
    lease_seconds: float = 90.0
    on_ready: Callable[[str], None] = lambda url: None
    clock: Clock = SystemClock()
    ids: Ids = SystemIds()


async def serve(config: ServeConfig, *, stop: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until `stop` is set; everything acknowledged is on disk.

    Raises `ServerStartError` when the port or the data folder cannot be used, and where secrets are to be
    encrypted.
    """
    _refuse_master_key()
    listener = listen(config.host, config.port)
    ending = stop or asyncio.Event()
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        async with _application(config, ending) as app:
            await _run(app, listener, config, ending)
    except OSError as error:
        raise ServerStartError(f"the data folder {config.data_dir} cannot be used: {error}") from None
    finally:
        listener.close()


def run(config: ServeConfig) -> None:
    """Serve in this process until SIGTERM or SIGINT."""
    with event_loop() as runner:
        runner.run(serve(config))


def event_loop() -> asyncio.Runner:
    """Return what runs the server: uvloop where it is installed."""
    factory = None if find_spec("uvloop") is None else import_module("uvloop").new_event_loop
    return asyncio.Runner(loop_factory=factory)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on a loopback address; raises `ServerStartError` when it cannot be had."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ServerStartError(f"{host!r} is not a loopback address; the embedded server listens on 127.0.0.1 only")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Without the protocol named here, asyncio leaves Nagle's algorithm on: 40 ms for every answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise ServerStartError(
            f"port {port} on {address} cannot be used ({error.strerror}); choose another with --port, or 0 for any"
        ) from None
    return listener


def _refuse_master_key() -> None:
    # Better not at all than in the belief that it encrypts.
    if os.environ.get("IRONFLOW_MASTER_KEY", "").strip():
        raise ServerStartError(
            "IRONFLOW_MASTER_KEY is set, and this embedded server cannot encrypt secrets with it: it keeps them as"
            " they are, in a file that only its owner can read; unset the variable here, or connect to a server"
            " that encrypts"
        )


@asynccontextmanager
async def _application(config: ServeConfig, ending: asyncio.Event) -> AsyncIterator[App]:
    waiting = Waiting(ending)
    lease_ns = int(config.lease_seconds * SECOND)
    heard = _All()
    desk = Desk(config.data_dir, clock=config.clock, ids=config.ids, lease_ns=lease_ns, wakes=heard)
    reads = Reader(config.data_dir)
    # Those who remember first: whoever is woken afterwards may read at once.
    heard.hearers = (reads, waiting)
    history = History(reads, waiting)
    runs = Runs(desk, reads)
    try:
        yield App(
            connect=Connect(
                (
                    Functions(desk, reads).procedures,
                    Events(desk, reads, waiting).procedures,
                    Invocations(desk, reads, waiting).procedures,
                    runs.procedures,
                    history.procedures,
                )
            ),
            workers=Workers(desk, waiting, lease_seconds=config.lease_seconds, closing=ending),
            history=history,
            events=EventLog(desk, reads),
            runs=runs,
            secrets=Secrets(desk, reads),
            waiting=waiting,
            reads=reads,
            clock=config.clock,
            version=__version__,
            token=config.token,
        )
    finally:
        await asyncio.to_thread(reads.close)
        await desk.close()


class _All:
    """All who hear of commits, in order (the law is engine.ports.Wakes)."""

    hearers: tuple[Wakes, ...] = ()

    def heard(self, wakes: list[Wake]) -> None:
        """Take the wakes of one commit."""
        for hearer in self.hearers:
            hearer.heard(wakes)


async def _run(app: App, listener: socket.socket, config: ServeConfig, ending: asyncio.Event) -> None:
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            log_level="warning",
            timeout_graceful_shutdown=1,
            # Longer than clients keep an idle connection: one that ends it first never sends into a closed one.
            timeout_keep_alive=75,
            server_header=False,
            date_header=False,
        )
    )
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await first(server.ready.wait(), asyncio.shield(serving))
        if not server.ready.is_set():
            raise ServerStartError("the HTTP server ended before it was ready; its log says why")
        host, port = listener.getsockname()[:2]
        config.on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        await ending.wait()
    finally:
        ending.set()
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready, and without its signal handlers.

    Those would end the process before the store is closed.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: `serve` has its own handlers."""
        yield
