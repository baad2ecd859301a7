"""The floor: how fast this disk lets any Python engine be that commits every step to one SQLite file.

Not a product: an asyncio loop, one writer thread that commits all that has queued (WAL, synchronous
FULL or NORMAL), steps that wait for their commit. The variants with `http` add one loopback round trip
a step to a process that does nothing. W0 measures the disk alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.bench import shape

VARIANTS = ("full", "normal", "full-http", "normal-http")
SCHEMA = """
CREATE TABLE runs (id TEXT PRIMARY KEY, status TEXT, output TEXT, began REAL, ended REAL);
CREATE TABLE steps (run TEXT, place INT, output TEXT, ended REAL, PRIMARY KEY (run, place)) WITHOUT ROWID;
"""
Trip = Callable[[], Awaitable[None]]


class Writer:
    """One thread that commits everything queued at once."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {synchronous}")
        self._db.execute("PRAGMA wal_autocheckpoint = 4000")
        self._db.executescript(SCHEMA)
        self._inbox: queue.SimpleQueue[tuple[str, tuple[Any, ...], asyncio.Future[None]]] = queue.SimpleQueue()
        self.commits = self.rows = 0
        threading.Thread(target=self._work, daemon=True).start()

    def put(self, statement: str, *values: Any) -> asyncio.Future[None]:
        """Return a future that is done once the statement is committed."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._inbox.put((statement, values, future))
        return future

    def _work(self) -> None:
        while True:
            batch = [self._inbox.get()]
            while not self._inbox.empty():
                batch.append(self._inbox.get())
            self._db.execute("BEGIN IMMEDIATE")
            for statement, values, _ in batch:
                self._db.execute(statement, values)
            self._db.execute("COMMIT")
            self.commits += 1
            self.rows += len(batch)
            self._loop.call_soon_threadsafe(self._answer, [future for _, _, future in batch])

    @staticmethod
    def _answer(futures: list[asyncio.Future[None]]) -> None:
        for future in futures:
            future.set_result(None)


async def run_one(writer: Writer, run: str, steps: int, trip: Trip | None) -> None:
    """Run one run: a commit for its start, one for each step, one for its end."""
    await writer.put("INSERT INTO runs VALUES (?, 'running', NULL, ?, NULL)", run, time.time())
    for place in range(steps):
        if trip is not None:
            await trip()
        output = json.dumps({"i": place, "v": place * 2})
        await writer.put("INSERT INTO steps VALUES (?, ?, ?, ?)", run, place, output, time.time())
    await writer.put("UPDATE runs SET status = 'done', output = '1', ended = ? WHERE id = ?", time.time(), run)


async def measure(task: shape.Task, folder: Path, trip: Trip | None) -> dict[str, float]:
    """Return the figures of W1, W2 or W3."""
    size, workload = task.size, task.workload
    writer = Writer(folder / "floor.db", task.variant.partition("-")[0])
    await run_one(writer, "warm", 5, trip)
    took: list[float] = []
    numbers = iter(range(size.runs))
    commits, rows, began = writer.commits, writer.rows, time.perf_counter()

    async def caller() -> None:
        for number in numbers:
            start = time.perf_counter()
            await run_one(writer, f"run-{number}", size.steps, trip)
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(caller() for _ in range(size.flight)))
    passed = time.perf_counter() - began
    if workload == "W1":
        return shape.latencies(took)
    if workload == "W3":
        return shape.per_step(size, passed)
    commits, rows = writer.commits - commits, writer.rows - rows
    return {
        **shape.throughput(size, passed),
        "commits_per_s": round(commits / passed),
        "rows_per_commit": rows / commits,
    }


async def with_trips(task: shape.Task, folder: Path) -> dict[str, float]:
    """Measure with one loopback round trip a step, on one kept connection per run in flight."""
    port = shape.free_port()
    echo = shape.spawn(shape.script("bench_floor", "echo", port), folder / "echo.log")
    try:
        await asyncio.to_thread(shape.until, lambda: shape.listening(port), "the echo server")
        idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        for _ in range(task.size.flight):
            idle.put_nowait(await asyncio.open_connection("127.0.0.1", port))

        async def trip() -> None:
            reader, writer = await idle.get()
            writer.write(b"POST /step HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            await reader.readuntil(b"{}")
            idle.put_nowait((reader, writer))

        return await measure(task, folder, trip)
    finally:
        shape.kill(echo)


async def echo(port: int) -> None:
    """Answer every request with an empty object, forever."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", port)
    await server.serve_forever()


def disk(task: shape.Task, folder: Path) -> dict[str, float]:
    """Return what 4 KiB take to reach the disk."""
    took = []
    file = os.open(folder / "file", os.O_CREAT | os.O_RDWR)
    for _ in range(task.size.runs):
        os.write(file, b"x" * 4096)
        start = time.perf_counter()
        os.fdatasync(file) if sys.platform != "darwin" else os.fsync(file)
        took.append(time.perf_counter() - start)
    os.close(file)
    return shape.latencies(took)


def main() -> None:
    """Measure what the command line asks for."""
    if sys.argv[1] == "echo":
        asyncio.run(echo(int(sys.argv[2])))
        return
    task = shape.task("floor", variants=VARIANTS)
    with shape.scratch("floor") as folder:
        if task.workload == "W0":
            task.report(**disk(task, folder))
        elif task.variant.endswith("http"):
            task.report(**asyncio.run(with_trips(task, folder)))
        else:
            task.report(**asyncio.run(measure(task, folder, None)))


if __name__ == "__main__":
    main()
