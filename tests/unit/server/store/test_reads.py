"""Reads beside a writer that commits in their midst: each answers from one state of the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ironflow_lab.models.runs import ListRunsRequest, RunStatus
from ironflow_lab.server.store import database
from ironflow_lab.server.store.reads import Reader
from tests.unit.server.store.test_runlist import ENV, inserted

MOVING = tuple(map(RunStatus, ("waiting_for_capacity", "running", "waiting")))


@pytest.mark.parametrize("way", [("waiting_for_capacity", "running"), ("running", "waiting_for_capacity")])
def test_a_run_that_moves_while_a_list_is_read_is_in_it_once(tmp_path: Path, way: tuple[str, str]) -> None:
    writer = database.open_writer(tmp_path)
    run_id = inserted(writer, 1, function="order", event="placed", status=way[0], at=1_000, env=ENV)
    reader, moved = Reader(tmp_path), list[str]()

    def move(statement: str) -> None:
        # Between the counts, which say where to look, and the looking.
        if "created_at BETWEEN" in statement and not moved:
            moved.append(statement)
            writer.execute("UPDATE runs SET status = ? WHERE id = ?", (way[1], run_id))

    async def read() -> tuple[list[str], int]:
        reader._pool.submit(lambda: reader._connection().set_trace_callback(move)).result()
        reader._pool._max_workers = 1
        page = await reader.runs(ENV, ListRunsRequest(statuses=MOVING))
        return [run.id for run in page.runs], page.total_count

    assert asyncio.run(read()) == ([run_id], 1)
    assert moved
    reader.close()
    writer.close()
