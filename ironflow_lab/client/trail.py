"""A run's audit events read page by page, each once, going on where the reading before stopped."""

from __future__ import annotations

import copy

from ironflow_lab.client import AsyncClient
from ironflow_lab.client._seam import AnswerTooLargeError
from ironflow_lab.errors import InternalError
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.wire.duration import Duration

PAGE = 1_000


class Trail:
    """One reader of one run's audit events.

    `follows` says that the server has the route that tells the cursor behind the last event and holds
    the answer; elsewhere the last page is asked for again, and only what is new in it is returned.
    `ended` is True once the server has said that no event will follow.
    """

    def __init__(self, run_id: str, *, follows: bool) -> None:
        self.ended = False
        self._run_id = run_id
        self._follows = follows
        self._cursor = ""
        self._limit = PAGE
        self._seen: set[str] = set()

    def copy(self) -> Trail:
        """Return another reader that goes on from the same place."""
        other = copy.copy(self)
        other._seen = set(self._seen)
        return other

    async def page(self, client: AsyncClient, *, wait: Duration = 0) -> tuple[AuditEvent, ...]:
        """Return the next events, none when there are no new ones; held up to `wait` where the server can.

        A page too large for the client is asked for again at half the size.
        """
        while True:
            try:
                return await (self._followed(client, wait) if self._follows else self._listed(client))
            except AnswerTooLargeError:
                if self._limit == 1:
                    raise
                self._limit = max(1, self._limit // 2)

    async def _followed(self, client: AsyncClient, wait: Duration) -> tuple[AuditEvent, ...]:
        answer = await client.audit.follow(self._run_id, cursor=self._cursor, limit=self._limit, wait=wait)
        self._cursor, self.ended = answer.next_cursor or self._cursor, answer.ended
        return answer.events

    async def _listed(self, client: AsyncClient) -> tuple[AuditEvent, ...]:
        while True:
            page = await client.audit.list(self._run_id, cursor=self._cursor, limit=self._limit)
            fresh = tuple(event for event in page.events if event.id not in self._seen)
            self._seen.update(event.id for event in fresh)
            if page.next_cursor and page.next_cursor == self._cursor:
                raise InternalError(f"the server gave cursor {self._cursor!r} twice in a row; it would loop")
            self._cursor = page.next_cursor or self._cursor
            if fresh or not page.next_cursor:
                return fresh
