"""Waiting for runs in a cell: shows how far they have come, and is ended by the stop button."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import IronflowError, WaitTimeoutError
from ironflow_lab.lab import progresscard
from ironflow_lab.lab.line import Line
from ironflow_lab.lab.live import SHORTEST
from ironflow_lab.lab.progress import Progress, count, tally_line
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.tally import Tally
from ironflow_lab.lab.waiting import is_settled, until_settled
from ironflow_lab.models.runs import Run
from ironflow_lab.runtime.threads import user_thread
from ironflow_lab.wire.duration import Duration, seconds

PATIENCE = 0.5


def watch(
    session: Session,
    run_ids: Sequence[str],
    known: dict[str, Run],
    *,
    timeout: Duration | None,
    tally: Tally | None = None,
    event: str = "",
    seen: Callable[[Run], None] | None = None,
    visible: bool = True,
) -> bool:
    """Return once every run has ended or is paused; what is learnt goes into `known` as it comes.

    Shows, if `visible`, how far those of `event` have come, and returns whether that stands under a cell now.
    `tally` counts them; `seen` is given every run that is looked at, to count it there. Raises
    `WaitTimeoutError` after `timeout`; the runs go on.
    """
    limit = None if timeout is None else seconds(timeout)
    pending = dict.fromkeys(run_id for run_id in run_ids if run_id not in known or not is_settled(known[run_id]))
    if not pending:
        return False
    refuse_in_handlers()
    counted = tally or Tally(run_ids)
    take = seen or counted.take

    def bundle(text: str) -> Mapping[str, Any]:
        told = progresscard.Told(event=event, server_url=session.server_url, at=session.clock.now())
        return progresscard.bundle(counted, told, text)

    # Of one run there is nothing to count: it is shown when it is seen again and still goes on.
    shown = Line(visible=visible and len(run_ids) > 1, bundle=bundle)
    progress = Progress(lambda: tally_line(counted.counts(), counted.total), shown.show, shortest=SHORTEST)
    began = monotonic()

    def saw(run: Run) -> None:
        take(run)
        if visible and run.id in pending and monotonic() - began > PATIENCE:
            shown.reveal()
        progress.advance()

    def told(run: Run) -> None:
        known[run.id] = run
        del pending[run.id]
        saw(run)

    def work(client: AsyncClient) -> Coroutine[Any, Any, None]:
        return until_settled(client, tuple(pending), holds=session.holds, told=told, seen=saw)

    progress.advance()
    try:
        session.call(work, timeout=limit)
    except WaitTimeoutError:
        late = tuple(pending)
        if late:
            raise WaitTimeoutError(_too_late(late, len(run_ids), limit or 0.0)) from None
    finally:
        progress.finish()
        shown.end()
    return shown.in_notebook


def refuse_in_handlers() -> None:
    """Raise `IronflowError` in an `async def` handler: what it waits for could never run."""
    if user_thread().owns():
        raise IronflowError(
            "waiting for runs in an `async def` handler would hold up every other handler of this process,"
            " that of the awaited run among them; use `await asyncio.to_thread(...)`, or a plain `def`"
        )


def _too_late(pending: Sequence[str], total: int, limit: float) -> str:
    return (
        f"after {limit:g} s {count(len(pending), 'run')} of {total:,} had not ended (the first is"
        f" {pending[0]}). They go on: look with lab.run({pending[0]!r}), or wait again"
    )
