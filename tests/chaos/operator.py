"""Somebody outside: starts the runs, answers those that wait, and intervenes, whatever is being killed.

What to do next is read from the rows each time, by plain HTTP. An answer that a kill has cut off is not an
answer: the same is tried again, which emissions survive by their keys and all else by what the rows say.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.chaos import repertoire, troupe
from tests.chaos.witness import Witness
from tests.conformance.plain import Plain

STARTS_A_ROUND = 50
PAUSE = 0.1
MOVING = [f"RUN_STATUS_{status}" for status in ("PENDING", "WAITING_FOR_CAPACITY", "RUNNING", "WAITING", "PAUSED")]
# The kinds that somebody outside has to do something about, and in which statuses.
NEEDY = {
    "wait": ("WAITING",),
    "exhausted": ("PAUSED",),
    "held": ("WAITING", "PAUSED"),
    "stopped": ("RUNNING", "PAUSED"),
    "patched": ("FAILED",),
    "cancelled": ("WAITING", "RUNNING"),
}
# Nothing was answered, or that it cannot be answered now.
AWAY = (OSError, HTTPException)
# Of what was done already, although the answer never came.
REFUSED = 400
# How a run and its steps stand, noted for the law as well.
Look = Callable[[str], tuple[dict[str, Any], list[dict[str, Any]]]]


class Operator:
    """Goes round in a thread of its own; `broken` is what ended it before its time."""

    def __init__(self, plain: Plain, witness: Witness, folder: Path, look: Look) -> None:
        self.plain, self.witness, self.folder, self.look = plain, witness, folder, look
        self.answers: dict[int, set[str]] = defaultdict(set)
        self.started = 0
        self.cut_off = 0
        self.broken: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_round, name="operator", daemon=True)

    def start(self) -> None:
        """Begin to go round."""
        self._thread.start()

    def end(self) -> None:
        """Stop, and wait until it has."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _go_round(self) -> None:
        try:
            while not self._over.is_set():
                try:
                    self._round()
                except AWAY:
                    self.cut_off += 1
                self._over.wait(PAUSE)
        except BaseException as error:  # noqa: BLE001 - the test's thread shows it
            self.broken = error

    def answer_all(self) -> None:
        """Emit all answers once more: the keys make them the events that there are already."""
        for number in range(repertoire.RUNS):
            kind = repertoire.kind(number)
            if kind in repertoire.AWAITING:
                name, key = repertoire.awaited(kind), f"answer-{number}"
                self.answers[number].add(self._emit(name, key, {"number": number}))

    def _round(self) -> None:
        for _ in range(min(STARTS_A_ROUND, repertoire.RUNS - self.started)):
            kind = repertoire.kind(self.started)
            self._emit(repertoire.event(kind), f"start-{self.started}", {"number": self.started})
            self.started += 1
        for kind, words in NEEDY.items():
            statuses = [f"RUN_STATUS_{word}" for word in words]
            asked = {"functionId": repertoire.function(kind), "statuses": statuses, "limit": 500}
            for row in self.plain.call("ListRuns", asked).get("runs", []):
                self._tend(kind, row["input"]["number"], row["id"])

    def _emit(self, event: str, key: str, data: dict[str, Any]) -> str:
        event_id: str = self.plain.emit(event, data, idempotencyKey=key)["eventId"]
        return event_id

    def _tend(self, kind: str, number: int, run_id: str) -> None:
        """Do the next thing that this run needs, if it is time for it."""
        match kind:
            case "wait" | "held":
                self._answer(kind, number, run_id)
            case "exhausted":
                self._open(number)
                self._act("resume", run_id, "ResumeRun", {"runId": run_id})
            case "stopped":
                self._halt(number, run_id)
            case "patched":
                self._patch(number, run_id)
            case "cancelled":
                self._cancel(number, run_id)

    def _answer(self, kind: str, number: int, run_id: str) -> None:
        """Emit what a run waits for, and first, where that is its kind, hold it and change what it has read."""
        row, steps = self.look(run_id)
        waits = [step for step in steps if step["stepId"] == f"{run_id}:answer:0"]
        if not waits or waits[0]["status"] != "STEP_STATUS_WAITING":
            return
        corrected = self._corrected(number, steps)
        if kind == "held" and row["status"] == "RUN_STATUS_PAUSED":
            if corrected:
                self._act("resume", run_id, "ResumeRun", {"runId": run_id})
            else:
                self._inject(number, run_id)
        elif kind == "held" and not corrected:
            self._act("pause", run_id, "PauseRun", {"runId": run_id})
        elif row["status"] == "RUN_STATUS_WAITING":
            name, key = repertoire.awaited(kind), f"answer-{number}"
            self.answers[number].add(self._emit(name, key, {"number": number}))

    def _halt(self, number: int, run_id: str) -> None:
        """Hold a run amid a body; the body may end only when that has been asked for."""
        row, steps = self.look(run_id)
        corrected = self._corrected(number, steps)
        if row["status"] == "RUN_STATUS_PAUSED":
            if corrected:
                self._open(number)
                self._act("resume", run_id, "ResumeRun", {"runId": run_id})
            else:
                self._inject(number, run_id)
        elif corrected or not self._has(steps, "quote:0"):
            return
        elif row.get("pauseRequested") or (
            self.witness.tells_of(f"{run_id}:slow:0") and self._act("pause", run_id, "PauseRun", {"runId": run_id})
        ):
            self._open(number)

    def _patch(self, number: int, run_id: str) -> None:
        _, steps = self.look(run_id)
        ((name, output),) = repertoire.ALL[number].corrected.items()
        step_id = f"{run_id}:{name}"
        if not self._corrected(number, steps):
            row = next(step["id"] for step in steps if step["stepId"] == step_id)
            self._act("patch", run_id, "PatchStep", {"stepId": row, "output": output, "reason": "chaos"}, step_id)
        else:
            self._act("resume", run_id, "ResumeRun", {"runId": run_id, "fromStep": step_id})

    def _cancel(self, number: int, run_id: str) -> None:
        """Cancel a run once its first step is recorded, and it waits or its next body runs."""
        row, steps = self.look(run_id)
        if repertoire.turn(number) % 2:
            ready = self._has(steps, "first:0") and self.witness.tells_of(f"{run_id}:slow:0")
        else:
            ready = row["status"] == "RUN_STATUS_WAITING" and any(
                step["stepId"] == f"{run_id}:never:0" for step in steps
            )
        if ready:
            self._act("cancel", run_id, "CancelRun", {"id": run_id, "reason": "chaos"})

    def _inject(self, number: int, run_id: str) -> None:
        ((name, output),) = repertoire.ALL[number].corrected.items()
        step_id, given = f"{run_id}:{name}", b64encode(json.dumps(output).encode()).decode()
        asked = {"runId": run_id, "stepId": step_id, "newOutput": given, "reason": "chaos"}
        self._act("inject", run_id, "InjectStepOutput", asked, step_id)

    def _act(self, what: str, run_id: str, procedure: str, asked: dict[str, Any], step_id: str = "") -> bool:
        """Note an intervention, then ask for it; return whether it was answered that it is done."""
        self.witness.mark("act", what, run_id, step_id)
        answer = self.plain.post(procedure, asked)
        assert answer.status in (200, REFUSED), answer
        return answer.status == 200

    def _open(self, number: int) -> None:
        (self.folder / troupe.gate(number)).touch()

    @staticmethod
    def _has(steps: list[dict[str, Any]], name: str) -> bool:
        return any(
            step["stepId"].partition(":")[2] == name and step["status"] == "STEP_STATUS_COMPLETED" for step in steps
        )

    @staticmethod
    def _corrected(number: int, steps: list[dict[str, Any]]) -> bool:
        corrected = repertoire.ALL[number].corrected
        found = {step["stepId"].partition(":")[2]: step.get("output") for step in steps}
        return all(found.get(name) == output for name, output in corrected.items())
