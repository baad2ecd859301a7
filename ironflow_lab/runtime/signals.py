"""Control flow out of a handler.

Not exceptions a handler may mean to catch: notebooks are full of `except Exception`.
"""

from __future__ import annotations

PENALTY = 1.0


class Suspended(BaseException):
    """The segment ends here without an outcome; the journal holds what the run waits for."""


class Abandoned(BaseException):
    """The worker gave this job up, or the segment is over: nothing of it counts any more."""


def penalty(swallowed: int) -> float:
    """Return the seconds by which to slow down a handler that has swallowed so many signals.

    Once is a `finally` with a step in it; more often is a loop, whose run goes on without it.
    """
    return 0.0 if swallowed < 2 else PENALTY * min(2.0 ** (swallowed - 2), 3600.0)
