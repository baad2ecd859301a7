"""Who holds which segment until when: memory only, rebuilt from the rows at every start.

A worker whose lease connection is open holds its segments without a deadline: a breakpoint freezes
its kernel, heartbeats included, but not its connection. That goes only for segments it has shown to
know of, by an ack, a checkpoint or a heartbeat; a job that was lost on its way must come back.
"""

from __future__ import annotations

from ironflow_lab.clock import SECOND
from ironflow_lab.server.engine.commands import Lapse
from ironflow_lab.server.engine.outcome import Beat, Freed, Held, Leased, Renewed, Wake
from ironflow_lab.server.engine.reasons import Lease

_NEVER = 1 << 62
# A worker acknowledges a job before anything else; one that does not has never got it.
ACK_NS = 15 * SECOND
# What an earlier server handed out and its living worker does not name never arrived: no answer of a
# dead server is still on its way.
ABSENT_NS = SECOND
# When a lapse could not be stored, for example because the disk is full.
_AGAIN_NS = SECOND


class _Entry:
    __slots__ = ("execution_seq", "known", "lease_until", "restored", "run_until", "worker_id")

    def __init__(self, execution_seq: int, worker_id: str, lease_until: int, run_until: int) -> None:
        self.execution_seq = execution_seq
        self.worker_id = worker_id
        self.lease_until = lease_until
        self.run_until = run_until
        self.known = False
        self.restored = False


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
        entry = _Entry(execution_seq, worker_id, lease_until, run_until)
        entry.restored = True
        self._put(run_id, entry)

    def apply(self, wake: Wake, now: int) -> None:
        """Follow one committed change."""
        match wake:
            case Leased(run_id, execution_seq, worker_id, time_left_ns):
                until = now + min(self._lease_ns, ACK_NS)
                self._put(run_id, _Entry(execution_seq, worker_id, until, now + time_left_ns))
            case Renewed(run_id, execution_seq, worker_id):
                entry = self._entries.get(run_id)
                if entry is not None and (entry.execution_seq, entry.worker_id) == (execution_seq, worker_id):
                    self._renew(entry, now)
            case Beat(worker_id, segments):
                self._beat(worker_id, segments, now)
            case Freed(run_id, execution_seq):
                entry = self._entries.get(run_id)
                if entry is not None and entry.execution_seq == execution_seq:
                    del self._entries[run_id]
            case Held(worker_id, held):
                self._hold(worker_id, held, now)

    def lapsed(self, now: int) -> list[Lapse]:
        """Return a command for every deadline that has passed; of two the one that passed first counts."""
        if now < self._next:
            return []
        due, following = [], _NEVER
        for run_id, entry in self._entries.items():
            at = min(entry.lease_until, entry.run_until)
            if at > now:
                following = min(following, at)
                continue
            timed_out = entry.run_until <= entry.lease_until
            due.append(Lapse(run_id=run_id, execution_seq=entry.execution_seq, at=at, timed_out=timed_out))
        self._next = min(following, now + _AGAIN_NS) if due else following
        return due

    def of(self, run_id: str) -> Lease | None:
        """Return the lease of the run's segment, None when it is in nobody's hands."""
        entry = self._entries.get(run_id)
        return None if entry is None else Lease(entry.lease_until == _NEVER, entry.lease_until)

    @property
    def holders(self) -> frozenset[str]:
        """The workers whose lease connection is open."""
        return frozenset(self._held)

    def next_deadline(self) -> int | None:
        """Return the instant at which `lapsed` should be asked next; None when nothing is in hand."""
        return None if self._next == _NEVER else self._next

    def _put(self, run_id: str, entry: _Entry) -> None:
        self._entries[run_id] = entry
        self._next = min(self._next, entry.lease_until, entry.run_until)

    def _renew(self, entry: _Entry, now: int) -> None:
        entry.known, entry.restored = True, False
        entry.lease_until = _NEVER if entry.worker_id in self._held else now + self._lease_ns
        # Earlier than before only where the clock has been set back.
        self._next = min(self._next, entry.lease_until)

    def _beat(self, worker_id: str, segments: frozenset[tuple[str, int]], now: int) -> None:
        for run_id, entry in self._of(worker_id):
            if (run_id, entry.execution_seq) in segments:
                self._renew(entry, now)
            elif entry.restored:
                entry.lease_until = min(entry.lease_until, now + ABSENT_NS)
                self._put(run_id, entry)
            elif entry.lease_until == _NEVER:
                # The worker is alive and does not have it; an answer may still be on its way, though.
                entry.known, entry.lease_until = False, now + self._lease_ns
                self._put(run_id, entry)

    def _hold(self, worker_id: str, held: bool, now: int) -> None:
        (self._held.add if held else self._held.discard)(worker_id)
        for run_id, entry in self._of(worker_id):
            entry.lease_until = _NEVER if held and entry.known else now + self._lease_ns
            self._put(run_id, entry)

    def _of(self, worker_id: str) -> list[tuple[str, _Entry]]:
        return [(run_id, entry) for run_id, entry in self._entries.items() if entry.worker_id == worker_id]
