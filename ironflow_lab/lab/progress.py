"""How far a batch has come, in one line that is drawn at most ten times a second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

_SHORTEST = 0.1
_ORDER = ("completed", "failed", "cancelled", "paused")
_MOVING = ("running", "waiting", "waiting_for_capacity")
_WORDS = {"waiting_for_capacity": "queued"}


def sent_line(done: int, refused: int, total: int) -> str:
    """Return how many of `total` events have been sent and how many were refused."""
    return f"sent {done:,} of {total:,} events" + (f", {refused:,} refused" if refused else "")


def settled_line(statuses: Iterable[str], total: int) -> str:
    """Return how many of `total` runs have settled and how."""
    counts = Counter(statuses)
    return _line(counts, sum(counts.values()), total)


def tally_line(counts: Mapping[str, int], total: int) -> str:
    """Return how many of `total` runs have settled and how, and where the others stand."""
    return _line(counts, sum(counts.get(word, 0) for word in _ORDER), total)


def _line(counts: Mapping[str, int], done: int, total: int) -> str:
    known = (*_ORDER, *_MOVING)
    words = [word for word in known if counts.get(word)] + sorted(set(counts).difference(known))
    listed = [f"{counts[word]:,} {_WORDS.get(word, word)}" for word in words]
    head = f"{done:,} of {count(total, 'run')}" if done < total else count(total, "run")
    return ": ".join([head, ", ".join(listed)]) if listed else f"{head} ended"


def count(number: int, noun: str) -> str:
    """Return "1 run" or "1,234 runs"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Progress:
    """Draws what `line` returns: the first time at once, then at most every `shortest` seconds, and at the end."""

    def __init__(
        self,
        line: Callable[[], str],
        draw: Callable[[str], None],
        *,
        now: Callable[[], float] = time.monotonic,
        shortest: float = _SHORTEST,
    ) -> None:
        self._line = line
        self._draw = draw
        self._now = now
        self._shortest = shortest
        self._drawn_at = float("-inf")
        self._drawn = ""

    def advance(self) -> None:
        """Draw the line unless that was done a moment ago."""
        if self._now() - self._drawn_at >= self._shortest:
            self.finish()

    def finish(self) -> None:
        """Draw the line now, unless it stands there already."""
        self._drawn_at = self._now()
        line = self._line()
        if line != self._drawn:
            self._drawn = line
            self._draw(line)
