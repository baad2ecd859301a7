"""Which code runs: the newest definition of each function, and the one a run in flight began with."""

from __future__ import annotations

import logging
from collections import OrderedDict
from enum import Enum, auto

from ironflow_lab.models.workers import Assignment
from ironflow_lab.runtime import output, revival, sources
from ironflow_lab.runtime.begun import NEWEST, Begun
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.sourcestore import SourceStore

log = logging.getLogger("ironflow_lab.runtime")

MOST_PINNED = 10_000
MOST_EARLIER = 200


class Open(Enum):
    """Which code a run began with is not known here."""

    ASK = auto()


class Registry:
    """Functions by id. Defining one again replaces it for new runs only (design D20).

    A run keeps the code it began with until it ends: that of its earlier segment where it ran here (the
    10,000 newest such runs are remembered), else that of the hash which the data folder or the server
    tells, compiled from its kept source. Where that cannot be had, the newest code goes on with it, which
    is said under the cell. Code is executed only of functions that this process has defined.
    """

    def __init__(self, *, store: SourceStore | None = None, begun: Begun | None = None) -> None:
        self._newest: dict[str, DurableFunction] = {}
        self._pinned: OrderedDict[str, DurableFunction] = OrderedDict()
        self._earlier: OrderedDict[tuple[str, str], DurableFunction] = OrderedDict()
        self._store = store
        self._begun = begun or Begun()

    def keep(self, function: DurableFunction) -> None:
        """Keep the function's source: on disk when this returns."""
        if self._store is not None and function.source is not None:
            self._store.keep(function.id, function.source)

    def define(self, function: DurableFunction) -> None:
        """Make this the function's newest definition."""
        replaced = self._newest.get(function.id)
        if replaced is not None:
            self._remember(replaced)
        self._newest[function.id] = function

    def remove(self, function_id: str) -> None:
        """Forget a function, if it is known."""
        self._newest.pop(function_id, None)

    def __contains__(self, function_id: object) -> bool:
        """Return whether the function is defined here."""
        return function_id in self._newest

    def newest(self) -> tuple[DurableFunction, ...]:
        """Return the newest definition of every function."""
        return tuple(self._newest.values())

    def waits(self, function_id: str) -> bool:
        """Return whether a function that is not defined here was defined before a restart."""
        return self._store is not None and bool(self._store.versions(function_id))

    def choose(self, given: Assignment) -> DurableFunction | Open | None:
        """Return the definition that executes this run, None for an unknown function.

        `Open.ASK` says that the server has to be asked, and `answered` be told.
        """
        newest, pinned = self._newest.get(given.function_id), self._pinned.get(given.run_id)
        if pinned is None and not revival.resumed(given):
            return newest
        began = self._begun.of(given.run_id)
        if began == NEWEST and newest is not None:
            return newest
        if pinned is not None:
            # The same code defined again: the newer object prints under the cell as it is now.
            return newest if newest is not None and newest.code_hash == pinned.code_hash else pinned
        if newest is None:
            return None
        return self.answered(given, began) if began else Open.ASK

    def answered(self, given: Assignment, code_hash: str) -> DurableFunction | None:
        """Return the definition with that hash, the newest where it cannot be had ("" for not known)."""
        newest = self._newest.get(given.function_id)
        if newest is None or newest.code_hash == code_hash:
            return newest
        found = self._version(newest, code_hash) if code_hash else None
        if found is None:
            _say(newest, given, code_hash)
        return found or newest

    def begin(self, run_id: str, function: DurableFunction, *, first: bool) -> None:
        """Note with which code a segment of the run begins, if that is news."""
        if first or self._begun.of(run_id) != function.code_hash:
            self._begun.note(run_id, function.code_hash)
        pinned = self._pinned.get(run_id)
        if pinned is not None and pinned.code_hash != function.code_hash:
            self.unpin(run_id)

    def pin(self, run_id: str, function: DurableFunction) -> None:
        """Keep this definition for the later segments of a run."""
        self._pinned[run_id] = function
        self._pinned.move_to_end(run_id)
        if len(self._pinned) > MOST_PINNED:
            self._pinned.popitem(last=False)

    def pinned(self) -> tuple[str, ...]:
        """Return the ids of the runs whose code is held, the newest last."""
        return tuple(self._pinned)

    def unpin(self, run_id: str) -> None:
        """Forget a run that is completed."""
        self._pinned.pop(run_id, None)

    def release(self, run_id: str) -> None:
        """Forget the code of a run that has failed for good: when it is tried again it begins with the newest."""
        self.unpin(run_id)
        self._begun.ended(run_id)

    def _version(self, newest: DurableFunction, code_hash: str) -> DurableFunction | None:
        key = newest.id, code_hash
        if key in self._earlier:
            return self._earlier[key]
        source = self._store.find(*key) if self._store is not None else None
        if source is None:
            return None
        if newest.source is not None and sources.same(source.text, newest.source.text):
            # Another Python gives the same code another hash, and so does another option.
            return newest
        found = revival.revive(newest, source)
        if found is not None:
            self._remember(found)
        return found

    def _remember(self, function: DurableFunction) -> None:
        self._earlier[function.id, function.code_hash] = function
        self._earlier.move_to_end((function.id, function.code_hash))
        if len(self._earlier) > MOST_EARLIER:
            self._earlier.popitem(last=False)


def _say(newest: DurableFunction, given: Assignment, code_hash: str) -> None:
    began = f"version {code_hash:.8}, whose code cannot be had any more" if code_hash else "code that nobody knows"
    text = (
        f"{given.run_id} of {given.function_id!r} began with {began}; it goes on with the newest,"
        f" {newest.code_hash:.8}: what it has recorded may not fit. If it does not, cancel it and start it anew"
    )
    output.note(newest, text, level="changed-code", run_id=given.run_id, attempt=given.attempt)
