"""The worker as a card: what it serves, what it has in hand, and the verbs that end it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ironflow_lab.errors import IronflowError
from ironflow_lab.lab.guard import Guard
from ironflow_lab.lab.progress import count
from ironflow_lab.lab.serving import Serving
from ironflow_lab.runtime.service import DRAIN, Worker
from ironflow_lab.runtime.status import JobStatus, WorkerSnapshot
from ironflow_lab.wire.duration import Duration

MOST_ROWS = 20
_CELL = "text-align:left;padding:2px 12px 2px 0"


class WorkerCard:
    """The worker of this process; displayed it shows how it stands at that moment."""

    def __init__(self, serving: Serving, guard: Guard) -> None:
        self._serving = serving
        self._guard = guard

    def status(self) -> WorkerSnapshot:
        """Return how the worker stands: state, functions, jobs in hand, counts."""
        return self._worker().status()

    def logs(self, run_id: str) -> str:
        """Return what a run's handler printed and logged in this process: at most the last 256 kB."""
        return self._worker().logs(run_id)

    def start(self) -> None:
        """Serve again after `drain` or `stop`; the guard is asked first."""
        self._guard.check("execute runs in this process")
        self._worker().start()

    def drain(self, timeout: Duration = DRAIN) -> None:
        """Take no more jobs, finish those in hand within `timeout`, and stop; `start` undoes it."""
        if self._serving.worker is not None:
            self._serving.worker.drain(timeout)

    def stop(self) -> None:
        """Stop at once; runs in hand go on from their last finished step when a worker takes them."""
        if self._serving.worker is not None:
            self._serving.worker.stop()

    def __repr__(self) -> str:
        """Return one line of status."""
        if self._serving.worker is None:
            return "<worker: not started; it starts with the first @lab.function>"
        return f"<worker {_line(self._serving.worker.status())}>"

    def _repr_html_(self) -> str:
        if self._serving.worker is None:
            return f"<div>{escape(repr(self)[1:-1])}</div>"
        now = self._serving.worker.status()
        return f"<div>{escape(_line(now))}</div>{_functions(now)}{_jobs(now)}"

    def _worker(self) -> Worker:
        if self._serving.worker is None:
            raise IronflowError(
                "no worker runs in this process; it starts with the first function defined by @lab.function(...)"
            )
        return self._serving.worker


def _line(now: WorkerSnapshot) -> str:
    parts = [
        f"{now.worker_id}: {now.state}",
        f"{len(now.jobs)} of {now.concurrency} jobs in hand",
        f"leases held by {now.lease}",
        f"{count(now.counts.completed, 'segment')} completed, {now.counts.failed:,} failed",
        f"{count(now.counts.steps, 'step')}",
    ]
    if now.blocked_for:
        parts.append(f"its async handlers are blocked for {now.blocked_for:.0f} s")
    if now.last_error:
        parts.append(f"last error: {now.last_error}")
    return ", ".join(parts)


def _functions(now: WorkerSnapshot) -> str:
    rows = [(one.id, ", ".join(one.triggers) or "invoke only") for one in now.functions]
    return _table(("function", "started by"), rows)


def _jobs(now: WorkerSnapshot) -> str:
    rows = [(job.run_id, job.function_id, str(job.attempt), str(job.steps), _doing(job)) for job in now.jobs]
    return _table(("run", "function", "attempt", "steps", "state"), rows)


def _doing(job: JobStatus) -> str:
    return "reporting" if job.ending else "executing"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    titles = "".join(f'<th style="{_CELL}">{escape(title)}</th>' for title in head)
    lines = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    more = f"<div>and {len(rows) - MOST_ROWS:,} more</div>" if len(rows) > MOST_ROWS else ""
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>{more}"
