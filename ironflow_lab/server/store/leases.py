"""Who holds which segment until when: memory only, rebuilt from the rows at every start.

A worker whose lease connection is open holds its segments without a deadline; a breakpoint freezes
its kernel, heartbeats included, but not its connection.
"""

from __future__ import annotations

from ironflow_lab.server.engine.commands import Lapse
from ironflow_lab.server.engine.outcome import Freed, Held, Leased, Renewed, Wake

_NEVER = 1 << 62


class _Entry:
    __slots__ = ("execution_seq", "lease_until", "run_until", "worker_id")

    def __init__(self, execution_seq: int, worker_id: str, lease_until: int, run_until: int) -> None:
        self.execution_seq = execution_seq
        self.worker_id = worker_id
        self.lease_until = lease_until
        self.run_until = run_until


class Leases:
    """Deadlines of the segments in workers' hands, in nanoseconds."""

    def __init__(self, lease_ns: int) -> None:
        self._lease_ns = lease_ns
        self._entries: dict[str, _Entry] = {}
        self._held: set[str] = set()
        # A lower bound of all deadlines: cheap to keep, made exact when it is reached.
        self._next = _NEVER

    def restore(self, run_id: str, execution_seq: int, worker_id: str, lease_until: int, run_until: int) -> None:
        """Take up a segment that was in a worker's hands when the server stopped."""
        self._put(run_id, _Entry(execution_seq, worker_id, lease_until, run_until))

    def apply(self, wake: Wake, now: int) -> None:
        """Follow one committed change."""
        match wake:
            case Leased(run_id, execution_seq, worker_id, time_left_ns):
                until = _NEVER if worker_id in self._held else now + self._lease_ns
                self._put(run_id, _Entry(execution_seq, worker_id, until, now + time_left_ns))
            case Renewed(run_id, execution_seq, worker_id):
                entry = self._entries.get(run_id)
                if entry is not None and (entry.execution_seq, entry.worker_id) == (execution_seq, worker_id):
                    entry.lease_until = _NEVER if worker_id in self._held else now + self._lease_ns
            case Freed(run_id, execution_seq):
                entry = self._entries.get(run_id)
                if entry is not None and entry.execution_seq == execution_seq:
                    del self._entries[run_id]
            case Held(worker_id, held):
                self._hold(worker_id, held, now)

    def lapsed(self, now: int) -> list[Lapse]:
        """Return a command for every deadline that has passed."""
        if now < self._next:
            return []
        due = [
            Lapse(run_id=run_id, execution_seq=entry.execution_seq, timed_out=entry.run_until <= now)
            for run_id, entry in self._entries.items()
            if min(entry.lease_until, entry.run_until) <= now
        ]
        named = {command.run_id for command in due}
        rest = (entry for run_id, entry in self._entries.items() if run_id not in named)
        self._next = min((min(entry.lease_until, entry.run_until) for entry in rest), default=_NEVER)
        return due

    def next_deadline(self) -> int | None:
        """Return the instant at which `lapsed` should be asked next; None when nothing is in hand."""
        return None if self._next == _NEVER else self._next

    def _put(self, run_id: str, entry: _Entry) -> None:
        self._entries[run_id] = entry
        self._next = min(self._next, entry.lease_until, entry.run_until)

    def _hold(self, worker_id: str, held: bool, now: int) -> None:
        (self._held.add if held else self._held.discard)(worker_id)
        for run_id, entry in list(self._entries.items()):
            if entry.worker_id == worker_id:
                entry.lease_until = _NEVER if held else now + self._lease_ns
                self._put(run_id, entry)
