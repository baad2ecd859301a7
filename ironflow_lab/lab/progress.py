"""How far a batch has come, in one line that is drawn at most ten times a second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

_SHORTEST = 0.1
_ORDER = ("completed", "failed", "cancelled", "paused")


def sent_line(done: int, refused: int, total: int) -> str:
    """Return how many of `total` events have been sent and how many were refused."""
    return f"sent {done:,} of {total:,} events" + (f", {refused:,} refused" if refused else "")


def settled_line(statuses: Iterable[str], total: int) -> str:
    """Return how many of `total` runs have settled and how."""
    counts = Counter(statuses)
    done = sum(counts.values())
    listed = [f"{counts[word]:,} {word}" for word in _ORDER if counts[word]]
    listed += [f"{count:,} {word}" for word, count in sorted(counts.items()) if word not in _ORDER]
    head = f"{done:,} of {count(total, 'run')}" if done < total else count(total, "run")
    return ": ".join([head, ", ".join(listed)]) if listed else f"{head} ended"


def count(number: int, noun: str) -> str:
    """Return "1 run" or "1,234 runs"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Progress:
    """Draws what `line` returns: the first time at once, then at most every 0.1 s, and at the end."""

    def __init__(
        self,
        line: Callable[[], str],
        draw: Callable[[str], None],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line = line
        self._draw = draw
        self._now = now
        self._drawn_at = float("-inf")
        self._drawn = ""

    def advance(self) -> None:
        """Draw the line unless that was done less than 0.1 s ago."""
        if self._now() - self._drawn_at >= _SHORTEST:
            self.finish()

    def finish(self) -> None:
        """Draw the line now, unless it stands there already."""
        self._drawn_at = self._now()
        line = self._line()
        if line != self._drawn:
            self._drawn = line
            self._draw(line)
