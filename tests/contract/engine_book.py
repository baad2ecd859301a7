"""The engine told a second time and simply: how every run stands, after anything that can happen to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ironflow_lab.clock import MILLISECOND
from tests.contract.engine_model import TERMINAL, Rows

HELD, EXHAUSTED = "injection", "retries_exhausted"
REDACTED = "(redacted)"
Lane = tuple[str, str]


@dataclass(frozen=True)
class Wait:
    """What a run waits for, and until when."""

    kind: str
    due: int
    step: str = ""
    event: str = ""
    path: str = ""
    value: str = ""
    child: str = ""


@dataclass
class Step:
    """A step's row: `output` is decoded, that of an event its id alone."""

    status: str
    output: Any = None
    kind: str = "invoke"
    sequence: int = 0
    corrected: bool = False


@dataclass(frozen=True)
class Kind:
    """What a function says of its runs."""

    tries: int = 25
    exhausted: str = "pause"
    first_ms: int = 1_000
    most_ms: int = 300_000
    lane: Callable[[Any], str] = lambda data: ""
    limit: int = 0
    holds: bool = True


@dataclass
class Life:
    """One run as it must be."""

    function: str
    data: Any
    kind: Kind
    parent: tuple[str, str] = ("", "")
    status: str = "waiting_for_capacity"
    attempt: int = 1
    wait: Wait | None = None
    asked: bool = False
    why: str = ""
    holding: bool = False
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def lane(self) -> Lane:
        return self.function, self.kind.lane(self.data)

    @property
    def occupies(self) -> bool:
        return self.kind.limit > 0 and (self.status == "running" or self.holding)


class Book:
    """All runs. Every method is something that happens; those it happens to are in `touched`."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.touched: set[str] = set()
        self.ends: list[str] = []

    def __getitem__(self, run_id: str) -> Life:
        self.touched.add(run_id)
        return self.lives[run_id]

    # ---- what happens to one run

    def move(self, run_id: str, status: str, *, why: str = "", wait: Wait | None = None) -> None:
        life = self[run_id]
        held = why == HELD
        life.holding = held and life.kind.holds and (life.status == "running" or life.holding)
        if not held or wait is not None:
            life.wait = wait
        life.status, life.why, life.asked = status, why, False
        if status in TERMINAL:
            self.ends.append(run_id)

    def queue(self, run_id: str) -> None:
        """A segment has ended without an outcome, or a wait is over: it goes on, unless somebody holds it."""
        if self.lives[run_id].asked:
            self.move(run_id, "paused", why=HELD)
        else:
            self.move(run_id, "waiting_for_capacity")

    def claim(self, run_id: str) -> None:
        life = self[run_id]
        assert life.status == "waiting_for_capacity", f"{run_id} was handed out: {life}"
        life.status, life.holding = "running", False

    def save(self, run_id: str, steps: Iterable[dict[str, Any]], offset: int) -> None:
        life = self[run_id]
        for sequence, given in enumerate(steps, offset):
            known = life.steps.get(given["id"])
            if known is None or known.status != "completed":
                output = given.get("output") if given["status"] == "completed" else None
                place = sequence if known is None else known.sequence
                life.steps[given["id"]] = Step(given["status"], output, given.get("type", "invoke"), place)

    def yields(self, run_id: str, wait: Wait, kind: str, sequence: int) -> None:
        life = self[run_id]
        known = life.steps.get(wait.step)
        place = sequence if known is None else known.sequence
        life.steps[wait.step] = Step("sleeping" if wait.kind == "sleep" else "waiting", None, kind, place)
        if life.asked:
            self.move(run_id, "paused", why=HELD, wait=wait)
        else:
            self.move(run_id, "waiting", wait=wait)

    def passes(self, run_id: str, step_id: str, status: str, output: Any, kind: str, sequence: int) -> None:
        """The segment asked for something that is over at once."""
        known = self[run_id].steps.get(step_id)
        place = sequence if known is None else known.sequence
        self.lives[run_id].steps[step_id] = Step(status, output, kind, place)
        self.queue(run_id)

    def fail(self, run_id: str, *, retryable: bool, wish: int | None, at: int) -> None:
        life = self[run_id]
        if not retryable:
            self.end(run_id, "failed")
        elif life.attempt < life.kind.tries:
            life.attempt += 1
            delay = min(life.kind.first_ms * 2 ** (life.attempt - 2) if wish is None else wish, life.kind.most_ms)
            if life.asked:
                self.move(run_id, "paused", why=HELD)
            else:
                self.move(run_id, "waiting", wait=Wait("retry", at + delay * MILLISECOND))
        elif life.kind.exhausted == "pause":
            self.move(run_id, "paused", why=EXHAUSTED)
        else:
            self.end(run_id, "failed")

    def end(self, run_id: str, status: str, output: Any = None) -> None:
        """The run ends, and so does its parent's wait for it, if it still waits for this one."""
        self.move(run_id, status)
        parent_id, step_id = self.lives[run_id].parent
        parent = self.lives.get(parent_id)
        if parent is not None and parent.wait is not None and parent.wait.child == run_id:
            assert parent.wait.step == step_id
            self.over(parent_id, "completed" if status == "completed" else "failed", output)

    def over(self, run_id: str, status: str, output: Any = None) -> None:
        """What the run waits for has come, or will not come: once."""
        life = self[run_id]
        assert life.wait is not None, f"{run_id} woke without a wait"
        step = life.steps[life.wait.step]
        step.status, step.output = status, output if status == "completed" else None
        life.wait = None
        if life.status == "waiting":
            self.move(run_id, "waiting_for_capacity")

    # ---- what happens to many

    def event(self, name: str, event_id: str, data: Any) -> None:
        for run_id, life in list(self.lives.items()):
            wait = life.wait
            if wait is not None and wait.event == name and (not wait.path or looked_up(data, wait.path) == wait.value):
                self.over(run_id, "completed", event_id)

    def due(self, now: int) -> None:
        """Let all waits end whose time has come, one after the other; held ones have no time."""
        while over := self.is_due(now):
            self.time_is_up(over[0][1])

    def is_due(self, now: int) -> list[tuple[int, str]]:
        waits = [(life.wait.due, run_id) for run_id, life in self.lives.items() if life.wait is not None]
        return sorted(one for one in waits if one[0] <= now and self.lives[one[1]].status == "waiting")

    def time_is_up(self, run_id: str) -> None:
        wait = self.lives[run_id].wait
        assert wait is not None
        if wait.kind == "retry":
            self.move(run_id, "waiting_for_capacity")
        elif wait.kind == "event":
            self.lives[run_id].steps[wait.step].status = "timed_out"
            self.end(run_id, "failed")
        else:
            self.over(run_id, "completed" if wait.kind == "sleep" else "failed")

    # ---- what operators do

    def pause(self, run_id: str) -> None:
        life = self.lives[run_id]
        if life.status == "paused" or life.asked:
            return
        self.touched.add(run_id)
        if life.status == "running":
            life.asked = True
            return
        if life.wait is not None and life.wait.kind == "retry":
            life.wait = None
        self.move(run_id, "paused", why=HELD)

    def correct(self, run_id: str, step_id: str, output: Any) -> None:
        step = self[run_id].steps[step_id]
        step.status, step.output, step.corrected = "completed", output, True

    def resume(self, run_id: str, from_step: str = "") -> None:
        life = self[run_id]
        for step_id in self._discarded(life, from_step):
            life.steps[step_id] = Step("pending", None, life.steps[step_id].kind, life.steps[step_id].sequence)
            if life.wait is not None and life.wait.step == step_id:
                life.wait = None
        if life.status == "failed" or life.why != HELD:
            life.attempt = 1
        life.why = ""
        life.status = "waiting_for_capacity" if life.wait is None else "waiting"
        # Whoever waits for something else needs no place among those that execute.
        life.holding = life.holding and life.wait is None

    def _discarded(self, life: Life, from_step: str) -> list[str]:
        if from_step:
            first = life.steps[from_step]
            kept = first.status == "completed" and first.corrected
            later = [step_id for step_id, step in life.steps.items() if step.sequence > first.sequence]
            return later if kept else [from_step, *later]
        own = [(step.sequence, step_id) for step_id, step in life.steps.items() if _is_own(step)]
        if life.status != "failed" or not own:
            return []
        last = max(own)[1]
        return [last] if (life.steps[last].kind, life.steps[last].status) == ("invoke_function", "failed") else []

    def redact(self, run_id: str, step_id: str = "") -> None:
        for one, step in self[run_id].steps.items():
            if step_id in ("", one) and step.status == "completed":
                step.output = REDACTED

    def delete(self, run_id: str) -> None:
        self.touched.add(run_id)
        del self.lives[run_id]

    # ---- held against the rows

    def room_in(self, lane: Lane, limit: int) -> int:
        return limit - sum(life.occupies for life in self.lives.values() if life.lane == lane)

    def occupants(self, lane: Lane) -> list[str]:
        return [run_id for run_id, life in self.lives.items() if life.lane == lane and life.occupies]

    def compare(self, rows: Rows) -> None:
        """Fail where the rows are not what the book says."""
        names = ("status", "attempt", "pause_requested", "pause_reason", "holding", "lane")
        found = {run_id: tuple(row[name] for name in names) for run_id, row in rows.runs.items()}
        told = {
            run_id: (life.status, life.attempt, life.asked, life.why, life.holding, life.lane[1])
            for run_id, life in self.lives.items()
        }
        assert found == told, difference(found, told)
        waits = {run_id: life.wait for run_id, life in self.lives.items() if life.wait is not None}
        timers = {run_id: _wait(row) for run_id, row in rows.timers.items()}
        assert timers == waits, difference(timers, waits)
        for run_id, life in self.lives.items():
            steps = {
                step_id: (row["type"], row["status"], shown(row)) for step_id, row in rows.steps_of(run_id).items()
            }
            expected = {step_id: (step.kind, step.status, step.output) for step_id, step in life.steps.items()}
            assert steps == expected, f"steps of {run_id}: {difference(steps, expected)}"


def _is_own(step: Step) -> bool:
    return step.kind != "compensate" and step.status != "pending"


def _wait(row: dict[str, Any]) -> Wait:
    return Wait(row["kind"], row["due_at"], row["step_id"], row["event"], row["path"], row["value"], row["child"])


def shown(row: dict[str, Any]) -> Any:
    """Return a step's output as the book has it."""
    output = None if row["output"] is None else json.loads(row["output"])
    if isinstance(output, dict) and "$redacted" in output:
        return REDACTED
    if row["type"] == "wait_for_event" and isinstance(output, dict):
        return output["id"]
    return output["run_id"] if isinstance(output, dict) and output.keys() == {"run_id"} else output


def looked_up(data: Any, path: str) -> str | None:
    """Return the text at `data.<name>`."""
    found = data.get(path.removeprefix("data."))
    return found if found is None else str(found)


def difference(found: dict[str, Any], told: dict[str, Any]) -> str:
    every = found.keys() | told.keys()
    apart = {one: (found.get(one), told.get(one)) for one in every if found.get(one) != told.get(one)}
    return f"rows and book differ (rows, book): {apart}"
