"""Calling a function as one run: start it, wait for it, return what it returned."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.lab.emission import Emission
from ironflow_lab.lab.sending import Sent
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.watch import refuse_in_handlers
from ironflow_lab.wire.duration import Duration

_STOPPED = "its caller was interrupted"


def invoke(session: Session, function_id: str, data: Any, *, timeout: Duration | None, idempotency_key: str) -> Any:
    """Return the output of a run of the function; raises `RunFailedError` and `WaitTimeoutError`.

    A run that this call started by itself is cancelled when the stop button ends the wait.
    """
    refuse_in_handlers()
    session.guard.check(f"invoke {function_id!r}")
    key = idempotency_key or session.ids.new("invoke_")
    answer = session.call(lambda client: client.functions.invoke(function_id, data, idempotency_key=key), patient=False)
    sent = Sent(position=0, event_id=answer.event_id, run_ids=(answer.run_id,))
    emission = Emission(session, function_id, [sent])
    try:
        emission.wait(timeout)
    except KeyboardInterrupt:
        # A key of the caller's own may have led to a run that others wait for.
        if not idempotency_key:
            session.begin(lambda client: _cancel(client, answer.run_id))
        raise
    return emission.result


async def _cancel(client: AsyncClient, run_id: str) -> None:
    # It may have ended in the meantime.
    with suppress(FailedPreconditionError):
        await client.runs.cancel(run_id, reason=_STOPPED)
