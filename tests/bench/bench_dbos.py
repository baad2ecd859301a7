"""DBOS Transact as shipped: steps and workflows in one process, over SQLite or PostgreSQL.

PostgreSQL is used with `--variant postgres` and the URL in BENCH_PG_URL. DBOS 3.4 wants SQLite 3.42
(its timestamp default); where Python's is older, pysqlite3 stands in for it.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import shape

if sqlite3.sqlite_version_info < (3, 42):
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3


def launch(url: str) -> tuple[Any, Callable[[int], int], Callable[[int, int, str], int]]:
    """Return DBOS, launched, the workflow of W1 to W3 and that of W4."""
    from dbos import DBOS

    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "application_version": "v1",
            "executor_id": "local",
            "log_level": "ERROR",
        }
    )

    @DBOS.step()
    def tiny(place: int) -> dict[str, int]:
        return {"i": place, "v": place * 2}

    @DBOS.workflow()
    def steps(count: int) -> int:
        return sum(tiny(place)["v"] for place in range(count))

    @DBOS.step()
    def slow(number: int, place: int, path: str) -> int:
        # All runs are accepted before any step ends.
        shape.until(Path(f"{path}.accepted").exists, "all runs to be accepted", pause=0.01)
        time.sleep(shape.STEP_SECONDS)
        shape.Effects(Path(path)).note(number, place)
        return place

    @DBOS.workflow()
    def slow_steps(number: int, count: int, path: str) -> int:
        for place in range(count):
            slow(number, place, path)
        return number

    DBOS.launch()
    return DBOS, steps, slow_steps


@contextmanager
def database(variant: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database."""
    if variant == "sqlite":
        yield f"sqlite:///{folder}/dbos.sqlite"
        return
    import psycopg

    server = os.environ["BENCH_PG_URL"]
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{server}/{name}".replace("postgresql://", "postgresql+psycopg://")
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def measure(task: shape.Task, url: str) -> dict[str, float]:
    """Return the figures of W1, W2 or W3."""
    dbos, steps, _ = launch(url)
    steps(1)
    size = task.size
    took = []

    def one(_: int) -> None:
        start = time.perf_counter()
        dbos.start_workflow(steps, size.steps).get_result()
        took.append(time.perf_counter() - start)

    cpu, began = shape.Cpu(process=os.getpid()), time.perf_counter()
    with ThreadPoolExecutor(size.flight) as pool:
        list(pool.map(one, range(size.runs)))
    passed = time.perf_counter() - began
    dbos.destroy()
    if task.workload == "W1":
        return shape.latencies(took)
    if task.workload == "W3":
        return shape.per_step(size, passed)
    return {**shape.throughput(size, passed), **cpu.cores()}


def serve(url: str, path: str, runs: int, steps: int) -> None:
    """Be the process that is killed: start the runs (none when it is there to recover) and live on."""
    from dbos import SetWorkflowID

    dbos, _, slow_steps = launch(url)
    for number in range(runs):
        with SetWorkflowID(f"run-{number}"):
            dbos.start_workflow(slow_steps, number, steps, path)
    Path(f"{path}.accepted").touch()
    time.sleep(2 * shape.PATIENCE)


def crash(task: shape.Task, url: str, folder: Path) -> dict[str, float]:
    """Return the figures of W4."""
    import sqlalchemy

    effects, log = shape.Effects(folder / "effects"), folder / "log"

    def start(runs: int) -> Any:
        return shape.spawn(shape.script("bench_dbos", "serve", url, effects.path, runs, task.size.steps), log)

    process = start(task.size.runs)
    engine = sqlalchemy.create_engine(url)
    schema = "" if url.startswith("sqlite") else "dbos."
    query = sqlalchemy.text(f"SELECT count(*) FROM {schema}workflow_status WHERE status = 'SUCCESS'")

    def ended() -> int:
        try:
            with engine.connect() as connection:
                return int(connection.execute(query).scalar() or 0)
        except sqlalchemy.exc.OperationalError:
            return 0

    try:
        effects.wait_for_kill_point(task.size)
        shape.kill(process)
        effects.killed()
        process = start(0)
        return effects.recovered(task.size, ended)
    finally:
        shape.kill(process)
        engine.dispose()


def main() -> None:
    """Measure what the command line asks for."""
    if sys.argv[1] == "serve":
        url, path, runs, steps = sys.argv[2:]
        serve(url, path, int(runs), int(steps))
        return
    task = shape.task("dbos", variants=("sqlite", "postgres"))
    with shape.scratch("dbos") as folder, database(task.variant, folder) as url:
        task.report(**(crash(task, url, folder) if task.workload == "W4" else measure(task, url)))


if __name__ == "__main__":
    main()
