"""Ends the server of a data folder, after proof that the process is that server."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import discovery, folders, lock, record, watch

_PAUSE = 0.02
_SILENT_WAIT = 2.0
_FORCE = "Kill it with `ironflow-lab stop --force`, or stop(force=True): what it acknowledged is safe."


def stop(data_dir: str | os.PathLike[str] | None = None, *, force: bool = False, wait: float = 10.0) -> bool:
    """End the data folder's server and return True once it is gone; False when none runs.

    With `force` a server that does not answer, or does not end within `wait` seconds, is killed.
    Raises ServerStartError when it still runs.
    """
    folder = folders.locate(data_dir)
    holder = lock.holder(folder)
    answering = record.answering(folder)
    if answering is not None:
        pid = answering.pid
    elif holder is None:
        return False
    elif holder and force:
        # A held lock proves that the number in it was not reused: the kernel frees it at the end.
        pid = holder
    else:
        raise silent(folder, holder)
    _end(folder, pid, force=force, wait=wait if answering is not None else min(wait, _SILENT_WAIT))
    if answering is not None:
        discovery.withdraw(discovery.path_here(), answering.token)
    return True


def silent(folder: Path, pid: int) -> ServerStartError:
    """Return the error for a data folder whose holder does not answer."""
    who = f"Process {pid}" if pid else "A process"
    return ServerStartError(f"{who} holds {folder} but does not answer (yet). {_FORCE}")


def _end(folder: Path, pid: int, *, force: bool, wait: float) -> None:
    _signal(pid, signal.SIGTERM)
    if _gone(folder, pid, wait):
        return
    if not force:
        raise ServerStartError(f"Process {pid}, the server, did not end within {wait:g} s. {_FORCE}")
    _signal(pid, signal.SIGKILL)
    if not _gone(folder, pid, max(wait, _SILENT_WAIT)):
        raise ServerStartError(f"Process {pid}, the server, does not end even when killed.")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as problem:
        raise ServerStartError(f"Process {pid}, the server, belongs to another user, who has to stop it.") from problem


def _gone(folder: Path, pid: int, wait: float) -> bool:
    """Wait until the process has ended, `wait` seconds at most; return whether it has."""
    deadline = time.monotonic() + wait
    # A process that nobody waits for keeps its number, but not its lock.
    locked = lock.holder(folder) is not None
    while lock.holder(folder) == pid if locked else watch.is_alive(pid):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)
    return True
