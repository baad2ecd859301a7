"""The worker of this process: one for each server and data folder, whatever cell is run again."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from concurrent.futures import wait
from functools import cache
from pathlib import Path

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import IronflowError
from ironflow_lab.kernel.session import notebook_name
from ironflow_lab.kernel.shutdown import before_shutdown
from ironflow_lab.lab import owner
from ironflow_lab.lab.celllog import cell_logs
from ironflow_lab.lab.place import place
from ironflow_lab.lab.session import Session
from ironflow_lab.runtime import identity, sourcestore
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.service import Worker
from ironflow_lab.runtime.settings import Settings
from ironflow_lab.runtime.threads import io_thread

# Jupyter terminates a kernel 2.5 s after it was asked to shut down: for the jobs in hand, and for saving.
_LAST_WORK, _LAST_SAVING = 1.5, 0.6

_lock = threading.RLock()
_known: dict[tuple[int, Path, str], Serving] = {}


class Serving:
    """The functions this process serves to one server, and the worker that does once there are any."""

    def __init__(self, folder: Path, scope: str) -> None:
        self.folder = folder
        self._scope = scope
        self._functions: dict[str, DurableFunction] = {}
        self._client: AsyncClient | None = None
        self._settings = Settings()
        self.worker: Worker | None = None

    def follow(self, session: Session) -> None:
        """Move to where the server is now: the embedded one may have come back at another port."""
        if self._client is None or self._client.server_url == session.server_url:
            return
        functions, self._functions = self._functions, {}
        self.close()
        for function in functions.values():
            self.add(session, function)

    def add(self, session: Session, function: DurableFunction) -> None:
        """Register a function and serve it, starting the worker with the first.

        Raises `DefinitionError` for an id that is not ours to take (see `owner.check`), and `ApiError`.
        """
        worker = self._started(session)
        if function.id not in self._functions:
            owner.check(session.client, session.guard, function.id, data_folder=self.folder)
        worker.add(function)
        self._functions[function.id] = function

    @property
    def sources(self) -> Path:
        """Where the versions of the functions of this server are kept."""
        return sourcestore.folder(self.folder, self._scope)

    def definition(self, function_id: str) -> DurableFunction | None:
        """Return the function as this process has defined it last, None when it has not."""
        return self._functions.get(function_id)

    @property
    def settings(self) -> Settings:
        """How the worker is set up, or will be when it starts."""
        return self._settings

    def configure(self, settings: Settings) -> None:
        """Set the worker up, now or when it starts; raises `ApiError` when the server refuses."""
        if self.worker is not None:
            self.worker.configure(settings)
        self._settings = settings

    def close(self) -> None:
        """Stop the worker, save what it has in hand, and close its connections."""
        worker, client, self.worker, self._client = self.worker, self._client, None, None
        if worker is not None:
            worker.close()
        if client is not None:
            io_thread().call(client.aclose, timeout=1.0)

    def _started(self, session: Session) -> Worker:
        if self.worker is None:
            self._client = session.new_async_client()
            self.worker = Worker(
                self._client,
                data_folder=self.folder,
                owner=self._owner(),
                settings=self._settings,
                sources=self.sources,
                sink=cell_logs(),
            )
            _finish_at_shutdown(os.getpid())
        return self.worker

    def _owner(self) -> str:
        # One notebook may work for several servers, under a name for each.
        owner = identity.owner(notebook_name())
        return f"{self._scope}/{owner}" if self._scope else owner


def serving(session: Session) -> Serving:
    """Return this process's worker for the session's server and data folder."""
    with _lock:
        folder, scope = place(session)
        key = (os.getpid(), folder, scope)
        found = _known.get(key)
        if found is None:
            found = _known[key] = Serving(folder, scope)
        found.follow(session)
        return found


def look(session: Session) -> Serving:
    """Return what this process serves to the session's server, changing nothing; an idle one when it is nothing."""
    with _lock:
        folder, scope = place(session)
        return _known.get((os.getpid(), folder, scope)) or Serving(folder, scope)


def resume(session: Session) -> None:
    """Let the functions that were served to this embedded server before be served to it again."""
    if session.data_dir is not None:
        with _lock:
            found = _known.get((os.getpid(), session.data_dir, ""))
            if found is not None:
                found.follow(session)


@cache
def _finish_at_shutdown(process: int) -> None:
    before_shutdown(finish_all)


def finish_all() -> None:
    """Let the workers of this process finish what they have in hand, for a moment, and save the rest."""
    workers = [found.worker for (process, _, _), found in _known.items() if process == os.getpid()]
    drained = [
        worker.draining(_LAST_WORK if worker.status().jobs else 0.0, flush=_LAST_SAVING)
        for worker in workers
        if worker is not None
    ]
    wait(drained, timeout=_LAST_WORK + _LAST_SAVING)


@atexit.register
def _close_all() -> None:
    for (process, _, _), found in _known.items():
        if process == os.getpid():
            # The interpreter ends either way; what is not saved now is done again by the next worker.
            with contextlib.suppress(IronflowError):
                found.close()
