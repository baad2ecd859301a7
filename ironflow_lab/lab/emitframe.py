"""One event a row of a frame: sent to the end, or continued where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine, Mapping
from typing import Any

import pandas as pd

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import DefinitionError
from ironflow_lab.lab.batches import Batches, Unfinished
from ironflow_lab.lab.emission import Emission
from ironflow_lab.lab.line import Line
from ironflow_lab.lab.place import place
from ironflow_lab.lab.progress import Progress, sent_line
from ironflow_lab.lab.rows import rows
from ironflow_lab.lab.sending import Batch, Sent, digests, send
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.summary import moment

LONGEST_KEY = 200


def emit_frame(
    session: Session,
    event: str,
    frame: pd.DataFrame,
    *,
    key: str | None,
    version: int,
    metadata: Mapping[str, Any] | None,
) -> Emission:
    """Emit one event a row and return when all are sent; a batch that was interrupted is continued."""
    if not isinstance(frame, pd.DataFrame):
        raise DefinitionError(f"emit_frame takes a DataFrame, not a {type(frame).__name__}")
    event = session.naming.event(event)
    session.guard.check(f"emit {len(frame):,} events {event!r}, one a row")
    data = rows(frame)
    names = digests(event, data)
    content = hashlib.sha256("".join(names).encode()).hexdigest()
    begun = _Begun(session, key, content)
    batch = Batch(
        event=event,
        rows=tuple(data),
        keys=tuple(f"{begun.name}:{name}" for name in names),
        version=version,
        metadata=None if metadata is None else dict(metadata),
    )
    sent = _send(session, batch, head=begun.head)
    refused = [one.error for one in sent if one.error is not None]
    if not refused:
        begun.end()
    elif len(refused) == len(sent):
        # Nothing was accepted, and one reason says it better than a frame of refusals.
        raise refused[0]
    return Emission(session, event, sent, source=frame.copy())


class _Begun:
    """The batch's name: the given key, that of the same batch when it was interrupted, or a new one."""

    def __init__(self, session: Session, key: str | None, content: str) -> None:
        self.head = ""
        self._content = content
        self._batches: Batches | None = None
        if key is not None:
            self.name = _checked(key)
            return
        self._batches = Batches(*place(session))
        found = self._batches.find(content)
        if found is None:
            found = Unfinished(name=session.ids.new("batch_"), begun_at=session.clock.now())
            self._batches.begin(content, found)
        else:
            self.head = f"continuing the batch begun at {moment(found.begun_at)}: "
        self.name = found.name

    def end(self) -> None:
        """Forget the batch: the same frame is sent anew next time."""
        if self._batches is not None:
            self._batches.end(self._content)


def _checked(key: str) -> str:
    if type(key) is not str or not key.strip() or len(key) > LONGEST_KEY:
        raise DefinitionError(f"key={key!r:.40} must be a text of 1 to {LONGEST_KEY} characters that names the batch")
    return key


def _send(session: Session, batch: Batch, *, head: str) -> list[Sent]:
    sent: list[Sent] = []

    def line() -> str:
        refused = sum(one.error is not None for one in sent)
        return head + sent_line(len(sent) - refused, refused, len(batch.rows))

    shown = Line()
    progress = Progress(line, shown.show)

    def work(client: AsyncClient) -> Coroutine[Any, Any, None]:
        return send(client, batch, sent, progress.advance)

    progress.advance()
    try:
        session.call(work)
    finally:
        progress.finish()
        shown.end()
    return sent
