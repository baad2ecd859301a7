"""What stored rows cost: one JSON line a question, `few` against `many` side by side in one process.

    python -m tests.bench.bench_stored [--few 100 --many 100000] [--only claim,list,memory] [--samples 200]

Costs are microseconds by the engine and its store, without HTTP. The folder is in memory where the system has
such a place (else, or with BENCH_TMP, on that disk): the flush of a commit costs the same for both and would hide
what differs. `ratio` is many / few, of medians of samples taken in turns. The questions:

`runs`: emit, claim, report, and every way to list and to read a run, with few and with many runs stored.
`emit`: an event nobody waits for, with none and with 10,000 runs that wait: for other values at the same path,
for other events, and at a path of their own each.
`queue`: a claim with few and with many runs queued, in the open and behind a full lane.
`due`: ending 200 and 10,000 waits that are due, per run; and an emit while the latter goes on.
`memory`: a server's resident memory after a fifth of 50,000 runs and after all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ironflow_lab.client import AsyncClient
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import ListRunsRequest, RunStatus
from ironflow_lab.models.workers import JobUpdate, RegisterRequest, StepResult
from ironflow_lab.server.engine.commands import Explain
from ironflow_lab.server.engine.ports import AuditAsked, EventsAsked
from ironflow_lab.server.store import database, events, history, pages, runlist, runs
from tests.bench import shape
from tests.bench.stored import AWAITED, ENV, FUNCTIONS, LANED, Room, copy, registration

Work = Callable[[Room], object]
PAGE = 10
WAITING = 10_000
DUE = 10_000
FLIGHT = 250


def report(workload: str, few: list[float], many: list[float], **more: Any) -> None:
    """Print the line of a question; durations come in seconds."""
    low, high = statistics.median(few) * 1e6, statistics.median(many) * 1e6
    figures = {"few_us": round(low, 1), "many_us": round(high, 1), "ratio": round(high / low, 3)}
    print(json.dumps({"workload": workload, **figures, "load": round(os.getloadavg()[0], 2), **more}), flush=True)


def took(work: Callable[[], object]) -> float:
    """Return the seconds this takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def side_by_side(workload: str, few: Room, many: Room, samples: int, work: Work) -> None:
    """Measure the same work in both rooms in turns, in an order that changes."""
    times: dict[int, list[float]] = {0: [], 1: []}
    order = random.Random(workload)
    for _ in range(samples):
        for place in order.sample((0, 1), 2):
            room = (few, many)[place]
            times[place].append(took(lambda room=room: work(room)))  # type: ignore[misc]  # bound now
    report(workload, times[0], times[1])


# ---- fixtures


@contextmanager
def rooms(folder: Path, fill: Callable[[Room, int], None], few: int, many: int) -> Iterator[tuple[Room, Room]]:
    """Give two rooms, filled with few and with many of something."""
    for name, count in (("few", few), ("many", many)):
        with Room(folder / name) as room:
            room.open()
            fill(room, count)
    with ExitStack() as stack:
        yield stack.enter_context(Room(folder / "few")), stack.enter_context(Room(folder / "many"))


def ended(room: Room, count: int) -> None:
    """Store runs that have ended: four functions, half of their runs completed and half failed."""
    kinds = [(function_id, good) for function_id in FUNCTIONS for good in (True, False)]
    share = count // len(kinds)
    for place, (function_id, good) in enumerate(kinds):
        copy(room.folder, room.whole(function_id, good=good), share, first=1 + place * share)


# ---- questions


def question_runs(folder: Path, options: argparse.Namespace) -> None:
    """Emit, claim, report, list and read, by the number of runs that are stored."""
    with rooms(folder, ended, options.few, options.many) as (few, many):
        for room in (few, many):
            room.open()
        lives(few, many, options.samples)
        for name, read in reads(few, many).items():
            side_by_side(f"runs: {name}", few, many, options.samples, read)


def lives(few: Room, many: Room, samples: int) -> None:
    """Measure the commands that a run's life is made of."""
    parts = ("emit", "claim", "report")
    times: dict[str, dict[Room, list[float]]] = {part: {few: [], many: []} for part in parts}
    for turn in range(samples):
        for room in (few, many) if turn % 2 else (many, few):
            times["emit"][room].append(took(lambda room=room: room.emit(f"bench.{FUNCTIONS[0]}")))  # type: ignore[misc]
            began = time.perf_counter()
            (job,) = room.claim()
            claimed = time.perf_counter()
            room.finish(job)
            times["claim"][room].append(claimed - began)
            times["report"][room].append(time.perf_counter() - claimed)
    for part in parts:
        report(f"runs: {part}", times[part][few], times[part][many])


def reads(few: Room, many: Room) -> dict[str, Work]:
    """Return the reads by name; each looks at the middle of what its room has stored."""
    middle = {room: _middle(room.reader) for room in (few, many)}

    def listing(**fields: Any) -> Work:
        return lambda room: runlist.page(room.reader, ENV, ListRunsRequest(limit=PAGE, **fields))

    def deep(**fields: Any) -> Work:
        def work(room: Room) -> object:
            _, at, seq = middle[room]
            cursor = pages.write(f"{at}.{seq}")
            return runlist.page(room.reader, ENV, ListRunsRequest(limit=PAGE, cursor=cursor, **fields))

        return work

    def since(room: Room) -> object:
        at = Instant(middle[room][1])
        until = Instant(at + 50_000_000)
        return runlist.page(room.reader, ENV, ListRunsRequest(limit=PAGE, since=at, until=until))

    def by_id(room: Room) -> object:
        return runlist.page(room.reader, ENV, ListRunsRequest(limit=PAGE, search=middle[room][0]))

    def state(room: Room) -> object:
        return history.state_at(room.reader, history.Pasts(), ENV, middle[room][0], 2**62)

    failed = RunStatus("failed")
    moving = tuple(RunStatus(word) for word in ("running", "waiting", "paused"))
    return {
        "list newest": listing(),
        "list a status": listing(status=failed),
        "list what moves": listing(statuses=moving),
        "list a function": listing(function_id=FUNCTIONS[2]),
        "list a function's status": listing(function_id=FUNCTIONS[2], status=failed),
        "list from the middle": deep(),
        "list a status from the middle": deep(status=failed),
        "list 50 ms of the middle": since,
        "search a function": listing(search="bench-2"),
        "search an event": listing(search="bench.bench-2"),
        "search an id": by_id,
        "run": lambda room: runs.one(room.reader, ENV, middle[room][0]),
        "steps": lambda room: runs.steps(room.reader, ENV, middle[room][0]),
        "state at": state,
        "timeline": lambda room: history.timeline(room.reader, ENV, middle[room][0]),
        "trail": lambda room: history.trail(room.reader, ENV, AuditAsked(run_id=middle[room][0])),
        "events newest": lambda room: events.page(room.reader, ENV, EventsAsked(limit=PAGE)),
        "events of a name": lambda room: events.page(room.reader, ENV, EventsAsked(limit=PAGE, name="bench.bench-2")),
        "event names": lambda room: events.names(room.reader, ENV, EventsAsked()),
        "why": lambda room: room.ask(Explain(env=ENV, run_id=middle[room][0])),
    }


def _middle(db: sqlite3.Connection) -> tuple[str, int, int]:
    (count,) = db.execute("SELECT count(*) FROM runs").fetchone()
    found = db.execute("SELECT id, created_at, seq FROM runs ORDER BY seq LIMIT 1 OFFSET ?", (count // 2,))
    run_id, at, seq = found.fetchone()
    return str(run_id), int(at), int(seq)


def question_emit(folder: Path, options: argparse.Namespace) -> None:
    """Emit what nobody waits for, beside those who wait for something else."""

    def fill(change: str) -> Callable[[Room, int], None]:
        def work(room: Room, count: int) -> None:
            if count:
                copy(room.folder, room.awaiting(), count, distinct=True)
                with sqlite3.connect(room.folder / database.FILE) as db:
                    db.execute(f"UPDATE timers SET {change}")

        return work

    changes = {
        "values at a path": "value = value",
        "events": "event = event || run_id",
        "paths": "path = 'data.p' || run_id",
    }
    for name, change in changes.items():
        with rooms(folder / name, fill(change), 0, WAITING) as (few, many):
            title = f"emit: {WAITING:,} wait for other {name}"
            side_by_side(title, few, many, options.samples, lambda room: room.emit(AWAITED, {"id": "nobody's"}))


def question_queue(folder: Path, options: argparse.Namespace) -> None:
    """Claim, with few and with many runs queued; what is claimed ends, and another takes its place."""

    def queue(function_id: str) -> Callable[[Room, int], None]:
        return lambda room, count: copy(room.folder, room.queued(function_id), count)

    def claim(room: Room, times: list[float]) -> None:
        began = time.perf_counter()
        (job,) = room.claim()
        times.append(time.perf_counter() - began)
        room.finish(job)
        room.emit(f"bench.{FUNCTIONS[0]}")

    def nothing(room: Room, times: list[float]) -> None:
        began = time.perf_counter()
        jobs = room.claim()
        times.append(time.perf_counter() - began)
        assert not jobs

    for name, function_id, work in (("open", FUNCTIONS[0], claim), ("behind a full lane", LANED, nothing)):
        times: tuple[list[float], list[float]] = ([], [])
        with rooms(folder / function_id, queue(function_id), options.few, 10_000) as (few, many):
            if function_id == LANED:
                # One run has the lane, and stays.
                assert few.claim() and many.claim()
            for _ in range(options.samples):
                work(few, times[0])
                work(many, times[1])
        report(f"queue: claim from {10_000:,} {name}", *times)


def question_due(folder: Path, options: argparse.Namespace) -> None:
    """End waits that are due: per run, of 200 and of many, and what an emit costs meanwhile."""
    spent: list[float] = []
    emits: list[float] = []
    quiet: list[float] = []
    for count in (200, DUE):
        place = folder / str(count)
        with Room(place) as room:
            room.open()
            copy(place, room.asleep(), count - 1)
        with sqlite3.connect(place / database.FILE) as db:
            db.execute("UPDATE timers SET due_at = 1")
        db.close()
        began = time.perf_counter()
        with Room(place) as room:
            while _asleep(room.reader):
                if count == DUE:
                    emits.append(took(lambda room=room: room.emit("bench.nothing")))  # type: ignore[misc]
                time.sleep(0.002)
            spent.append((time.perf_counter() - began) / count)
            quiet = [took(lambda room=room: room.emit("bench.nothing")) for _ in range(20)]  # type: ignore[misc]
    report(f"due: a wait of {DUE:,}", [spent[0]], [spent[1]], seconds=round(spent[1] * DUE, 3))
    report("due: an emit meanwhile", quiet, emits, worst_us=round(max(emits) * 1e6))


def _asleep(db: sqlite3.Connection) -> int:
    (count,) = db.execute("SELECT coalesce(sum(n), 0) FROM run_counts WHERE status = 'waiting'").fetchone()
    return int(count)


# ---- memory


def question_memory(folder: Path, options: argparse.Namespace) -> None:
    """Watch a server's memory while runs go through it; they are recorded, and nothing is deleted."""
    folder.mkdir(parents=True)
    port = shape.free_port()
    command = [sys.executable, "-m", "ironflow_lab.cli", "serve", "--port", str(port), "--data-dir", str(folder)]
    server = shape.spawn(command, folder / "server.log", IRONFLOW_NO_DISCOVERY="1")
    try:
        shape.until(lambda: shape.listening(port), "the server", process=server)
        asyncio.run(_stream(f"http://127.0.0.1:{port}", server.pid, options.memory_runs))
    finally:
        shape.kill(server)


async def _stream(url: str, pid: int, count: int) -> None:
    began, sizes = time.perf_counter(), [_resident(pid)]
    async with AsyncClient(url) as client:
        await client.functions.register(registration(FUNCTIONS[0]))
        worker = RegisterRequest(worker_id="bench", function_ids=(FUNCTIONS[0],), max_concurrent_jobs=500)
        await client.workers.register("bench", worker)
        done = 0
        share = count // 10
        while done < count:
            await asyncio.gather(*(client.events.emit(f"bench.{FUNCTIONS[0]}", {"number": n}) for n in range(FLIGHT)))
            done += await _work_off(client, FLIGHT)
            if done // share >= len(sizes):
                sizes.append(_resident(pid))
        page = await client.runs.list(limit=1)
    figures = {"ratio": round(sizes[-1] / sizes[2], 3), "sizes_mb": sizes}
    facts = {"runs": done, "stored": page.total_count, "seconds": round(time.perf_counter() - began, 1)}
    print(json.dumps({"workload": "memory: after all / after a fifth", **figures, **facts}), flush=True)


async def _work_off(client: AsyncClient, wanted: int) -> int:
    done = 0
    while done < wanted:
        found = await client.workers.poll("bench", available=FLIGHT, wait=5)
        await asyncio.gather(*(_end(client, job) for job in found.jobs))
        done += len(found.jobs)
    return done


async def _end(client: AsyncClient, job: Any) -> None:
    step = StepResult(id=f"{job.run_id}:s:0", name="s", output={"number": job.event.data["number"]})
    fence = {"execution_seq": job.execution_seq, "lease_token": job.lease_token}
    update = JobUpdate(status="completed", steps=(step,), output={"ok": True}, **fence)
    await client.workers.update("bench", job.job_id, update)


def _resident(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    fields = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.endswith("kB")}
    # Without the pages of the file that are mapped: those are the system's cache.
    return round(int(fields["Anonymous"]) / 1024, 1)


QUESTIONS = {
    "runs": question_runs,
    "emit": question_emit,
    "queue": question_queue,
    "due": question_due,
    "memory": question_memory,
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--memory-runs", type=int, default=50_000)
    parser.add_argument("--only", default=",".join(QUESTIONS), help="questions, with commas between")
    options = parser.parse_args()
    if Path("/dev/shm").is_dir():
        os.environ.setdefault("BENCH_TMP", "/dev/shm")
    for name in options.only.split(","):
        with shape.scratch("stored") as folder:
            QUESTIONS[name](folder / name, options)


if __name__ == "__main__":
    main()
