"""How many runs stand where: kept count as runs are looked at, cheap for a batch of many thousands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from threading import Lock

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.lab import summary
from ironflow_lab.models.runs import TERMINAL, Run

MOST_ROWS = 20
MOST_FOLLOWED = 200
LONGEST_NOTE = 200


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one run stood when it was last looked at; `status` is "" while it has not been."""

    run_id: str
    function_id: str = ""
    status: str = ""
    note: str = ""

    @property
    def settled(self) -> bool:
        """Whether it has ended or is paused."""
        return self.status in TERMINAL or self.status == "paused"


class Tally:
    """The runs of a batch by status, for any thread; `version` changes whenever a run is seen to have moved."""

    def __init__(self, run_ids: Sequence[str]) -> None:
        self.run_ids = tuple(run_ids)
        self.version = 0
        self._standing: dict[str, Standing] = {}
        self._counts: Counter[str] = Counter()
        self._pending = dict.fromkeys(self.run_ids)
        self._lock = Lock()

    @property
    def total(self) -> int:
        """How many runs there are."""
        return len(self.run_ids)

    @property
    def settled(self) -> bool:
        """Whether every run has ended or is paused."""
        return not self._pending

    def take(self, run: Run) -> None:
        """Note how a run stands now."""
        found = Standing(run_id=run.id, function_id=run.function_id, status=str(run.status), note=_note(run))
        with self._lock:
            before = self._standing.get(run.id)
            if found == before:
                return
            self._standing[run.id] = found
            if before is not None:
                self._counts[before.status] -= 1
            self._counts[found.status] += 1
            if found.settled:
                self._pending.pop(run.id, None)
            else:
                self._pending[run.id] = None
            self.version += 1

    def revisit(self) -> None:
        """Count paused runs as going on until they are looked at again: they may have been resumed."""
        for one in self._all():
            if one.status == "paused":
                self._pending[one.run_id] = None

    def counts(self) -> dict[str, int]:
        """Return how many of the runs looked at have which status."""
        return {status: number for status, number in self._counts.copy().items() if number}

    def pending(self) -> tuple[str, ...]:
        """Return the runs that have not settled, as far as is known, in their order."""
        return tuple(self._pending.copy())

    def rows(self) -> list[Standing]:
        """Return the runs to name: all of at most 20, else the first 20 that did not complete."""
        if self.total <= MOST_ROWS:
            return [self._of(run_id) for run_id in self.run_ids]
        return self._first(MOST_ROWS, (one for one in self._all() if one.status != "completed"))

    def followed(self) -> list[str]:
        """Return the runs that a page may ask for: all of at most 200, else the first 200 that go on."""
        if self.total <= MOST_FOLLOWED:
            return list(self.run_ids)
        return list(self.pending()[:MOST_FOLLOWED])

    def _all(self) -> Iterable[Standing]:
        return map(self._of, self.run_ids)

    def _of(self, run_id: str) -> Standing:
        return self._standing.get(run_id) or Standing(run_id=run_id)

    def _first(self, number: int, found: Iterable[Standing]) -> list[Standing]:
        return [one for one, _ in zip(found, range(number), strict=False)]


def _note(run: Run) -> str:
    error = summary.error_line(run) if run.status != "completed" else ""
    if error:
        return redaction.clip(error, limit=LONGEST_NOTE)
    return f"attempt {summary.attempts(run)}" if run.attempt > 1 else ""
