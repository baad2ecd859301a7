"""Where versions of functions are kept: JSON lines in the data folder, one file a function."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ironflow_lab.runtime.sources import Source

log = logging.getLogger("ironflow_lab.runtime")

FOLDER = "sources"
LOCAL = "_local"
MOST_VERSIONS = 50
MOST_BYTES = 2 * 1024 * 1024
MOST_FUNCTIONS = 500
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class _Line(Source, frozen=True, kw_only=True):
    """A version as it stands in the file."""

    function_id: str


class SourceStore:
    """The versions of the functions that this data folder has seen; safe from any thread and several processes.

    A folder that cannot be written is said once, and the versions are then kept as long as the process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._unwritten: dict[str, tuple[Source, ...]] = {}
        self._read: OrderedDict[Path, tuple[tuple[int, int, int], tuple[_Line, ...]]] = OrderedDict()
        self._said = False

    def keep(self, function_id: str, source: Source) -> None:
        """Keep a version; on disk when this returns."""
        with self._lock:
            kept = self._versions(function_id)
            if kept and msgspec.structs.replace(kept[-1], defined_at=source.defined_at) == source:
                return
            line = _Line(function_id=function_id, **msgspec.structs.asdict(source))
            try:
                self._append(self._path(function_id), msgspec.json.encode(line))
            except OSError as error:
                self._unwritten[function_id] = (*self._unwritten.get(function_id, ()), source)[-MOST_VERSIONS:]
                self._say(error)

    def versions(self, function_id: str) -> tuple[Source, ...]:
        """Return the versions of a function, each hash once, the one defined last at the end."""
        with self._lock:
            return self._versions(function_id)

    def find(self, function_id: str, code_hash: str) -> Source | None:
        """Return the version with that hash, or None."""
        return next((one for one in self.versions(function_id) if one.code_hash == code_hash), None)

    def known(self) -> tuple[str, ...]:
        """Return the ids of the functions that were defined last, at most 500, by id."""
        with self._lock:
            found = set(self._unwritten)
            try:
                paths = [path for path in self.folder.iterdir() if path.suffix == ".jsonl"]
            except OSError:
                paths = []
            for path in sorted(paths, key=_changed_at)[-MOST_FUNCTIONS:]:
                found.update(line.function_id for line in self._lines(path)[-1:])
            return tuple(sorted(found))

    def _versions(self, function_id: str) -> tuple[Source, ...]:
        by_hash: dict[str, Source] = {}
        kept = [_source(line) for line in self._lines(self._path(function_id)) if line.function_id == function_id]
        for source in (*kept, *self._unwritten.get(function_id, ())):
            by_hash.pop(source.code_hash, None)
            by_hash[source.code_hash] = source
        return tuple(by_hash.values())

    def _path(self, function_id: str) -> Path:
        stem = re.sub(r"[^0-9A-Za-z]+", "-", function_id).strip("-").lower()[:40] or "function"
        key = hashlib.sha256(function_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return self.folder / f"{stem}-{key}.jsonl"

    def _append(self, path: Path, line: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FLAGS, 0o600)
            try:
                # Begun anew: the line before may have been cut by a kill.
                size = write(descriptor, b"\n" + line + b"\n")
                os.fsync(descriptor)
                if not _is(path, descriptor):
                    # Another process has put a shorter file in its place meanwhile.
                    continue
            finally:
                os.close(descriptor)
            break
        if size > MOST_BYTES:
            self._shorten(path)

    def _shorten(self, path: Path) -> None:
        with _alone_with(self.folder) as locked:
            if not locked:
                return
            lines = _bounded(self._lines(path))
            fresh = path.with_suffix(f".{os.getpid()}.tmp")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600)
            try:
                write(descriptor, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            fresh.replace(path)

    def _lines(self, path: Path) -> tuple[_Line, ...]:
        """Return the readable lines of a file, the newest of each hash, oldest first."""
        try:
            descriptor = os.open(path, os.O_RDONLY | _FLAGS)
        except OSError:
            return ()
        try:
            facts = os.fstat(descriptor)
            mark = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if path not in self._read or self._read[path][0] != mark:
                self._read[path] = mark, _parse(descriptor, facts)
                self._read.move_to_end(path)
                if len(self._read) > MOST_FUNCTIONS:
                    self._read.popitem(last=False)
            return self._read[path][1]
        except OSError:
            return ()
        finally:
            os.close(descriptor)

    def _say(self, error: OSError) -> None:
        if not self._said:
            self._said = True
            log.warning(
                "the sources of functions cannot be kept in %s (%s): after a restart of this process a run in flight"
                " goes on with the newest code. Make the folder writable, or name another data folder",
                self.folder,
                error.strerror or type(error).__name__,
            )


def folder(data_folder: Path, scope: str) -> Path:
    """Return where a data folder keeps the sources for a server; "" is the folder's own embedded one."""
    name = re.sub(r"[^0-9A-Za-z.+-]+", "-", scope).strip(".-")[:80]
    if not name:
        return data_folder / FOLDER / LOCAL
    if name != scope:
        name = f"{name}-{hashlib.sha256(scope.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return data_folder / FOLDER / name


def write(descriptor: int, content: bytes) -> int:
    """Write all of the content, in one call where the disk allows, and return the file's size then."""
    while content:
        content = content[os.write(descriptor, content) :]
    return os.fstat(descriptor).st_size


def _parse(descriptor: int, facts: os.stat_result) -> tuple[_Line, ...]:
    if not stat.S_ISREG(facts.st_mode):
        return ()
    # What stands before was to be cut away anyhow.
    start = max(0, facts.st_size - 2 * MOST_BYTES)
    content = os.pread(descriptor, facts.st_size - start, start)
    by_hash: dict[str, _Line] = {}
    for text in content.split(b"\n"):
        if text.startswith(b"{"):
            # A line that was cut, or that others wrote, says nothing.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                line = _decoder.decode(text)
                by_hash.pop(line.code_hash, None)
                by_hash[line.code_hash] = line
    return tuple(by_hash.values())


_decoder = msgspec.json.Decoder(_Line)


def _bounded(lines: tuple[_Line, ...]) -> list[_Line]:
    """Return the newest lines, oldest first, half as many bytes as a file may have."""
    kept: list[_Line] = []
    room = MOST_BYTES // 2
    for line in reversed(lines[-MOST_VERSIONS:]):
        room -= len(msgspec.json.encode(line))
        if room < 0 and kept:
            break
        kept.insert(0, line)
    return kept


def _source(line: _Line) -> Source:
    return Source(**{name: getattr(line, name) for name in Source.__struct_fields__})


def _is(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@contextlib.contextmanager
def _alone_with(place: Path) -> Iterator[bool]:
    """Hold the folder's lock for the block, or give False when another process has it."""
    descriptor = os.open(place / ".lock", os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
