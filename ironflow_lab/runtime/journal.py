"""One segment's memory: which steps are done, what ids the next ones get, and what the run waits for.

Pure: no clock, no loop, no network. Whoever uses it from several threads holds a lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.workers import CompletedStep, Yield
from ironflow_lab.wire import stepid

LONGEST_NAME = 200
_RESERVED = ("compensate:", "publish:")


class Journal:
    """The steps of one run as one execution of its handler sees them.

    `running` counts the step bodies in flight, `yielded` is what ends the segment (the first wins:
    one yield a segment), `closed` says that nothing that still happens counts.
    """

    __slots__ = ("_memo", "_run_id", "_uses", "closed", "running", "yielded")

    def __init__(self, run_id: str, completed: Iterable[CompletedStep] = ()) -> None:
        self._run_id = run_id
        # A failed step is only ever sent for an invoke; a plain step that failed runs again.
        self._memo = {step.step_id: step for step in completed if step.status != "failed"}
        self._uses: dict[str, int] = {}
        self.running = 0
        self.yielded: Yield | None = None
        self.closed = False

    def claim(self, name: str) -> str:
        """Return the id of the next step of this name; raises `DefinitionError` for a bad name.

        The count of uses grows whether or not the step is done already: that is what makes the
        same code ask for the same ids on every execution (worker.md 9.1).
        """
        index = self._uses.get(name)
        if index is None:
            _check_name(name)
            index = 0
        self._uses[name] = index + 1
        return stepid.step_id(self._run_id, name, index)

    def recall(self, step_id: str) -> CompletedStep | None:
        """Return the step's record when it is done, or None when it must run."""
        return self._memo.get(step_id)

    @property
    def ending(self) -> bool:
        """Whether no further step may start."""
        return self.closed or self.yielded is not None

    def suspend(self, wanted: Yield) -> None:
        """Note what the run waits for, unless another branch was first."""
        if self.yielded is None and not self.closed:
            self.yielded = wanted


def _check_name(name: Any) -> None:
    if not (isinstance(name, str) and name):
        raise DefinitionError(f"{name!r:.60} is not a step name; write step.run('charge', charge, ...)")
    if name != name.strip() or not name.isprintable():
        raise DefinitionError(f"the step name {name!r:.60} has blanks around it or control characters")
    if len(name) > LONGEST_NAME:
        raise DefinitionError(f"the step name {name[:40]!r}… has {len(name)} characters, the limit is {LONGEST_NAME}")
    if name.startswith(_RESERVED):
        raise DefinitionError(f"step names beginning with {' or '.join(_RESERVED)} are reserved: {name!r:.60}")
