"""Calling a function as one run: start it, wait for it, return what it returned."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.lab.emission import output_of
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.traced import trace as begin_trace
from ironflow_lab.lab.watch import refuse_in_handlers, watch
from ironflow_lab.models.runs import Run
from ironflow_lab.wire.duration import Duration

_STOPPED = "its caller was interrupted"


def invoke(
    session: Session, function_id: str, data: Any, *, timeout: Duration | None, idempotency_key: str, trace: bool
) -> Any:
    """Return the output of a run of the function; raises `RunFailedError` and `WaitTimeoutError`.

    With `trace` the run's steps are shown while and after it runs. A run that this call started by
    itself is cancelled when the stop button ends the wait.
    """
    refuse_in_handlers()
    session.guard.check(f"invoke {function_id!r}")
    key = idempotency_key or session.ids.new("invoke_")
    answer = session.call(lambda client: client.functions.invoke(function_id, data, idempotency_key=key), patient=False)
    traced = begin_trace(session, answer.run_id) if trace else None
    known: dict[str, Run] = {}
    try:
        watch(session, (answer.run_id,), known, timeout=timeout, visible=False)
    except BaseException as error:
        if traced is not None:
            traced.leave()
        # A key of the caller's own may have led to a run that others wait for.
        if isinstance(error, KeyboardInterrupt) and not idempotency_key:
            session.begin(lambda client: _cancel(client, answer.run_id))
        raise
    if traced is not None:
        traced.finish()
    return output_of(known[answer.run_id])


async def _cancel(client: AsyncClient, run_id: str) -> None:
    # It may have ended in the meantime.
    with suppress(FailedPreconditionError):
        await client.runs.cancel(run_id, reason=_STOPPED)
