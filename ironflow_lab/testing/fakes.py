"""Time and ids that a test decides."""

from __future__ import annotations

from collections import Counter

from ironflow_lab.clock import SECOND


class FakeClock:
    """A clock that moves only when told; instants in nanoseconds since 1970 UTC."""

    def __init__(self, now: int = 1_767_323_045 * SECOND) -> None:
        self._now = now

    def now(self) -> int:
        """Return the instant it stands at."""
        return self._now

    def advance(self, *, seconds: float) -> None:
        """Move forward."""
        self._now += round(seconds * SECOND)

    def jump(self, instant: int) -> None:
        """Go to an instant, unless it is past."""
        self._now = max(self._now, instant)


class CountingIds:
    """Ids that count from 1 for each prefix: `run_000001`."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def new(self, prefix: str) -> str:
        """Return the prefix and its next number."""
        self._given[prefix] += 1
        return f"{prefix}{self._given[prefix]:06d}"

    def token(self) -> str:
        """Return the next token."""
        return self.new("token_")
