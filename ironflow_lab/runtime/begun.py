"""Which code each run began with: one short line a run in the data folder, so that a restart does not forget it.

The server knows which version of a function was current when a run was created. That is not the same:
a run that waited in the queue while its function was edited begins with the newer code.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import stat
import threading
from collections import OrderedDict
from pathlib import Path

from ironflow_lab.runtime.sourcestore import write

log = logging.getLogger("ironflow_lab.runtime")

# What stands for "the newest code, whatever it is then".
NEWEST = "newest"

FILE = "runs.log"
MOST_BYTES = 1024 * 1024
MOST_RUNS = 50_000
_WORD = re.compile(r"[!-~]{1,200}")
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Begun:
    """The code hash each run began with, or `NEWEST`; safe from any thread and several processes.

    Without a folder, or where it cannot be written, it is remembered as long as the process; the 50,000
    newest runs are. Lines are not forced to disk but for those of `move`: they outlive the process, and
    after a loss of power the server is asked instead.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = None if folder is None else folder / FILE
        self._lock = threading.Lock()
        self._codes: OrderedDict[str, str] = OrderedDict()
        # A run that failed goes on with the newest code, and has run on another.
        self._last: dict[str, str] = {}
        self._inode, self._seen = 0, 0

    def of(self, run_id: str) -> str:
        """Return the hash of the code the run began with, `NEWEST` for a moved run, "" when not known."""
        with self._lock:
            self._refresh()
            return self._codes.get(run_id, "")

    def last(self, run_id: str) -> str:
        """Return the hash of the code that executed the run last, whatever it goes on with; "" when not known."""
        with self._lock:
            self._refresh()
            return self._last.get(run_id, "")

    def note(self, run_id: str, code_hash: str) -> None:
        """Remember with which code a run begins."""
        self._write(run_id, code_hash, force=False)

    def move(self, run_id: str) -> bool:
        """Let the run's next segment begin with the newest code; False when that is not on disk."""
        return self._write(run_id, NEWEST, force=True)

    def ended(self, run_id: str) -> None:
        """Forget the code of a run that has failed for good: tried again, it begins with the newest."""
        self._write(run_id, NEWEST, force=False)

    def _write(self, run_id: str, code: str, *, force: bool) -> bool:
        with self._lock:
            self._remember(run_id, code)
            if self._file is None or not _WORD.fullmatch(run_id) or not _WORD.fullmatch(code):
                return False
            try:
                self._append(self._file, f"\n{run_id} {code}\n".encode("ascii"), force=force)
            except OSError as error:
                # Said by the store of the sources, which lies in the same folder.
                log.info("%s cannot be written: %s", self._file, error)
                return False
            return True

    def _append(self, file: Path, line: bytes, *, force: bool) -> None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FLAGS, 0o600)
        try:
            size = write(descriptor, line)
            if force:
                os.fsync(descriptor)
            if size > MOST_BYTES:
                _turn(file, descriptor)
        finally:
            os.close(descriptor)

    def _refresh(self) -> None:
        """Read what has been written since the last time, by whomever."""
        if self._file is None:
            return
        inode, size = _mark(self._file)
        if inode and (inode, size) == (self._inode, self._seen):
            return
        if not inode or inode != self._inode or size < self._seen:
            # It has become the older half, or has been tampered with.
            older = _mark(_older(self._file))[0]
            seen = self._read(_older(self._file), self._seen if older == self._inode else 0)
            if not inode:
                self._inode, self._seen = older, seen
                return
            self._inode, self._seen = inode, 0
        self._seen = self._read(self._file, self._seen)

    def _read(self, file: Path, start: int) -> int:
        """Read the file's lines from there on, and return where they end."""
        try:
            descriptor = os.open(file, os.O_RDONLY | _FLAGS)
        except OSError:
            return start
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                return start
            start = max(start, facts.st_size - 2 * MOST_BYTES)
            content = os.pread(descriptor, facts.st_size - start, start)
        except OSError:
            return start
        finally:
            os.close(descriptor)
        for line in content.split(b"\n"):
            run_id, found, code = line.decode("ascii", "replace").partition(" ")
            if found and _WORD.fullmatch(run_id) and _WORD.fullmatch(code):
                self._remember(run_id, code)
        return start + len(content)

    def _remember(self, run_id: str, code: str) -> None:
        self._codes[run_id] = code
        self._codes.move_to_end(run_id)
        if code != NEWEST:
            self._last[run_id] = code
        if len(self._codes) > MOST_RUNS:
            forgotten, _ = self._codes.popitem(last=False)
            self._last.pop(forgotten, None)


@functools.cache
def at(folder: Path) -> Begun:
    """Return this process's record of that folder."""
    return Begun(folder)


def _mark(file: Path) -> tuple[int, int]:
    """Return what tells whether a file has changed: its inode and size, zeros when there is none."""
    try:
        facts = file.stat(follow_symlinks=False)
    except OSError:
        return 0, 0
    return facts.st_ino, facts.st_size


def _older(file: Path) -> Path:
    return file.with_suffix(".old")


def _turn(file: Path, descriptor: int) -> None:
    """Begin a new file, unless another process has: the one before is kept as the older half."""
    with contextlib.suppress(OSError):
        if file.stat().st_ino == os.fstat(descriptor).st_ino:
            file.replace(_older(file))
