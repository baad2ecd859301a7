"""The verbs that emit: one event, one event awaited, one event a row of a frame."""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine, Mapping
from typing import Any

import pandas as pd

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import DefinitionError, WaitTimeoutError
from ironflow_lab.lab.emission import Emission
from ironflow_lab.lab.line import Line
from ironflow_lab.lab.progress import Progress, sent_line
from ironflow_lab.lab.rows import rows
from ironflow_lab.lab.sending import Batch, Sent, digests, send
from ironflow_lab.lab.session import Session
from ironflow_lab.models.events import TriggerResponse, TriggerSyncResponse
from ironflow_lab.wire.duration import Duration

LONGEST_KEY = 200


class Emitter:
    """Emits through one session, and remembers the batches that were not sent to the end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._unfinished: dict[str, str] = {}

    def one(self, event: str, data: Any, **options: Any) -> Emission:
        """Emit one event and return at once."""
        self._session.guard.check(f"emit {event!r}")
        key = options.pop("idempotency_key") or self._session.ids.new("emit_")

        def work(client: AsyncClient) -> Coroutine[Any, Any, TriggerResponse]:
            return client.events.emit(event, data, idempotency_key=key, **options)

        answer = self._session.call(work)
        sent = Sent(position=0, event_id=answer.event_id, run_ids=answer.run_ids)
        return Emission(self._session, event, [sent])

    def one_awaited(self, event: str, data: Any, timeout: Duration, **options: Any) -> Emission:
        """Emit one event and return when its runs have ended; raises `WaitTimeoutError`."""
        self._session.guard.check(f"emit {event!r}")
        key = options.pop("idempotency_key") or self._session.ids.new("emit_")

        def work(client: AsyncClient) -> Coroutine[Any, Any, TriggerSyncResponse]:
            return client.events.emit_sync(
                event, data, timeout=timeout, idempotency_key=key, **options
            )

        answer = self._session.call(work)
        run_ids = tuple(result.run_id for result in answer.results)
        late = [result.run_id for result in answer.results if result.wait_timed_out]
        if late:
            raise WaitTimeoutError(
                f"after {timeout} {late[0]} had not ended. It goes on: look with"
                f" lab.run({late[0]!r}), or wait with lab.wait({late[0]!r})"
            )
        sent = Sent(position=0, event_id=answer.event_id, run_ids=run_ids)
        return Emission(self._session, event, [sent])

    def frame(
        self,
        event: str,
        frame: pd.DataFrame,
        *,
        key: str | None,
        version: int,
        metadata: Mapping[str, Any] | None,
    ) -> Emission:
        """Emit one event a row and return when all are sent."""
        if not isinstance(frame, pd.DataFrame):
            raise DefinitionError(f"emit_frame takes a DataFrame, not a {type(frame).__name__}")
        self._session.guard.check(f"emit {len(frame):,} events {event!r}, one a row")
        data = rows(frame)
        names = digests(event, data)
        content = hashlib.sha256("".join(names).encode()).hexdigest()
        again = content in self._unfinished and key is None
        name = self._batch_name(key, content)
        batch = Batch(
            event=event,
            rows=tuple(data),
            keys=tuple(f"{name}:{digest}" for digest in names),
            version=version,
            metadata=None if metadata is None else dict(metadata),
        )
        sent = self._send(batch, again=again)
        if all(one.error is None for one in sent):
            self._unfinished.pop(content, None)
        elif all(one.error is not None for one in sent):
            # Nothing was accepted, and one reason says it better than a frame of refusals.
            raise next(one.error for one in sent if one.error is not None)
        return Emission(self._session, event, sent, source=frame.copy())

    def _batch_name(self, key: str | None, content: str) -> str:
        if key is None:
            return self._unfinished.setdefault(content, self._session.ids.new("batch_"))
        if type(key) is not str or not key.strip() or len(key) > LONGEST_KEY:
            raise DefinitionError(
                f"key={key!r:.40} must be a text of 1 to {LONGEST_KEY} characters that names the batch"
            )
        return key

    def _send(self, batch: Batch, *, again: bool) -> list[Sent]:
        sent: list[Sent] = []
        head = "continuing what was interrupted: " if again else ""

        def line() -> str:
            refused = sum(one.error is not None for one in sent)
            return head + sent_line(len(sent) - refused, refused, len(batch.rows))

        shown = Line()
        progress = Progress(line, shown.show)

        def work(client: AsyncClient) -> Coroutine[Any, Any, None]:
            return send(client, batch, sent, progress.advance)

        progress.advance()
        try:
            self._session.call(work)
        finally:
            progress.finish()
            shown.end()
        return sent


