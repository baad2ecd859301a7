"""A run at rest: all that is known of it at one moment, which comparing, replaying and capsules work on."""

from __future__ import annotations

import msgspec

from ironflow_lab.history.fold import History
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.runs import TERMINAL, Run, Step


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The code a run executed: the hash of its function's code, and where that was written."""

    code_hash: str = ""
    place: str = ""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A run, its steps by sequence and its audit events, oldest first.

    `events` is empty for a run that was not recorded: then no more is known than its rows, which have
    the newest attempt of every step. `source` says where it came from: `server`, `capsule`, or `local`
    for a run that a replay or a fork made up in this process. `note` says what is missing, if anything.
    """

    run: Run
    steps: tuple[Step, ...] = ()
    events: tuple[AuditEvent, ...] = ()
    code: Code = Code()
    source: str = "server"
    note: str = ""

    @property
    def recorded(self) -> bool:
        """Whether the server recorded the run."""
        return bool(self.events)

    @property
    def ended(self) -> bool:
        """Whether the run is completed, failed or cancelled."""
        return self.run.status in TERMINAL

    def history(self) -> History:
        """Return the audit events folded."""
        return History(self.run.id, self.events, function_id=self.run.function_id)

    def __repr__(self) -> str:
        known = f"{len(self.events)} events" if self.events else "not recorded"
        return f"Recording({self.run.id!r}, status={str(self.run.status)!r}, steps={len(self.steps)}, {known})"
