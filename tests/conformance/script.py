"""Runs whose program is in their event: started, watched and told as a story (`official/script.py`)."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from tests.conformance.ledger import Ledger
from tests.conformance.plain import ENDED, Plain, instant, payload, until
from tests.conformance.processes import Official

# The statuses of a run that waited once, up to where it goes on.
WAITED = ["running", "waiting", "waiting_for_capacity", "running"]
FAR = "2101-01-01T00:00:00.000000001Z"


@dataclass(frozen=True)
class Script:
    """The official worker that does what an event tells it to, and the server it works for."""

    plain: Plain
    worker: Official

    @property
    def prefix(self) -> str:
        """What the names of its functions and events begin with."""
        return self.worker.prefix

    @property
    def ledger(self) -> Ledger:
        """What its step bodies noted."""
        return self.worker.ledger

    def start(self, *program: Any, function: str = "script", fields: Any = None, **data: Any) -> str:
        """Start a run of these operations; `data` stands beside them in the event, `fields` beside the data."""
        return self.plain.start(f"{self.prefix}.{function}", {"do": program, **data}, **(fields or {}))

    def ended(self, run_id: str, word: str = "completed") -> dict[str, Any]:
        """Wait for the run's end, which must be this one, and return its row; its trail must tell the same."""
        run = self.plain.ended(run_id)
        assert run["status"] == f"RUN_STATUS_{word.upper()}", run
        self.agrees(run_id)
        return run

    def waits(self, run_id: str, status: str = "waiting", step: str = "") -> dict[str, Any]:
        """Wait until the run stands in a step of this status, in the named one, and return that step's row."""

        def probe() -> dict[str, Any] | None:
            begun = [row for row in self.plain.steps(run_id) if row["stepId"].startswith(f"{run_id}:{step}")]
            found = [row for row in begun if row["status"] == f"STEP_STATUS_{status.upper()}"]
            run = self.plain.run(run_id)
            assert found or run["status"] not in ENDED, run
            return found[0] if found and run["status"] == "RUN_STATUS_WAITING" else None

        return until(probe, f"{run_id} to stand in a step that is {status}")

    def ids(self, run_id: str) -> list[str]:
        """Return the step ids in order, without the run's id."""
        return [row["stepId"].removeprefix(f"{run_id}:") for row in self.plain.steps(run_id)]

    def row(self, run_id: str, step: str) -> dict[str, Any]:
        """Return the row of a step, named without the run's id."""
        (found,) = [row for row in self.plain.steps(run_id) if row["stepId"] == f"{run_id}:{step}"]
        return found

    def kinds(self, run_id: str) -> list[tuple[str, str]]:
        """Return the types and statuses of the steps in order, without their prefixes."""
        return [
            (row["stepType"].removeprefix("STEP_TYPE_").lower(), row["status"].removeprefix("STEP_STATUS_").lower())
            for row in self.plain.steps(run_id)
        ]

    def children(self, run_id: str) -> list[str]:
        """Return the ids of all runs of the function `child` that this run started."""
        listed = self.plain.call("ListRuns", {"functionId": f"{self.prefix}-child", "limit": 500})
        return [run["id"] for run in listed.get("runs", []) if run["parentRunId"] == run_id]

    def outputs(self, run_id: str) -> list[Any]:
        """Return the outputs of the steps in order."""
        return [payload(row, "output") for row in self.plain.steps(run_id)]

    # ---- the audit trail

    def trail(self, run_id: str, kind: str = "") -> list[dict[str, Any]]:
        """Return the audit events of a recorded run, of one type or of all, which must be in order."""
        found = self.plain.call("AuditService/GetAuditTrail", {"runId": run_id, "limit": 1000, "eventType": kind})
        events: list[dict[str, Any]] = found.get("events", [])
        times = [instant(event["createdAt"]) for event in events]
        assert times == sorted(set(times)), events
        return events

    def story(self, run_id: str) -> list[str]:
        """Return what the trail says of the steps, in order: "started a:0"."""
        told = []
        for event in self.trail(run_id):
            kind = event["eventType"]
            if not kind.startswith("run."):
                words = kind.removeprefix("step.").removeprefix("saga.").replace(".", " ")
                told.append(f"{words} {event['stepId'].removeprefix(f'{run_id}:')}")
        return told

    def statuses(self, run_id: str) -> list[str]:
        """Return the statuses of the run that its trail tells of, in order."""
        said = [event["payload"] for event in self.trail(run_id) if event["eventType"].startswith("run.")]
        return [one["newStatus"] for one in said if one.get("newStatus") not in (None, one.get("oldStatus"))]

    def awake(self, run_id: str) -> list[str]:
        """Return the statuses but "waiting": a sleep of a few milliseconds may be over when it is reported."""
        return [status for status in self.statuses(run_id) if status != "waiting"]

    def agrees(self, run_id: str) -> None:
        """Check that the fold of a recorded run's trail is what its rows say."""
        if not self.trail(run_id):
            return
        run, rows = self.plain.run(run_id), self.plain.steps(run_id)
        asked = {"runId": run_id, "timestamp": FAR}
        state = self.plain.call("TimeTravelService/GetRunStateAt", asked)["snapshot"]
        assert f"RUN_STATUS_{state['status'].upper()}" == run["status"], (state, run)
        folded = {step["stepId"]: step for step in state.get("steps", [])}
        assert folded.keys() == {row["stepId"] for row in rows}, (state, rows)
        for row in rows:
            step = folded[row["stepId"]]
            assert f"STEP_STATUS_{step['status'].upper()}" == row["status"], (step, row)
            assert unpacked(step.get("output", "")) == payload(row, "output"), (step, row)


def unpacked(text: str) -> Any:
    """Return the value of a field whose bytes are JSON text; no bytes are None."""
    return json.loads(b64decode(text)) if text else None


def done(*steps: str) -> list[str]:
    """Return the story of steps that went through, one after the other."""
    return [f"{word} {step}" for step in steps for word in ("started", "completed")]
