"""Waiting for runs: by the server's held answer where it has one, else by looking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ironflow_lab.errors import NotFoundError
from ironflow_lab.lab.bounded import each
from ironflow_lab.models.runs import TERMINAL, Run

if TYPE_CHECKING:
    from ironflow_lab.client import AsyncClient

IN_FLIGHT = 16
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.05, 1.0, 1.5
# One run is asked for with a long hold; of many, those that have ended are wanted meanwhile.
_HOLD_ONE, _HOLD_MANY = 2.0, 0.25
# A held answer tells of runs that have ended, not of paused ones: all are looked at this often.
_LOOK_AT_ALL = 2.0
_MOST_AT_ONCE = 500
_ONE_BY_ONE = 32
_PAGE = 500


def is_settled(run: Run) -> bool:
    """Return whether the run has ended or is paused: a paused run moves only when it is resumed."""
    return run.status in TERMINAL or run.status == "paused"


async def until_settled(
    client: AsyncClient,
    run_ids: Iterable[str],
    *,
    holds: bool,
    told: Callable[[Run], None],
    seen: Callable[[Run], None] | None = None,
) -> None:
    """Return when every run has ended or is paused, having given each to `told` as it did.

    A run that is looked at and goes on is given to `seen`.

    `holds` says that the server has `/lab/v1/runs/wait`; without it runs are looked at after 0.05 s,
    then less often, at least once a second. Raises `NotFoundError` for a run the server does not
    know, and `UnavailableError` when the client's retries are used up.
    """
    waiting = _Waiting(client, run_ids, told, seen or _ignore)
    pause = FIRST_PAUSE
    while await waiting.look():
        if holds:
            await waiting.hold()
        else:
            await asyncio.sleep(pause)
            pause = min(pause * GROWTH, LONGEST_PAUSE)


class _Waiting:
    """The runs still waited for, and which of them to look at next."""

    def __init__(
        self,
        client: AsyncClient,
        run_ids: Iterable[str],
        told: Callable[[Run], None],
        seen: Callable[[Run], None],
    ) -> None:
        self._pending = dict.fromkeys(run_ids)
        self._client = client
        self._told = told
        self._seen = seen
        self._ended: tuple[str, ...] | None = None
        self._clock = asyncio.get_running_loop().time
        self._next_full_look = 0.0

    async def look(self) -> bool:
        """Read the runs that a held answer named, or all; return whether some are not settled."""
        wanted = self._ended
        if wanted is None or self._clock() >= self._next_full_look:
            wanted = tuple(self._pending)
        full = len(wanted) == len(self._pending)
        for run in await look(self._client, wanted):
            if is_settled(run):
                del self._pending[run.id]
                self._told(run)
            else:
                self._seen(run)
        if full:
            self._next_full_look = self._clock() + _LOOK_AT_ALL
        self._ended = None
        return bool(self._pending)

    async def hold(self) -> None:
        """Wait on the server until the runs have ended, or a moment."""
        ids = tuple(self._pending)[:_MOST_AT_ONCE]
        answer = await self._client.runs.wait(ids, timeout=_HOLD_ONE if len(ids) == 1 else _HOLD_MANY)
        if answer.unknown:
            raise NotFoundError(f"the server does not know run {answer.unknown[0]!r}; was its data folder replaced?")
        self._ended = answer.ended


def _ignore(_run: Run) -> None:
    """Take no notice."""


async def look(client: AsyncClient, run_ids: Sequence[str]) -> list[Run]:
    """Return the runs as they are now, in any order; raises `NotFoundError` for an unknown one.

    Many are read from pages of the newest runs, which is where those of one batch are, and what is
    not found there one by one, 16 at a time.
    """
    found = await _among_newest(client, set(run_ids)) if len(run_ids) > _ONE_BY_ONE else {}
    missing = [run_id for run_id in run_ids if run_id not in found]
    others = await each(client.runs.get, missing, in_flight=IN_FLIGHT)
    return [*found.values(), *others]


async def _among_newest(client: AsyncClient, wanted: set[str]) -> dict[str, Run]:
    found: dict[str, Run] = {}
    cursor = ""
    for _ in range(2 + 2 * len(wanted) // _PAGE):
        page = await client.runs.list(limit=_PAGE, cursor=cursor)
        found |= {run.id: run for run in page.runs if run.id in wanted}
        cursor = page.next_cursor
        if not cursor or len(found) == len(wanted):
            break
    return found
