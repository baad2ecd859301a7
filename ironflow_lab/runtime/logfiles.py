"""Files of log lines, one for each run: appended to, cut from the front, and removed when all are too many."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

IN_ALL = 64 * 1024 * 1024
# What a file takes at least: a folder of many short runs is bounded too.
BLOCK = 4096
# How many bytes may be written, and seconds go by, before the folder is looked through again.
_LOOK_AFTER = 1024 * 1024
_LOOK_EVERY = 30.0
# A file that others made larger is read from its end, so many times its bound.
_FARTHEST = 8
_KIND = ".jsonl"
_FRESH = ".new"


class Found(msgspec.Struct, frozen=True):
    """The lines of a file as they stand there, and how many before them are gone."""

    texts: list[bytes]
    dropped: int


class LogFiles:
    """The folder. `fault` is why it cannot be written, "" while it can; nothing here raises `OSError`."""

    def __init__(self, folder: Path, *, per_run: int) -> None:
        self.fault = ""
        self._folder = folder
        self._per_run = per_run
        self._made = False
        self._since_look = _LOOK_AFTER
        self._looked_at = float("-inf")

    def append(self, run_id: str, texts: Iterable[bytes], lost: int) -> None:
        """Add lines to a run's file, after a mark for those that were lost before them."""
        marks = [b"%d" % lost] if lost else []
        block = b"".join(text + b"\n" for text in (*marks, *texts))
        if not block:
            return
        path = self._folder / file_name(run_id)
        try:
            if not self._made:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._made = True
            # What a crash left of a line is not to spoil the next one.
            size = _append(path, b"\n" + block)
            if size > self._per_run:
                self._cut(path)
        except OSError as error:
            self.fault = str(error)
            self._made = False
            return
        self.fault = ""
        self._since_look += len(block)

    def read(self, run_id: str) -> Found | None:
        """Return what a run's file holds; None without a file."""
        try:
            return self._lines(self._folder / file_name(run_id))
        except OSError:
            return None

    def prune(self) -> None:
        """Remove the files not written for longest while the folder is over its bound."""
        if self._since_look < _LOOK_AFTER and time.monotonic() - self._looked_at < _LOOK_EVERY:
            return
        self._since_look, self._looked_at = 0, time.monotonic()
        files = sorted(self._list())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= IN_ALL:
                return
            total -= size
            with contextlib.suppress(OSError):
                Path(path).unlink()

    def _list(self) -> list[tuple[int, int, str]]:
        found = []
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    if entry.name.endswith((_KIND, _FRESH)) and stat.S_ISREG(facts.st_mode):
                        found.append((facts.st_mtime_ns, max(facts.st_size, BLOCK), entry.path))
        return found

    def _cut(self, path: Path) -> None:
        """Keep the newest lines of a file, up to half of its bound."""
        found, room = self._lines(path), self._per_run // 2
        first = len(found.texts)
        while first and (room := room - len(found.texts[first - 1]) - 1) >= 0:
            first -= 1
        mark = b"%d" % (found.dropped + first)
        fresh = path.with_name(f"{path.name}.{os.getpid()}{_FRESH}")
        fresh.unlink(missing_ok=True)
        _append(fresh, b"".join(text + b"\n" for text in (mark, *found.texts[first:])))
        fresh.replace(path)

    def _lines(self, path: Path) -> Found:
        """Return the lines of a file; of one that is far over its bound, those in the newest part."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                return Found([], 0)
            size = min(facts.st_size, _FARTHEST * self._per_run)
            block = os.pread(descriptor, size, facts.st_size - size)
        finally:
            os.close(descriptor)
        texts = block.split(b"\n")
        cut = size < facts.st_size
        marks = [int(text[:18]) for text in texts if text.isdigit()]
        # What remains of the line that was cut through counts as one.
        return Found([text for text in texts[cut:] if text and not text.isdigit()], sum(marks) + cut)


def file_name(run_id: str) -> str:
    """Return the name of a run's file: safe for any text, and another for each."""
    stem = re.sub(r"[^0-9A-Za-z_-]+", "-", run_id)[:60]
    digest = hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{stem}.{digest}{_KIND}"


def _append(path: Path, block: bytes) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
