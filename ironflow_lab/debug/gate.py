"""The gate that replayed code runs behind: its effects on the world are refused, and remembered.

It holds what Python announces by audit events, and a few methods that announce nothing (a send over a
connection made earlier, work handed to an existing pool). It is no sandbox: it keeps honest code from acting
twice. It cannot hold C extensions with input and output of their own (database drivers such as libpq, gRPC,
ZeroMQ, pyarrow's file systems), a write to a file or database that was open before, a foreign function that was
loaded before, nor a thread or process of the user's that is handed work by a queue of his.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from ironflow_lab.debug import effects, patches, places
from ironflow_lab.errors import GateError
from ironflow_lab.history.redaction import clip

# Of more violations or files read only the number is kept.
MOST = 100
LONGEST = 160
REMEDY = "what has an effect belongs into a step: await ctx.step.run(name, function)"
IMPORT_REMEDY = "import the module in a cell first"


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """An effect that was refused.

    `event` is Python's audit event, `what` says it in words without its data ("connect to 'shop:443'"), `place`
    where the user's code asked for it ("line 3: requests.get(url)", "" when unknown), `file` and `line` the same
    as data.
    """

    event: str
    what: str
    place: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.what} ({self.place})" if self.place else self.what


class Gate:
    """What one replay may not do, and what it tried. `what` names it in messages: "the replay of run_1"."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.missed = 0
        self._lock = threading.Lock()
        self._violations: list[Violation] = []
        self._read: dict[str, str] = {}

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The first 100 effects that were refused, in order; `missed` counts the others."""
        with self._lock:
            return tuple(self._violations)

    @property
    def notes(self) -> tuple[str, ...]:
        """The files that were read between steps, each once: their content is that of now, not of the run."""
        with self._lock:
            read = dict(self._read)
        return tuple(f"it read {file}{_at(place)}: as the file is now" for file, place in read.items())

    def said(self, limit: int = 5) -> tuple[str, ...]:
        """Return the violations and then the notes, each as a line fit to show, at most `limit` of each."""
        refused = self.violations
        lines = [f"refused: it would {one}" for one in refused[:limit]]
        more = len(refused) + self.missed - len(lines)
        lines += [f"refused: {more} more"] if more else []
        notes = self.notes
        lines += notes[:limit]
        return (*lines, *([f"and {len(notes) - limit} more files read"] if len(notes) > limit else []))

    def refuse(self, event: str, what: str) -> None:
        """Remember an effect and raise `GateError`."""
        found = places.asked()
        if found.foreign or (found.importing and event in effects.PART_OF_IMPORTING):
            return
        violation = Violation(
            event=event, what=clip(what, limit=LONGEST), place=found.words, file=found.file, line=found.line
        )
        with self._lock:
            if len(self._violations) < MOST:
                self._violations.append(violation)
            else:
                self.missed += 1
        where = found.words or "the code between its steps"
        remedy = IMPORT_REMEDY if found.importing else REMEDY
        raise GateError(f"{self.what} has no effects, but {where} would {violation.what}; {remedy}")

    def read(self, file: str) -> None:
        """Remember that a file was read, when the user's code did."""
        if len(self._read) >= MOST or file in self._read:
            return
        found = places.asked()
        if found.file and not found.importing and not found.foreign:
            with self._lock:
                self._read[file] = found.words

    def __repr__(self) -> str:
        return f"Gate({self.what!r}, violations={len(self._violations) + self.missed})"


class _Thread(threading.local):
    """The gate of a thread; it ends with the thread, whatever ends that."""

    gate: Gate | None = None


_OPEN = Gate("nothing")
_held: ContextVar[Gate | None] = ContextVar("ironflow_lab_gate", default=None)
# By thread as well: code in an empty context of a gated thread is held too.
_thread = _Thread()
_install_lock = threading.Lock()
_installed: list[Callable[..., None]] = []


def current() -> Gate | None:
    """Return the gate that holds this code now."""
    found = _held.get()
    if found is None:
        found = _thread.gate
    return None if found is _OPEN else found


@contextmanager
def enter(held: Gate) -> Iterator[Gate]:
    """Hold this thread, and every context that is copied from this one, until the end of the block.

    A context that outlives the block, such as that of a task in another loop, stays held.
    """
    _install()
    before = _thread.gate
    patches.put(_ask)
    token = _held.set(held)
    _thread.gate = held
    try:
        yield held
    finally:
        _thread.gate = before
        _held.reset(token)
        patches.take_back()


@contextmanager
def lift() -> Iterator[None]:
    """Let the code of the block, and the threads and tasks it starts, have effects.

    Code that leaves the block's context (`contextvars.Context().run`) is held by its thread's gate again.
    """
    token = _held.set(_OPEN)
    try:
        yield
    finally:
        _held.reset(token)


def _install() -> None:
    """Add the audit hook, once: it cannot be removed from a process."""
    with _install_lock:
        if not _installed:
            sys.addaudithook(_hook)
            _installed.append(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    words = effects.WATCHED.get(event)
    if words is None:
        return
    held = current()
    if held is None:
        return
    # What is done in here, such as reading a line of source, is no act of the user's code.
    token = _held.set(_OPEN)
    try:
        what = words(args)
        if what:
            held.refuse(event, what)
        elif event == "open":
            file = effects.file_read(args)
            if file:
                held.read(file)
    finally:
        _held.reset(token)


def _ask(event: str, words: Callable[..., str], *args: Any) -> None:
    """Refuse what announces no audit event; called by the patched methods."""
    held = current()
    if held is None:
        return
    token = _held.set(_OPEN)
    try:
        what = words(*args)
        if what:
            held.refuse(event, what)
    finally:
        _held.reset(token)


def _at(place: str) -> str:
    return f" ({place})" if place else ""
