"""The worker of this process: one for each server and data folder, whatever cell is run again."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from pathlib import Path

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.errors import DefinitionError, IronflowError, NotFoundError
from ironflow_lab.kernel.session import notebook_name
from ironflow_lab.lab.place import place
from ironflow_lab.lab.session import Session
from ironflow_lab.runtime import identity
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.service import Worker
from ironflow_lab.runtime.threads import io_thread

_lock = threading.RLock()
_known: dict[tuple[int, Path, str], Serving] = {}


class Serving:
    """The functions this process serves to one server, and the worker that does once there are any."""

    def __init__(self, folder: Path, scope: str) -> None:
        self._folder = folder
        self._scope = scope
        self._functions: dict[str, DurableFunction] = {}
        self._client: AsyncClient | None = None
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

        Raises `DefinitionError` for an id that belongs to a push function, and `ApiError`.
        """
        if function.id not in self._functions:
            check_mode(session.client, function.id)
        if self.worker is None:
            self._client = session.new_async_client()
            self.worker = Worker(self._client, data_folder=self._folder, owner=self._owner())
        self.worker.add(function)
        self._functions[function.id] = function

    def close(self) -> None:
        """Stop the worker, save what it has in hand, and close its connections."""
        worker, client, self.worker, self._client = self.worker, self._client, None, None
        if worker is not None:
            worker.close()
        if client is not None:
            io_thread().call(client.aclose, timeout=1.0)

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


def resume(session: Session) -> None:
    """Let the functions that were served to this embedded server before be served to it again."""
    if session.data_dir is not None:
        with _lock:
            found = _known.get((os.getpid(), session.data_dir, ""))
            if found is not None:
                found.follow(session)


@atexit.register
def _close_all() -> None:
    for (process, _, _), found in _known.items():
        if process == os.getpid():
            # The interpreter ends either way; what is not saved now is done again by the next worker.
            with contextlib.suppress(IronflowError):
                found.close()


def check_mode(client: Client, function_id: str) -> None:
    """Return unless the id belongs to a push function; then raise `DefinitionError`."""
    try:
        found = client.functions.get(function_id)
    except NotFoundError:
        return
    if found.preferred_mode == "push":
        raise DefinitionError(
            f"{function_id!r} is a push function of this server, called at {found.endpoint_url}; serving it"
            " from here would take it over. Choose another id"
        )
