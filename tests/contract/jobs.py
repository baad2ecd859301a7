"""What a client and a worker do all the time, over plain HTTP."""

from __future__ import annotations

from typing import Any

from tests.conformance.plain import Plain, payload

WORKERS = "/api/v1/workers/"


def register(plain: Plain, worker: str, *functions: str, **fields: Any) -> None:
    answer = plain.rest("POST", f"{WORKERS}{worker}/register", {"function_ids": functions, **fields})
    assert answer.status == 200, answer


def works(plain: Plain) -> None:
    """One run from its event to its end, beside whatever else there is."""
    plain.call("RegisterFunction", {"id": "health", "triggers": [{"event": "health.check"}]})
    register(plain, "doctor", "health")
    run_id = plain.start("health.check", {"n": 1})
    (job,) = plain.rest("GET", f"{WORKERS}doctor/jobs?available=1").json["jobs"]
    assert plain.rest("PUT", job_path("doctor", job), report(job, output=[1])).status == 200
    assert payload(plain.run(run_id), "output") == [1]


def job_path(worker: str, job: dict[str, Any]) -> str:
    return f"{WORKERS}{worker}/jobs/{job['job_id']}"


def report(job: dict[str, Any], **fields: Any) -> dict[str, Any]:
    fence = {name: job[name] for name in ("execution_seq", "lease_token")}
    return {"status": "completed", **fence, **fields}
