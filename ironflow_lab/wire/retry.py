"""When a client call is sent again (rpc.md section 3, rulings.md 34)."""

from __future__ import annotations

import msgspec

from ironflow_lab.errors import ApiError, ResourceExhaustedError, UnavailableError


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most `attempts` sends, the waits in seconds growing from `initial` by `factor` to `longest`."""

    attempts: int = 3
    initial: float = 0.1
    factor: float = 2.0
    longest: float = 10.0

    def delay(self, attempt: int, error: ApiError, *, repeatable: bool) -> float | None:
        """Return the seconds before attempt `attempt + 1`, or None to give up.

        A mutating call is sent once, except after `resource_exhausted`, which a server answers
        before it does anything. A call free of side effects is sent again when the server could not
        be reached or is not ready.
        """
        if attempt >= self.attempts:
            return None
        again = isinstance(error, ResourceExhaustedError) or (repeatable and isinstance(error, UnavailableError))
        if not again:
            return None
        if error.retry_after is not None:
            return min(error.retry_after, self.longest)
        return float(min(self.initial * self.factor ** (attempt - 1), self.longest))


NO_RETRY = RetryPolicy(attempts=1)
