"""What runs printed and logged: in memory, and in the data folder, where it outlives the process."""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ironflow_lab.runtime.logfiles import LogFiles
from ironflow_lab.runtime.ticker import Ticker

KEPT_PER_RUN = 256 * 1024
KEPT_IN_ALL = 8 * 1024 * 1024
# What a line weighs beside its text.
WEIGHT = 64
# A line is on disk this many seconds after it was printed.
LATEST = 0.1
FOLDER = "logs"


class LogLine(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One line of a run. `at` is in nanoseconds, `attempt` from 1; `step` is "" outside a step's body.

    `stream` is "stdout", "stderr", "log", "warning", "error" or "display"; `level` a logging level or
    a warning's category; `data` the mime bundle of a display, where it is small.
    """

    at: int
    run_id: str
    function_id: str
    text: str
    stream: str
    level: str = ""
    attempt: int = 0
    step_id: str = ""
    step: str = ""
    data: dict[str, str] | None = None

    def weight(self) -> int:
        """Return what the line counts against the bounds."""
        more = sum(map(len, self.data.values())) if self.data else 0
        return len(self.text) + WEIGHT + more


class Lines(msgspec.Struct, frozen=True):
    """The lines kept of one run, oldest first, and how many older ones are gone; `found` if any is known."""

    lines: tuple[LogLine, ...] = ()
    dropped: int = 0
    found: bool = False


class _Kept:
    """One run's newest lines; `fresh` of them are not on disk, and `lost` were never written."""

    __slots__ = ("dropped", "fresh", "lines", "lost", "size")

    def __init__(self) -> None:
        self.lines: deque[LogLine] = deque()
        self.size = 0
        self.fresh = 0
        self.dropped = 0
        self.lost = 0

    def add(self, line: LogLine) -> int:
        """Keep a line and return by how much the whole grew."""
        before = self.size
        self.lines.append(line)
        self.fresh += 1
        self.size += line.weight()
        while self.size > KEPT_PER_RUN and len(self.lines) > 1:
            self.size -= self.lines.popleft().weight()
            self.dropped += 1
            if self.fresh > len(self.lines):
                self.fresh -= 1
                self.lost += 1
        return self.size - before

    def take(self) -> tuple[list[LogLine], int]:
        """Return the lines that are to be written, and how many before them never will be."""
        lines = list(self.lines)[len(self.lines) - self.fresh :]
        lost, self.lost, self.fresh = self.lost, 0, 0
        return lines, lost


class LogStore:
    """The lines of runs: the last 256 kB of each, 8 MB in all in memory, 64 MB in the data folder.

    `add` never waits for the disk: a thread of its own writes, 0.1 s later at most. A disk that
    cannot be written leaves what is in memory.
    """

    def __init__(self, data_folder: Path) -> None:
        self._process = os.getpid()
        self._files = LogFiles(data_folder / FOLDER, per_run=2 * KEPT_PER_RUN)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._runs: OrderedDict[str, _Kept] = OrderedDict()
        self._dirty: dict[str, _Kept] = {}
        self._total = 0
        self._ticker = Ticker("ironflow-logs", self.flush, delay=LATEST)
        atexit.register(self.flush)

    def add(self, line: LogLine) -> None:
        """Keep a line; the oldest of its run, and the runs silent for longest, make room in memory."""
        with self._lock:
            kept = self._runs.get(line.run_id)
            if kept is None:
                kept = self._runs[line.run_id] = _Kept()
            self._total += kept.add(line)
            self._dirty[line.run_id] = kept
            if self._total > KEPT_IN_ALL:
                self._make_room(line.run_id)
        self._ticker.touch()

    def hurry(self) -> None:
        """Have what is kept written now, without waiting for it."""
        self._ticker.hurry()

    def flush(self) -> None:
        """Return when what has been added is written."""
        if self._process != os.getpid():
            # What was added before a fork is the parent's to write.
            return
        with self._writing:
            with self._lock:
                taken = [(run_id, *kept.take()) for run_id, kept in self._dirty.items()]
                self._dirty.clear()
            for run_id, lines, lost in taken:
                self._files.append(run_id, (_encode(line) for line in lines), lost)
            self._files.prune()

    def read(self, run_id: str) -> Lines:
        """Return what is kept of a run, in this process and in the data folder."""
        self.flush()
        found = self._files.read(run_id)
        if found is None or self._files.fault:
            return self._in_memory(run_id)
        lines = _newest(_decode(text, run_id) for text in found.texts)
        return Lines(tuple(lines), found.dropped + len(found.texts) - len(lines), found=True)

    def newest(self, count: int) -> tuple[LogLine, ...]:
        """Return at most `count` of the newest lines in memory, oldest first."""
        with self._lock:
            latest = sorted((kept.lines for kept in self._runs.values() if kept.lines), key=lambda lines: lines[-1].at)
            recent = [list(lines)[-count:] for lines in latest[-count:]]
        return tuple(sorted((line for lines in recent for line in lines), key=lambda line: line.at)[-count:])

    def _in_memory(self, run_id: str) -> Lines:
        with self._lock:
            kept = self._runs.get(run_id)
            return Lines() if kept is None else Lines(tuple(kept.lines), kept.dropped, found=True)

    def _make_room(self, spared: str) -> None:
        # Runs with lines that are not written yet stay: the writer is about to come.
        for run_id in list(self._runs):
            if self._total <= KEPT_IN_ALL:
                return
            if run_id != spared and run_id not in self._dirty:
                self._total -= self._runs.pop(run_id).size


_lock = threading.Lock()
_stores: dict[tuple[int, Path], LogStore] = {}


def at(data_folder: Path) -> LogStore:
    """Return this process's store for a data folder."""
    key = (os.getpid(), data_folder.absolute())
    with _lock:
        if key not in _stores:
            _stores[key] = LogStore(key[1])
        return _stores[key]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LogLine)


def _encode(line: LogLine) -> bytes:
    try:
        return _encoder.encode(line)
    except UnicodeEncodeError:
        # A lone surrogate, as from a file name that is not UTF-8.
        text = line.text.encode("utf-8", "replace").decode()
        return _encoder.encode(msgspec.structs.replace(line, text=text, step=ascii(line.step), data=None))


def _decode(text: bytes, run_id: str) -> LogLine | None:
    try:
        line = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return line if line.run_id == run_id else None


def _newest(lines: Iterable[LogLine | None]) -> list[LogLine]:
    room, found = KEPT_PER_RUN, list[LogLine]()
    for line in reversed([one for one in lines if one is not None]):
        room -= line.weight()
        if room < 0 and found:
            break
        found.append(line)
    return found[::-1]
