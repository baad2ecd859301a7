"""Which code runs: the newest definition of each function, and the one a run in flight began with."""

from __future__ import annotations

from collections import OrderedDict

from ironflow_lab.runtime.function import DurableFunction

MOST_PINNED = 10_000


class Registry:
    """Functions by id. Defining one again replaces it for new runs only (design D20).

    An assignment carries no version, so a run whose earlier segment ran here keeps the code it
    began with until it ends; the 10,000 newest such runs are remembered.
    """

    def __init__(self) -> None:
        self._newest: dict[str, DurableFunction] = {}
        self._pinned: OrderedDict[str, DurableFunction] = OrderedDict()

    def define(self, function: DurableFunction) -> None:
        """Make this the function's newest definition."""
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

    def resolve(self, run_id: str, function_id: str) -> DurableFunction | None:
        """Return the definition that executes this run, or None when the function is unknown."""
        newest = self._newest.get(function_id)
        pinned = self._pinned.get(run_id)
        # The same code defined again: the newer object prints under the cell as it is now.
        if pinned is None or (newest is not None and newest.code_hash == pinned.code_hash):
            return newest
        return pinned

    def pin(self, run_id: str, function: DurableFunction) -> None:
        """Keep this definition for the later segments of a run."""
        self._pinned[run_id] = function
        self._pinned.move_to_end(run_id)
        if len(self._pinned) > MOST_PINNED:
            self._pinned.popitem(last=False)

    def unpin(self, run_id: str) -> None:
        """Forget a run: it has ended, or its next segment may use the newest definition."""
        self._pinned.pop(run_id, None)
