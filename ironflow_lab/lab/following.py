"""The live feed of one run for a view: packed as it comes, until the run has ended or nobody looks any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from threading import RLock

from ironflow_lab.client import AsyncClient
from ironflow_lab.client.trail import Trail
from ironflow_lab.errors import ApiError, DeadlineExceededError, NotFoundError, UnavailableError
from ironflow_lab.history.pack import Chunk, Packer
from ironflow_lab.lab.past import Past
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.runs import TERMINAL

OnChunk = Callable[[Chunk], None]
OnNote = Callable[[str, str], None]
Stop = Callable[[], None]

AWAY = "The server cannot be reached; this view goes on when it is back."
BACK = "The server is back."
DELETED = "The run was deleted; this is the last that was known of it."
ENDED = "The run has ended, and its audit trail does not tell how."
CLOSED = "The lab was closed; this view does not follow the run any more."
_HOLD = "20s"
_POLL = 1.0
# After an answer that held nothing: a server about to stop gives them at once.
_BREATH = 0.05
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.25, 5.0, 1.5


class Follower:
    """Follows a run for one view, whose packer has all that `past` had read when this was made.

    Following may be ended and begun again: it goes on where the packer stands.
    """

    def __init__(self, past: Past, packer: Packer) -> None:
        self.session = past.session
        self.run_id = past.run_id
        self._packer = packer
        self._trail = past.trail.copy()
        self._lock = RLock()
        self._feed: _Feed | None = None

    def begin(self, on_chunk: OnChunk, on_note: OnNote) -> Stop:
        """Call `on_chunk` with every new chunk and `on_note` with what a person should know, in the I/O thread.

        Notes have a level: the server is away ("warning") or back ("info"), the run was deleted
        ("warning"), it cannot be followed any more ("error"). What is returned ends the following; once it
        has returned, the packer is left alone.
        """
        feed = self._feed = _Feed(self, on_chunk, on_note)
        cancel = self.session.begin(feed.run)

        def stop() -> None:
            with self._lock:
                if self._feed is feed:
                    self._feed = None
            cancel()

        return stop

    def place(self) -> Trail:
        """Return a reader that goes on where the packer stands."""
        with self._lock:
            return self._trail.copy()

    def take(self, feed: _Feed, trail: Trail, events: Sequence[AuditEvent]) -> None:
        """Pack what the reader read and hand it on, unless this feed was ended meanwhile."""
        with self._lock:
            if self._feed is feed:
                self._trail = trail
                if events:
                    feed.on_chunk(self._packer.add(events))

    def note(self, feed: _Feed, text: str, level: str) -> None:
        """Hand a note on, unless this feed was ended meanwhile."""
        with self._lock:
            if self._feed is feed:
                feed.on_note(text, level)

    def has_ended(self) -> bool:
        """Return whether what was packed tells of the run's end."""
        history = self._packer.history
        return history.run_at(history.length).status in TERMINAL


class _Feed:
    """One reading of the run, from the beginning of following to its end."""

    def __init__(self, follower: Follower, on_chunk: OnChunk, on_note: OnNote) -> None:
        self.on_chunk = on_chunk
        self.on_note = on_note
        self._follower = follower
        self._pause = 0.0
        self._ended = False

    async def run(self, client: AsyncClient) -> None:
        """Read until the run has ended or was deleted; a server that is away is waited for."""
        try:
            await self._until_ended(client)
        except asyncio.CancelledError:
            # Not by the view, which would not hear this any more.
            self._end(CLOSED, "info")
            raise

    async def _until_ended(self, client: AsyncClient) -> None:
        while not self._ended:
            try:
                await self._step(client)
            except (UnavailableError, DeadlineExceededError):
                await self._wait_for_server()
            except NotFoundError:
                self._end(DELETED, "warning")
            except ApiError as error:
                self._end(f"The run is not followed any more: {error}", "error")

    async def _step(self, client: AsyncClient) -> None:
        events, ended = await self._read(client)
        if self._pause:
            self._pause = 0.0
            self._follower.note(self, BACK, "info")
        if ended:
            self._ended = True
            if not self._follower.has_ended():
                self._follower.note(self, ENDED, "warning")
        elif not events:
            await asyncio.sleep(_BREATH if self._follower.session.follows else _POLL)

    async def _read(self, client: AsyncClient) -> tuple[int, bool]:
        trail = self._follower.place()
        # A server that was away is to show that it is back at once, not after a hold.
        events = await trail.page(client, wait=0 if self._pause else _HOLD)
        self._follower.take(self, trail, events)
        if self._follower.session.follows:
            return len(events), trail.ended
        if events:
            return len(events), self._follower.has_ended()
        run = await client.runs.get(self._follower.run_id)
        # What came between the two answers is read before the run is given up.
        late = await trail.page(client) if run.status in TERMINAL else ()
        self._follower.take(self, trail, late)
        return len(late), run.status in TERMINAL and not late

    async def _wait_for_server(self) -> None:
        if not self._pause:
            self._follower.note(self, AWAY, "warning")
        self._pause = min(max(_FIRST_PAUSE, self._pause * _GROWTH), _LONGEST_PAUSE)
        await asyncio.sleep(self._pause)

    def _end(self, text: str, level: str) -> None:
        self._ended = True
        self._follower.note(self, text, level)
