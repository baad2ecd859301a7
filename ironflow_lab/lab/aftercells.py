"""After a cell that redefined a function, its newest runs are checked against it: in the background, if asked for."""

from __future__ import annotations

import logging
import threading
from weakref import WeakKeyDictionary

from ironflow_lab.errors import DefinitionError, IronflowError
from ironflow_lab.history import redaction
from ironflow_lab.kernel.cells import after_cell
from ironflow_lab.lab.session import Session
from ironflow_lab.runtime import output
from ironflow_lab.runtime.function import DurableFunction

log = logging.getLogger("ironflow_lab.lab")

MOST = 1_000
_LONGEST = 300
_armed: WeakKeyDictionary[Session, AfterCells] = WeakKeyDictionary()


class AfterCells:
    """Checks the `most` newest runs of each function that is defined anew, one function after the other.

    A newer definition of a function ends the check of the one before. What was found is one line under the
    function's cell.
    """

    def __init__(self, session: Session, most: int) -> None:
        self._session = session
        self.most = most
        self.on = True
        self._lock = threading.Lock()
        self._newest: dict[str, DurableFunction] = {}
        self._open: dict[str, DurableFunction] = {}
        self._thread: threading.Thread | None = None

    def defined(self, function: DurableFunction) -> None:
        """Note a definition; what is the same code as before is not checked again."""
        with self._lock:
            former = self._newest.get(function.id)
            self._newest[function.id] = function
            if former is not None and former.code_hash == function.code_hash:
                if function.id in self._open:
                    self._open[function.id] = function
                return
            self._open[function.id] = function
        after_cell(self._begin)

    def wait(self, timeout: float) -> bool:
        """Return whether there is nothing under way any more, after `timeout` seconds at most."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _begin(self) -> None:
        with self._lock:
            if self._open and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._work, name="ironflow-check", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (function := self._next()) is not None:
            try:
                line = self._check(function)
            except IronflowError as error:
                line = f"its runs could not be checked: {redaction.clip(str(error), limit=_LONGEST)}"
            except Exception:
                log.exception("the check of %r failed", function.id)
                line = ""
            if line and self._wanted(function):
                self._say(function, line)

    def _next(self) -> DurableFunction | None:
        with self._lock:
            if not self._open or not self.on:
                self._thread = None
                return None
            return self._open.pop(next(iter(self._open)))

    def _wanted(self, function: DurableFunction) -> bool:
        return self.on and self._newest.get(function.id) is function

    def _check(self, function: DurableFunction) -> str:
        """Return what to say of a definition, "" for nothing: no runs, all of the same code, or not wanted any more."""
        from ironflow_lab.debug.verdict import summary
        from ironflow_lab.lab import checking

        found = []
        unchanged = True
        for run_id in checking.newest(self._session, function.id, self.most):
            if not self._wanted(function):
                return ""
            recording = checking.recording_of(self._session, run_id)
            unchanged = unchanged and recording.code.code_hash == function.code_hash
            found.append(checking.verdict_of(self._session, recording, function))
        if not found or (unchanged and not any(one.reason for one in found)):
            return ""
        runs = "the newest run" if len(found) == 1 else f"the {len(found):,} newest runs"
        return f"{runs} against this code: {summary(found)}{self._place()}"

    def _place(self) -> str:
        return f" (read from {self._session.joined.server_url})" if self._session.guard.on else ""

    def _say(self, function: DurableFunction, line: str) -> None:
        fine = "diverge" not in line and "cannot" not in line and "could not" not in line
        output.note(function, line, stream="log" if fine else "warning", level="check")


def arm(session: Session, runs: int | bool) -> None:
    """Check the newest `runs` runs after each cell from now on, 20 for True; none for False.

    Raises `DefinitionError` for another number, and `GuardError` on a guarded server.
    """
    former = _armed.pop(session, None)
    if former is not None:
        former.on = False
    if runs is False:
        return
    most = 20 if runs is True else runs
    if type(most) is not int or not 1 <= most <= MOST:
        raise DefinitionError(f"runs={runs!r:.40} must be a whole number from 1 to {MOST:,}, or False for no checks")
    session.guard.check(
        f"read the payloads of the {most:,} newest runs of every function that a cell redefines, and execute its code"
        " on them in this process, gated, after each such cell,"
    )
    _armed[session] = AfterCells(session, most)


def defined(session: Session, function: DurableFunction) -> None:
    """Note that a cell has defined a function."""
    armed = _armed.get(session)
    if armed is not None:
        armed.defined(function)


def of(session: Session) -> AfterCells | None:
    """Return what checks a session's functions after cells, None when nothing does."""
    return _armed.get(session)
