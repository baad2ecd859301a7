"""How some runs stand: most of them from one page of the newest, the others one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import NotFoundError
from ironflow_lab.models.runs import Run, RunRow

_IN_FLIGHT = 8
_PAGE = 200
_ONE_BY_ONE = 4


async def statuses(client: AsyncClient, run_ids: Sequence[str]) -> dict[str, Run | RunRow]:
    """Return the runs that the server knows, by id; raises `ApiError`."""
    found: dict[str, Run | RunRow] = {}
    if len(run_ids) > _ONE_BY_ONE:
        wanted = set(run_ids)
        found |= {run.id: run for run in await _newest(client) if run.id in wanted}
    missing = [run_id for run_id in run_ids if run_id not in found]
    return found | await _each(client, missing)


async def _newest(client: AsyncClient) -> list[RunRow]:
    async for page in client.runs.row_pages(page_size=_PAGE):
        return page.runs
    return []


async def _each(client: AsyncClient, run_ids: Iterable[str]) -> dict[str, Run | RunRow]:
    gate = asyncio.Semaphore(_IN_FLIGHT)
    found: dict[str, Run | RunRow] = {}

    async def read(run_id: str) -> None:
        async with gate:
            try:
                found[run_id] = await client.runs.get(run_id)
            except NotFoundError:
                return

    await asyncio.gather(*map(read, run_ids))
    return found
