"""Who this worker is: a name that stays the same for a notebook and a data folder (design D3).

A restarted kernel that comes back under its former name takes its runs over at once instead of
waiting for their leases to run out.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import sys
from pathlib import Path

FOLDER = "workers"
INTERACTIVE = "interactive"


_held: set[int] = set()
_own_marks: set[str] = set()


class Identity:
    """A worker's id, held by a file lock until `release` or the end of the process.

    `shared_with` is the id that was taken by another live process, "" when none was. `mark` is the same
    for all that have asked for the same owner in the same data folder, and tells nothing of either.
    """

    def __init__(self, worker_id: str, *, descriptor: int | None = None, shared_with: str = "") -> None:
        self.worker_id = worker_id
        self.shared_with = shared_with
        self.mark = _mark(shared_with or worker_id)
        self._descriptor = descriptor
        if descriptor is not None:
            _held.add(descriptor)
        _own_marks.add(self.mark)

    def release(self) -> None:
        """Let another process be this worker."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and descriptor in _held:
            _held.discard(descriptor)
            os.close(descriptor)


def acquire(data_folder: Path, owner: str) -> Identity:
    """Return the id kept for `owner` (a notebook's or script's path) in this data folder.

    A second live holder gets a fresh id, and `shared_with` says whose it could not have. A data
    folder that cannot be written gives a fresh id too: it is then only as stable as the process.
    """
    stem = re.sub(r"[^0-9A-Za-z]+", "-", Path(owner).stem).strip("-").lower()[:40] or "worker"
    key = hashlib.sha256(owner.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    path = data_folder / FOLDER / f"{stem}-{key}.id"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return Identity(_fresh(stem))
    kept = _kept(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return Identity(_fresh(stem), shared_with=kept or stem)
    kept = _kept(descriptor)
    if not re.fullmatch(r"[0-9a-z-]{1,80}", kept):
        kept = _fresh(stem)
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, kept.encode("ascii"), 0)
    return Identity(kept, descriptor=descriptor)


def is_own(mark: str) -> bool:
    """Return whether this process has asked for an identity with this mark."""
    return mark in _own_marks


def is_live(data_folder: Path, mark: str) -> bool:
    """Return whether a process holds the identity with this mark in this data folder."""
    for path in (data_folder / FOLDER).glob("*.id"):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            if _mark(_kept(descriptor)) == mark:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except OSError:
            return True
        finally:
            os.close(descriptor)
    return False


def owner(notebook: str | None) -> str:
    """Return what the identity belongs to: the notebook, else the script, else "interactive"."""
    if notebook is not None:
        return notebook or INTERACTIVE
    script = sys.argv[0] if sys.argv else ""
    return str(Path(script).resolve()) if script not in ("", "-", "-c", "-m") else INTERACTIVE


def _let_go() -> None:
    # A forked child would hold the lock on after its parent's end.
    _own_marks.clear()
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


def _kept(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode("ascii", "replace").strip()


def _mark(worker_id: str) -> str:
    return hashlib.sha256(f"ironflow-lab owner {worker_id}".encode()).hexdigest()[:16]


def _fresh(stem: str) -> str:
    return f"{stem}-{secrets.token_hex(4)}"
