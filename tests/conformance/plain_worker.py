"""A polling worker of a few lines that does exactly what a scenario tells it to (worker.md section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.conformance.plain import Answer, Plain, segment, until


@dataclass(frozen=True)
class Job:
    """An assignment as it came."""

    raw: dict[str, Any]

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.raw["job_id"])

    @property
    def run_id(self) -> str:
        """The run's id."""
        return str(self.raw["run_id"])

    @property
    def attempt(self) -> int:
        """The attempt number."""
        return int(self.raw["attempt"])

    @property
    def base(self) -> int:
        """The first free sequence."""
        return int(self.raw.get("step_sequence_base", 0))

    @property
    def fence(self) -> dict[str, Any]:
        """What every message about the job must echo."""
        return {key: self.raw[key] for key in ("execution_seq", "lease_token")}

    @property
    def memo(self) -> dict[str, Any]:
        """The outputs that came with the job, by step id."""
        return {step["step_id"]: step["output"] for step in self.raw["completed_steps"]}

    def step(self, name: str, output: Any = None, *, error: Any = None) -> dict[str, Any]:
        """Return a step result of this run: completed, or failed when an error is given."""
        outcome = {"status": "completed", "output": output} if error is None else {"status": "failed", "error": error}
        return {
            "id": f"{self.run_id}:{name}:0",
            "name": name,
            "type": "invoke",
            "started_at": "2026-01-02T03:04:05.006Z",
            "ended_at": "2026-01-02T03:04:05.106Z",
            "duration_ms": 100,
            **outcome,
        }


@dataclass(frozen=True)
class PlainWorker:
    """A worker by its id; `instance` is the embedded server's own field."""

    plain: Plain
    id: str
    functions: tuple[str, ...]
    instance: str = ""

    def send(self, method: str, rest: str, body: Any = None, **options: Any) -> Answer:
        """Send a worker call and return the answer as it is."""
        return self.plain.rest(method, f"/api/v1/workers/{segment(self.id)}/{rest}", body, **options)

    def register(self) -> PlainWorker:
        """Announce the worker, and return it."""
        body: dict[str, Any] = {
            "worker_id": self.id,
            "hostname": "box",
            "function_ids": list(self.functions),
            "max_concurrent_jobs": 10,
            "labels": {},
            "version": {"sdk": "0.53.0", "runtime": "python-3.12.4"},
        }
        if self.instance:
            body["instance_id"] = self.instance
        answer = self.send("POST", "register", body)
        assert answer.status == 200, answer
        return self

    def heartbeat(self, *jobs: Job) -> Answer:
        """Renew the leases of the jobs."""
        listed = [{"job_id": job.id, "started_at": "2026-01-02T03:04:05.006Z"} for job in jobs]
        body = {"worker_id": self.id, "active_jobs": len(jobs), "jobs": listed}
        return self.send("POST", "heartbeat", body)

    def poll(self, available: int = 1, wait: int = 0) -> Answer:
        """Ask for jobs once."""
        query = f"available={available}" + (f"&wait={wait}" if wait else "")
        return self.send("GET", f"jobs?{query}")

    def jobs(self, available: int = 1, wait: int = 0) -> list[Job]:
        """Ask for jobs once and return them; an answer with an empty list is refused."""
        answer = self.poll(available, wait)
        if answer.status == 204:
            assert answer.body == b"", answer
            return []
        assert answer.status == 200, answer
        found = [Job(raw) for raw in answer.json["jobs"]]
        assert 0 < len(found) <= available, answer
        return found

    def take(self, run_id: str | None = None) -> Job:
        """Wait for the next job, which must be of the run when one is named."""
        (job,) = until(lambda: self.jobs(wait=5), f"a job for {self.functions}")
        assert run_id in (None, job.run_id), job
        return job

    def ack(self, job: Job, **changed: Any) -> Answer:
        """Say that the job starts."""
        return self.send("PUT", f"jobs/{job.id}/ack", {"run_id": job.run_id, **job.fence, **changed})

    def update(self, job: Job, status: str, *steps: Any, **fields: Any) -> Answer:
        """Send a checkpoint or a report; the steps begin at the job's base unless told otherwise."""
        body = {"status": status, "steps": list(steps), "step_offset": job.base, **job.fence, **fields}
        return self.send("PUT", f"jobs/{job.id}", body)

    def done(self, job: Job, status: str, *steps: Any, **fields: Any) -> None:
        """Send a report that must be accepted."""
        answer = self.update(job, status, *steps, **fields)
        assert 200 <= answer.status < 300, answer

    def fail(self, job: Job, *steps: Any, offset: int | None = None, **error: Any) -> None:
        """Report a failure, retryable unless told otherwise."""
        fault = {"message": "boom", "code": "ERROR", "retryable": True, **error}
        begin = {} if offset is None else {"step_offset": offset}
        self.done(job, "failed", *steps, error=fault, **begin)

    def sleep(self, job: Job, until_time: str, *steps: Any) -> None:
        """Report that the run sleeps in its step `nap`."""
        wanted = {"step_id": f"{job.run_id}:nap:0", "type": "sleep", "until": until_time}
        self.done(job, "yielded", *steps, **{"yield": wanted})


def is_stale(answer: Answer) -> bool:
    """Whether the answer is the refusal of an old fence, in the form every worker understands."""
    if answer.status != 409:
        return False
    status, code = answer.fault
    assert (answer.json["error"], code, status) == ("STALE_EXECUTION", "aborted", 409), answer
    return True
