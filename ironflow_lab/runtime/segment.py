"""One segment between the two threads: handlers append results, the worker takes them away."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ironflow_lab.models.workers import Assignment, StepResult
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.journal import Journal
from ironflow_lab.runtime.outcome import Outcome

if TYPE_CHECKING:
    from ironflow_lab.runtime.capture import SegmentOutput


class Segment:
    """An assignment being executed. Written by the handler's side, read by the worker's.

    `announce` is called after the outcome was set, and after a result was added unless it has been
    called since the last `collect`. `boundary` says that no step is in flight and none begins until
    a pause that was asked for has been decided on; `reached` counts how often that came about.
    """

    __slots__ = (
        "_announce",
        "_announced",
        "_lock",
        "_results",
        "_saved",
        "_waiters",
        "abandoned",
        "assignment",
        "boundary",
        "core",
        "doing",
        "function",
        "journal",
        "keep",
        "outcome",
        "output",
        "owner",
        "reached",
        "recorded",
        "work",
    )

    def __init__(
        self,
        assignment: Assignment,
        function: DurableFunction,
        *,
        announce: Callable[[Segment], None],
        output: SegmentOutput | None = None,
    ) -> None:
        self.assignment = assignment
        self.function = function
        self.journal = Journal(assignment.run_id, assignment.completed_steps)
        self.outcome: Outcome | None = None
        self.abandoned = False
        self.boundary = False
        self.reached = 0
        self.recorded = 0
        self.core: Any = None
        # The steps whose bodies execute now, by id.
        self.doing: dict[str, str] = {}
        self.output = output
        self.keep: Callable[[logging.LogRecord], None] | None = output
        self.owner: Any = None
        self.work: Any = None
        self._announce = announce
        self._announced = False
        self._lock = threading.Lock()
        self._results: deque[StepResult] = deque()
        self._saved: float = 0
        self._waiters: deque[tuple[int, Callable[[], None]]] = deque()

    @property
    def announced(self) -> bool:
        """Whether something was announced that has not been collected."""
        return self._announced

    def record(self, result: StepResult) -> None:
        """Add a finished step; it is on its way to the server from here on."""
        with self._lock:
            if self.journal.closed:
                return
            self.recorded += 1
            self._results.append(result)
        self._tell()

    def reach(self) -> None:
        """Say that a boundary is reached; all steps that have finished are recorded."""
        if not self.boundary:
            self.boundary = True
            self.reached += 1
            self._announced = True
            self._announce(self)

    def conclude(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Set how the segment ended and close it; only the first outcome counts. `error` is what was raised."""
        with self._lock:
            if self.outcome is not None:
                return
            # Closed first: whoever sees the outcome sees every result that counts.
            self.journal.closed = True
            self.outcome = outcome
        try:
            if self.output is not None and not self.abandoned:
                self.output.conclude(outcome, error)
        finally:
            # Always: the worker may have left results uncollected on purpose.
            self._announced = True
            self._announce(self)

    def collect(self) -> list[StepResult]:
        """Take the results that were added since the last time."""
        # In this order: what is added from here on announces again.
        self._announced = False
        taken = []
        while self._results:
            taken.append(self._results.popleft())
        return taken

    def when_saved(self, then: Callable[[], None]) -> None:
        """Call `then`, in any thread and perhaps twice, once all steps recorded so far are saved."""
        wanted = self.recorded
        if self._saved < wanted:
            self._waiters.append((wanted, then))
        # Asked again, since it may have been saved while the waiter was added.
        if self._saved >= wanted:
            then()

    def saved(self, count: float = math.inf) -> None:
        """Note that the first `count` recorded steps are saved; infinity when nobody shall wait on."""
        self._saved = max(self._saved, count)
        for _ in range(len(self._waiters)):
            wanted, then = self._waiters.popleft()
            if wanted <= self._saved:
                then()
            else:
                self._waiters.append((wanted, then))

    def _tell(self) -> None:
        if not self._announced:
            self._announced = True
            self._announce(self)
