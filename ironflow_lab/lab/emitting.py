"""The verbs that emit one event, awaited or not."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import WaitTimeoutError
from ironflow_lab.lab.emission import Emission
from ironflow_lab.lab.sending import Sent
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.watch import refuse_in_handlers
from ironflow_lab.models.events import TriggerResponse, TriggerSyncResponse
from ironflow_lab.wire.duration import Duration


def emit(session: Session, event: str, data: Any, **options: Any) -> Emission:
    """Emit one event and return at once; `options` are those of `client.events.emit`."""
    event = session.naming.event(event)
    session.guard.check(f"emit {event!r}")
    key = options.pop("idempotency_key") or session.ids.new("emit_")

    def work(client: AsyncClient) -> Coroutine[Any, Any, TriggerResponse]:
        return client.events.emit(event, data, idempotency_key=key, **options)

    answer = session.call(work, patient=False)
    sent = Sent(position=0, event_id=answer.event_id, run_ids=answer.run_ids)
    return Emission(session, event, [sent])


def emit_sync(session: Session, event: str, data: Any, timeout: Duration, **options: Any) -> Emission:
    """Emit one event and return when its runs have ended; raises `WaitTimeoutError`."""
    refuse_in_handlers()
    event = session.naming.event(event)
    session.guard.check(f"emit {event!r}")
    key = options.pop("idempotency_key") or session.ids.new("emit_")

    def work(client: AsyncClient) -> Coroutine[Any, Any, TriggerSyncResponse]:
        return client.events.emit_sync(event, data, timeout=timeout, idempotency_key=key, **options)

    answer = session.call(work)
    late = [result.run_id for result in answer.results if result.wait_timed_out]
    if late:
        raise WaitTimeoutError(
            f"after {timeout} {late[0]} had not ended. It goes on: look with lab.run({late[0]!r}), or"
            f" wait with lab.wait({late[0]!r})"
        )
    run_ids = tuple(result.run_id for result in answer.results)
    return Emission(session, event, [Sent(position=0, event_id=answer.event_id, run_ids=run_ids)])
