"""Leases that run out, are renewed, or are held by an open connection (worker.md 3.2, rulings.md 16)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, until
from tests.conformance.plain_worker import Job, PlainWorker, is_stale
from tests.conformance.processes import Process, Server

SECONDS = "1"


@pytest.fixture(scope="module")
def short(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    processes: list[Process],
) -> Iterator[Plain]:
    """A server whose leases last 1 s."""
    if request.config.getoption("--server-url", default=None):
        pytest.skip("sets the length of a lease: only with a server of its own")
    server = Server(tmp_path_factory.mktemp("short"), "--lease-seconds", SECONDS, name="short-leases")
    processes.append(server)
    with server:
        yield server.plain


def held_job(short: Plain, name: str, *, instance: str = "") -> tuple[PlainWorker, PlainWorker, Job]:
    """A worker with a job in hand, and another one that would take it."""
    register(short, name)
    holder = PlainWorker(short, f"{name}-holder", (name,), instance).register()
    short.start(f"{name}.go", {})
    job = holder.take()
    assert holder.ack(job).status == 200
    return holder, PlainWorker(short, f"{name}-other", (name,)).register(), job


def lapse_elsewhere(short: Plain, name: str) -> None:
    """Wait until a lease that begins now has run out and its run was handed out again, twice."""
    _, other, job = held_job(short, f"{name}-measure")
    first = other.take(job.run_id)
    second = other.take(job.run_id)
    assert second.fence["execution_seq"] > first.fence["execution_seq"]


def test_a_silent_worker_loses_its_job(short: Plain, name: str) -> None:
    holder, other, job = held_job(short, name)
    holder.done(job, "progress", job.step("a", 1))
    again = other.take(job.run_id)
    assert (again.attempt, again.base, again.memo) == (1, 1, {f"{job.run_id}:a:0": 1})
    assert is_stale(holder.ack(job))
    assert is_stale(holder.update(job, "completed", output=1))
    assert holder.heartbeat(job).status == 200, "the worker itself is still known"
    assert is_stale(holder.update(job, "completed", output=1)), "and the heartbeat revived nothing"
    other.done(again, "completed", output=2)
    assert short.run(job.run_id)["workerId"] == other.id


@pytest.mark.parametrize("by", ["heartbeat", "progress", "ack"])
def test_a_lease_is_renewed(short: Plain, name: str, by: str) -> None:
    """For as long as several leases last elsewhere."""
    holder, other, job = held_job(short, name)
    _, witness, measure = held_job(short, f"{name}-measure")
    lost = 0
    while lost < 2:
        if by == "heartbeat":
            assert holder.heartbeat(job).status == 200
        elif by == "progress":
            holder.done(job, "progress")
        else:
            assert holder.ack(job).status == 200
        assert other.jobs() == []
        lost += len(witness.jobs())
    assert measure.run_id != job.run_id
    holder.done(job, "completed", output=1)


def test_a_heartbeat_renews_only_what_it_lists(short: Plain, name: str) -> None:
    holder, other, kept = held_job(short, name)
    dropped_run = short.start(f"{name}.go", {})
    dropped = holder.take(dropped_run)

    def beat() -> list[Job]:
        assert holder.heartbeat(kept).status == 200
        return other.jobs(available=2)

    assert [job.run_id for job in until(beat, "the unlisted job to be handed out")] == [dropped_run]
    assert is_stale(holder.update(dropped, "completed", output=1))
    holder.done(kept, "completed", output=1)


@contextmanager
def lease(plain: Plain, worker: PlainWorker, instance: str) -> Iterator[http.client.HTTPResponse]:
    """Hold the worker's leases by an open connection."""
    address = urlsplit(plain.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=20)
    connection.request("GET", f"/lab/v1/workers/{quote(worker.id)}/lease?instance={instance}")
    response = connection.getresponse()
    try:
        yield response
    finally:
        response.close()
        connection.close()


def test_an_open_connection_holds_the_leases_until_it_closes(short: Plain, name: str) -> None:
    holder, other, job = held_job(short, name, instance="i1")
    with lease(short, holder, "i1") as lines:
        assert lines.status == 200
        assert json.loads(lines.readline()) == {"type": "held"}
        lapse_elsewhere(short, name)
        assert other.jobs() == [], "silent but open: kept"
        assert holder.ack(job).status == 200
    again = other.take(job.run_id)
    assert again.attempt == 1
    assert is_stale(holder.update(job, "completed", output=1))
    other.done(again, "completed", output=2)


def test_the_connection_tells_of_cancelled_runs(short: Plain, name: str) -> None:
    holder, _, job = held_job(short, name, instance="i1")
    with lease(short, holder, "i1") as lines:
        assert json.loads(lines.readline()) == {"type": "held"}
        short.cancel(job.run_id)
        line = json.loads(lines.readline())
        assert line == {"type": "cancel", "run_id": job.run_id, "job_id": job.id}


def test_only_the_registered_instance_may_hold(short: Plain, name: str) -> None:
    holder, _, _ = held_job(short, name, instance="i1")
    with lease(short, holder, "i2") as lines:
        assert lines.status == 409
        assert json.loads(lines.read())["error"] == "STALE_EXECUTION"
    with lease(short, PlainWorker(short, f"{name}-nobody", (name,)), "i1") as lines:
        assert lines.status == 404


def test_taking_over_ends_the_former_connection(short: Plain, name: str) -> None:
    holder, _, job = held_job(short, name, instance="i1")
    with lease(short, holder, "i1") as lines:
        assert json.loads(lines.readline()) == {"type": "held"}
        successor = PlainWorker(short, holder.id, (name,), "i2").register()
        rest = lines.read()
        assert b"held" not in rest
        with lease(short, successor, "i2") as own:
            assert json.loads(own.readline()) == {"type": "held"}
            again = successor.take(job.run_id)
            assert successor.ack(again).status == 200
            lapse_elsewhere(short, name)
            successor.done(again, "completed", output=1)
