"""Control flow out of a handler.

Not exceptions a handler may mean to catch: notebooks are full of `except Exception`.
"""

from __future__ import annotations


class Suspended(BaseException):
    """The segment ends here without an outcome; the journal holds what the run waits for."""


class Abandoned(BaseException):
    """The worker gave this job up, or the segment is over: nothing of it counts any more."""
