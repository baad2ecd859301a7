"""What a serving process holds of its data folder: the lock, its record and the discovery file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ironflow_lab._version import __version__
from ironflow_lab.clock import Clock, SystemClock, SystemIds
from ironflow_lab.local import discovery, folders, lock, record, watch

ALREADY_SERVED = 75
"""Exit status of a server whose data folder is served by another."""

# In seconds: one that is gone refuses at once, and two servers of one folder are worse than a wait.
_PATIENCE = 20.0

ERROR = "ironflow-lab: error: "
"""How the line begins in which the command line says what stopped it."""


class Tenancy:
    """A data folder held by this process for as long as it lives.

    `token` is the start token the server answers /health with, `notes` what is unusual about it.
    """

    def __init__(self, folder: Path, held: lock.FolderLock, *, owner_pid: int, clock: Clock) -> None:
        self.folder = folder
        self.token = SystemIds().token()
        self.notes: list[str] = []
        self._lock = held
        self._owner_pid = owner_pid
        self._clock = clock
        self._discovery = discovery.path_here()

    def announce(self, url: str) -> None:
        """Publish the discovery file and then `server.json`: the server answers at `url` from now on.

        Raises ServerStartError when the data folder cannot be written.
        """
        note = discovery.publish(self._discovery, url, self.token)
        if note:
            self.notes.append(note)
        mine = record.ServerRecord(
            pid=os.getpid(),
            token=self.token,
            url=url,
            port=urlsplit(url).port or 80,
            version=__version__,
            started_at=self._clock.now(),
            owner_pid=self._owner_pid,
            notes=tuple(self.notes),
        )
        try:
            record.write(self.folder, mine)
        except OSError as problem:
            raise folders.unwritable(self.folder, problem) from problem

    def watch(self, say: Callable[[str], None]) -> None:
        """End this process by SIGTERM, after a word by `say`, once its owner or folder is gone."""
        conditions = {f"{self.folder} was removed": lambda: not self._lock.is_current()}
        if self._owner_pid:
            owner = watch.Owner(self._owner_pid)
            conditions[f"its owner, process {self._owner_pid}, has ended"] = owner.is_gone
        watch.start(conditions, say)

    def leave(self) -> None:
        """Remove both files; the lock goes with the process, so that nobody starts before it ended."""
        discovery.withdraw(self._discovery, self.token)
        if self._lock.is_current():
            record.remove(self.folder)


def hold(folder: Path, *, owner_pid: int = 0, clock: Clock | None = None) -> Tenancy | None:
    """Return this process's hold of the prepared folder, or None when a live server has it.

    A record left by a server that was killed is removed. Raises ServerStartError when the folder
    cannot be written.
    """
    try:
        held = lock.acquire(folder)
        if held is None:
            return None
        if record.answering(folder, timeout=_PATIENCE) is not None:
            # Its lock file was removed under it; the server itself lives, however much it has to do.
            held.release()
            return None
        record.remove(folder)
    except OSError as problem:
        raise folders.unwritable(folder, problem) from problem
    return Tenancy(folder, held, owner_pid=owner_pid, clock=clock or SystemClock())
