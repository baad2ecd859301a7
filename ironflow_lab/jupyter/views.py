"""The histories that open tabs look at: packed once, kept current, the least used forgotten."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from ironflow_lab.client.trail import Trail
from ironflow_lab.errors import NotFoundError
from ironflow_lab.history.pack import Chunk, Packer
from ironflow_lab.history.rows import events_of
from ironflow_lab.jupyter.upstream import Upstream
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.runs import TERMINAL, Run, Step

_MOST = 32
_FOLLOW = "runs/audit"
_UNRECORDED = (
    "This run was not recorded: only the last attempt of each step is known. Register its function with "
    "recording to see every change."
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a tab gets: `chunk` is None when nothing changed; `cursor` names its view in the next request."""

    cursor: str
    chunk: Chunk | None
    ended: bool


class View:
    """One run's history as one tab has it."""

    def __init__(self, upstream: Upstream, run_id: str) -> None:
        self.cursor = secrets.token_urlsafe(9)
        self.upstream = upstream
        self.run_id = run_id
        self.ended = False
        self.busy = asyncio.Lock()
        self._trail: Trail | None = None
        self._rows: tuple[Run, Sequence[Step]] | None = None
        self.packer = self._packer("")

    @property
    def length(self) -> int:
        """How many events it holds."""
        return self.packer.history.length

    async def load(self) -> Chunk:
        """Read everything there is and return it; raises `ApiError`."""
        run = await self.upstream.client.runs.get(self.run_id)
        self.packer = self._packer(run.function_id)
        while events := await self._events(wait=0):
            self.packer.extend(events)
        if self.length == 0:
            await self._rebuild()
        else:
            await self._verify()
        return self.packer.chunk()

    async def advance(self, *, wait: int) -> Chunk | None:
        """Return what happened since, after at most about `wait` seconds, or None; raises `ApiError`."""
        if self._rows is not None:
            return self.packer.chunk() if await self._rebuild() else None
        events = await self._events(wait=wait)
        if not events:
            return None
        chunk = self.packer.add(events)
        await self._verify()
        return msgspec.structs.replace(chunk, meta=self.packer.add(()).meta)

    def _packer(self, function_id: str, **options: Any) -> Packer:
        return Packer(self.run_id, function_id, server=self.upstream.settings.server_url, **options)

    async def _events(self, *, wait: int) -> tuple[AuditEvent, ...]:
        if self._trail is None:
            self._trail = Trail(self.run_id, follows=_FOLLOW in await self.upstream.extras())
        return await self._trail.page(self.upstream.client, wait=wait)

    async def _verify(self) -> None:
        """Compare the end of a history with the run's rows, once."""
        state = self.packer.history.run_at(self.length)
        self.ended = state.status in TERMINAL
        if self.ended:
            run, steps = await self._read_rows()
            self.packer.check(steps, run)

    async def _rebuild(self) -> bool:
        """Make the coarser history from the rows as they are; return whether they have changed."""
        rows = await self._read_rows()
        if rows == self._rows:
            return False
        self._rows = rows
        run, steps = rows
        self.ended = run.status in TERMINAL
        told = {"recording": "", "source": "rows", "note": _UNRECORDED}
        self.packer = self._packer(run.function_id, events=events_of(run, steps), **told)
        return True

    async def _read_rows(self) -> tuple[Run, Sequence[Step]]:
        runs = self.upstream.client.runs
        return await runs.get(self.run_id), await runs.steps(self.run_id)


class Views:
    """All views of this process, the least used forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, View] = OrderedDict()

    async def chunk(self, upstream: Upstream, run_id: str, *, after: int, cursor: str, wait: int) -> Answer:
        """Return what a tab that has `after` events is to be told; all of it when its view is not known.

        Raises `ApiError`.
        """
        view = self._known.get(cursor)
        if view is None or view.upstream is not upstream or view.run_id != run_id:
            return await self._open(upstream, run_id)
        async with view.busy:
            if view.length != after:
                return await self._open(upstream, run_id)
            self._known.move_to_end(cursor)
            chunk = await view.advance(wait=wait)
            return Answer(cursor=cursor, chunk=chunk, ended=view.ended)

    async def value(self, upstream: Upstream, run_id: str, key: str) -> str:
        """Return the JSON text of a value that was left behind; raises `ApiError`."""
        views = [view for view in reversed(self._known.values()) if view.run_id == run_id and view.upstream is upstream]
        for view in views or [await self._opened(upstream, run_id)]:
            try:
                return view.packer.value_text(key)
            except KeyError:
                continue
        raise NotFoundError("no such value in this run")

    async def _open(self, upstream: Upstream, run_id: str) -> Answer:
        view = await self._opened(upstream, run_id)
        return Answer(cursor=view.cursor, chunk=view.packer.chunk(), ended=view.ended)

    async def _opened(self, upstream: Upstream, run_id: str) -> View:
        view = View(upstream, run_id)
        await view.load()
        self._known[view.cursor] = view
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return view
