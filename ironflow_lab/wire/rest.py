"""The REST routes of this library: the worker protocol (worker.md section 3) and discovery (rest.md 3)."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar
from urllib.parse import quote

import msgspec

from ironflow_lab.models.instant import Instant, Int32, format_instant
from ironflow_lab.models.runs import NOT_SET
from ironflow_lab.models.server import Ready
from ironflow_lab.models.workers import (
    Assignment,
    Fence,
    HeartbeatRequest,
    JobBatch,
    JobUpdate,
    LeaseLine,
    Poll,
    RegisterRequest,
    WorkerStatus,
)
from ironflow_lab.wire import codec, connect, problem
from ironflow_lab.wire.message import Private, Request, Response

T = TypeVar("T")

WORKERS = "/api/v1/workers/"
LAB_WAIT = "/lab/v1/runs/wait"
LAB_LEASE = "/lab/v1/workers/{}/lease"
LAB_AUDIT = "/lab/v1/runs/{}/audit"
LAB_WHY = "/lab/v1/runs/{}/why"
AUDIT = "/api/v1/audit"
AUDIT_SETTINGS = AUDIT + "/settings"
EVENTS = "/api/v1/events"
EVENT_NAMES = EVENTS + "/names"
SECRETS = "/api/v1/secrets"
_JSON = (("content-type", "application/json"),)
# Secrets have no default environment: without an environment of its own a call names that of its key.
CURRENT_ENVIRONMENT = ("x-ironflow-environment", "current")
LONGEST_POLL = 25


class RunsWaitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the answer until no named run goes on by itself or `timeout_ms` has passed (embedded server only)."""

    run_ids: tuple[str, ...] = ()
    timeout_ms: Int32 = 0


class RunsWaitResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The ids that have ended or are paused for an operator, and the ids this server does not know."""

    ended: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def get(path: str) -> Request:
    """Return a plain read."""
    return Request(method="GET", path=path, repeatable=True)


def register(worker_id: str, message: RegisterRequest) -> Request:
    """Return the call that announces a worker."""
    return _send("POST", worker_id, "/register", message)


def heartbeat(worker_id: str, message: HeartbeatRequest) -> Request:
    """Return the call that renews leases."""
    return _send("POST", worker_id, "/heartbeat", message)


def poll(worker_id: str, *, available: int, wait: int) -> Request:
    """Return the call that asks for up to `available` jobs and may be held `wait` seconds."""
    query = [("available", str(available))]
    held = min(wait, LONGEST_POLL)
    if held > 0:
        query.append(("wait", str(held)))
    return Request(
        method="GET",
        path=_worker(worker_id, "/jobs"),
        query=tuple(query),
        wait=float(held),
    )


def ack(worker_id: str, job_id: str, fence: Fence) -> Request:
    """Return the call that says a job is about to start."""
    return _send("PUT", worker_id, f"/jobs/{quote(job_id, safe='')}/ack", fence)


def update(worker_id: str, job_id: str, message: JobUpdate) -> Request:
    """Return a checkpoint or a final report."""
    return _send("PUT", worker_id, f"/jobs/{quote(job_id, safe='')}", message)


def lease(worker_id: str, instance_id: str) -> Request:
    """Return the call whose open answer holds this worker's leases (embedded server only)."""
    path = LAB_LEASE.format(quote(worker_id, safe=""))
    return Request(method="GET", path=path, query=(("instance", instance_id),))


def wait_for_runs(message: RunsWaitRequest) -> Request:
    """Return the call that waits for runs to end (embedded server only)."""
    return Request(
        method="POST",
        path=LAB_WAIT,
        body=codec.encode(message),
        headers=_JSON,
        repeatable=True,
        wait=message.timeout_ms / 1000,
    )


def audit_search(
    *,
    run_id: str = "",
    function_id: str = "",
    event_type: str = "",
    since: Instant = NOT_SET,
    until: Instant = NOT_SET,
    limit: int = 0,
    cursor: str = "",
) -> Request:
    """Return the read of audit events across runs, newest first (rest.md, Audit)."""
    asked = {
        "run_id": run_id,
        "function_id": function_id,
        "event_type": event_type,
        "from": format_instant(since) if since else "",
        "to": format_instant(until) if until else "",
        "limit": str(limit) if limit else "",
        "cursor": cursor,
    }
    query = tuple((name, value) for name, value in asked.items() if value)
    return Request(method="GET", path=AUDIT, query=query, repeatable=True)


def event(event_id: str) -> Request:
    """Return the read of one event."""
    return get(f"{EVENTS}/{quote(event_id, safe='')}")


def events_list(
    *,
    name: str = "",
    names: tuple[str, ...] = (),
    sources: tuple[str, ...] = (),
    since: Instant = NOT_SET,
    until: Instant = NOT_SET,
    search: str = "",
    limit: int = 0,
    cursor: str = "",
    before: str = "",
) -> Request:
    """Return the read of a page of events, newest first (rest.md, Events)."""
    asked = {
        "name": name,
        "names": ",".join(names),
        "source": ",".join(sources),
        "since": format_instant(since) if since else "",
        "until": format_instant(until) if until else "",
        "search": search,
        "limit": str(limit) if limit else "",
        "cursor": cursor,
        "before": before,
    }
    query = tuple((key, value) for key, value in asked.items() if value)
    return Request(method="GET", path=EVENTS, query=query, repeatable=True)


def event_names(*, sources: tuple[str, ...] = (), since: Instant = NOT_SET, until: Instant = NOT_SET) -> Request:
    """Return the read of which names the newest events bear."""
    return msgspec.structs.replace(events_list(sources=sources, since=since, until=until), path=EVENT_NAMES)


def secret(
    method: str, name: str = "", message: msgspec.Struct | None = None, *, headers: tuple[tuple[str, str], ...] = ()
) -> Request:
    """Return a call about one secret, or without a name about all (rest.md, Secrets)."""
    path = f"{SECRETS}/{quote(name, safe='')}" if name else SECRETS
    if message is None:
        return Request(method=method, path=path, headers=headers, repeatable=method == "GET")
    return Request(method=method, path=path, body=Private(codec.encode(message)), headers=(*_JSON, *headers))


def audit_follow(run_id: str, *, cursor: str = "", limit: int = 0, wait: int = 0) -> Request:
    """Return the read of a run's audit events after `cursor`, held up to `wait` seconds while there is none.

    Embedded server only (`runs/audit` in its capabilities); no longer than `LONGEST_POLL`.
    """
    held = min(wait, LONGEST_POLL)
    asked = {"cursor": cursor, "limit": str(limit) if limit else "", "wait": str(held) if held > 0 else ""}
    return Request(
        method="GET",
        path=LAB_AUDIT.format(quote(run_id, safe="")),
        query=tuple((name, value) for name, value in asked.items() if value),
        repeatable=True,
        wait=float(max(held, 0)),
    )


def why(run_id: str) -> Request:
    """Return the question why a run is not executing.

    Embedded server only (`runs/why` in its capabilities).
    """
    return Request(method="GET", path=LAB_WHY.format(quote(run_id, safe="")), repeatable=True)


def read(response: Response, kind: type[T]) -> T:
    """Return the answer as `kind`; raises `ApiError` for a refusal."""
    if not 200 <= response.status < 300:
        raise problem.from_response(response)
    return connect.decode_body(response, kind)


def accepted(response: Response) -> None:
    """Raise `ApiError` for a refusal; what a server says besides "yes" does not matter."""
    if not 200 <= response.status < 300:
        raise problem.from_response(response)


def read_status(response: Response) -> WorkerStatus:
    """Return what the server says of a job; raises `ApiError` for a refusal.

    A server need not say anything: an answer that is no such object says nothing.
    """
    accepted(response)
    try:
        return codec.decode(response.body, WorkerStatus)
    except msgspec.DecodeError:
        return WorkerStatus()


def read_poll(response: Response) -> Poll:
    """Return the jobs of a poll; raises `ApiError` for a refusal.

    A job that lacks a required field is dropped alone: its lease runs out and the run is handed out
    again, while the rest of the batch goes on (worker.md section 3.4).
    """
    accepted(response)
    if response.status == 204 or not response.body.strip():
        return Poll(held=_held(response))
    try:
        jobs = codec.decode(response.body, JobBatch).jobs
    except msgspec.DecodeError:
        return _salvage(response)
    # Servers of old answered with one bare job.
    return Poll(jobs=jobs) if jobs else _salvage(response)


def read_ready(response: Response) -> Ready:
    """Return what a server says of its readiness, whatever the status of the answer."""
    try:
        answer = codec.decode(response.body, Ready)
    except msgspec.DecodeError:
        answer = Ready()
    if answer.status:
        return answer
    return read(response, Ready)


def read_line(line: bytes) -> LeaseLine:
    """Return one line of the lease connection; raises `InternalError` for anything else."""
    return connect.decode_body(Response(status=200, headers={}, body=line), LeaseLine)


class _RawBatch(msgspec.Struct, frozen=True):
    jobs: list[msgspec.Raw] | None = None


def _held(response: Response) -> bool:
    seconds = response.headers.get("ironflow-poll-wait", "")
    return seconds.isdecimal() and int(seconds) > 0


def _salvage(response: Response) -> Poll:
    batch = connect.decode_body(response, _RawBatch)
    raw = [response.body] if batch.jobs is None else [bytes(job) for job in batch.jobs]
    jobs: list[Assignment] = []
    for one in raw:
        with suppress(msgspec.DecodeError):
            jobs.append(codec.decode(one, Assignment))
    return Poll(jobs=tuple(jobs), unreadable=len(raw) - len(jobs))


def _worker(worker_id: str, rest: str) -> str:
    return WORKERS + quote(worker_id, safe="") + rest


def _send(method: str, worker_id: str, rest: str, message: msgspec.Struct) -> Request:
    return Request(
        method=method,
        path=_worker(worker_id, rest),
        body=codec.encode(message),
        headers=_JSON,
    )
