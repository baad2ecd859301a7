"""The embedded server in a thread of this process, for tests."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from ironflow_lab.errors import ServerStartError
from ironflow_lab.server.app import ServeConfig, event_loop, serve


class LocalServer:
    """A context manager: a real server on a free loopback port, gone at the end.

    `data_dir` None means a temporary folder. Use `url` inside.
    """

    def __init__(self, data_dir: Path | None = None, *, port: int = 0, lease_seconds: float = 90.0) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="ironflow-lab-") if data_dir is None else None
        folder = Path(self._temporary.name) if self._temporary is not None else data_dir
        assert folder is not None
        self.data_dir = folder
        self.url = ""
        self._config = ServeConfig(
            data_dir=folder, port=port, lease_seconds=lease_seconds, token="testing", on_ready=self._set_ready
        )
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="ironflow-test-server", daemon=True)

    def __enter__(self) -> LocalServer:
        """Start, and return once requests are answered."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise ServerStartError(f"the test server did not start: {self._failure}") from self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and remove a temporary folder; raises what made the server fail meanwhile."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._temporary is not None:
            self._temporary.cleanup()
        if self._failure is not None and error is None:
            raise ServerStartError(f"the test server failed: {self._failure}") from self._failure

    def _run(self) -> None:
        try:
            with event_loop() as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            # For the thread that waits in __enter__, or comes to __exit__.
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self._config, stop=self._stop)

    def _set_ready(self, url: str) -> None:
        self.url = url
        self._ready.set()
