"""The lock that makes one server per data folder; the kernel frees it however the holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

FILE = "server.lock"
_PAUSE = 0.01


class FolderLock:
    """A held lock: kept until `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def is_current(self) -> bool:
        """Return whether the locked file is still the one in the folder, not removed."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def release(self) -> None:
        """Let go of the lock; the file stays, since removing it would let two holders in."""
        os.close(self._descriptor)


def acquire(folder: Path, *, patience: float = 0.3) -> FolderLock | None:
    """Return the folder's lock, or None when another process keeps it for `patience` seconds.

    Raises OSError when the folder cannot be written.
    """
    path = folder / FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience
    while not _try(descriptor, fcntl.LOCK_EX):
        # `holder` of another process has it for an instant; a server has it for good.
        if time.monotonic() >= deadline:
            os.close(descriptor)
            return None
        time.sleep(_PAUSE)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return FolderLock(path, descriptor)


def holder(folder: Path) -> int | None:
    """Return the process id of the live holder (0 when it has not said yet), or None when free."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY)
    except OSError:
        return None
    try:
        if _try(descriptor, fcntl.LOCK_SH):
            return None
        with contextlib.suppress(ValueError):
            return int(os.pread(descriptor, 32, 0))
        return 0
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
