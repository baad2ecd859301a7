"""Runs at rest for tests: told as a program of steps, and changed in one place by every kind of mutation."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus, StepType
from ironflow_lab.wire import stepid

T0 = 1_767_323_045_000_000_000
MS = 1_000_000
NAMES = ("validate", "reserve", "charge", "ship", "notify", "score", "lookup", "audit", "quote", "close")


def step(name: str, output: Any = None, *, tries: int = 1, error: Error | None = None, **fields: Any) -> dict[str, Any]:
    """Tell a step; `mark` in `fields` names it across mutations."""
    return {"name": name, "output": output, "tries": tries, "error": error, **fields}


def group(name: str, *branches: list[dict[str, Any]]) -> dict[str, Any]:
    """Tell a parallel or a map."""
    return {"name": name, "branches": list(branches)}


def recording(
    program: list[dict[str, Any]], *, run_id: str = "run_000000000001", recorded: bool = True, **fields: Any
) -> Recording:
    """Return the run of a program: steps in order, branches one after the other."""
    steps: list[Step] = []
    events: list[AuditEvent] = []
    attempt = 1

    def tell(kind: str, step_id: str, payload: dict[str, Any]) -> Instant:
        at = Instant(T0 + (len(events) + 1) * MS)
        number = f"aud_{len(events)}"
        events.append(
            AuditEvent(
                id=number, run_id=run_id, step_id=step_id, event_type=kind, payload={"stepId": step_id, **payload},
                created_at=at,
            )
        )  # fmt: skip
        return at

    def execute(scope: str, calls: list[dict[str, Any]]) -> None:
        nonlocal attempt
        uses: Counter[str] = Counter()
        for call in calls:
            if "branches" in call:
                for number, branch in enumerate(call["branches"]):
                    execute(f"{scope}:{stepid.escape(call['name'])}:{number}", branch)
                continue
            step_id = stepid.step_id(scope, call["name"], uses[call["name"]])
            uses[call["name"]] += 1
            kind, started = call.get("type", "invoke"), Instant(T0)
            for number in range(call["tries"]):
                if number:
                    attempt += 1
                started = tell("step.started", step_id, {"stepType": kind, "attempt": attempt, **call.get("told", {})})
                if number + 1 < call["tries"]:
                    tell("step.failed", step_id, {"error": {"message": "no answer"}, "attempt": attempt})
            error = call["error"]
            end = {"error": {"message": error.message, "code": error.code}} if error else {"output": call["output"]}
            ended = tell("step.failed" if error else "step.completed", step_id, end)
            steps.append(
                Step(
                    id=f"row_{len(steps)}", run_id=run_id, step_id=step_id, step_type=StepType(kind),
                    sequence=len(steps), status=StepStatus(call.get("status", "failed" if error else "completed")),
                    output=None if error else call["output"], error=error, attempt=attempt,
                    started_at=started, ended_at=ended, **call.get("row", {}),
                )
            )  # fmt: skip

    execute(run_id, program)
    told = {"status": RunStatus("completed"), "input": {"order": "A-1"}, "output": {"done": True}, **fields}
    code = told.pop("code", Code())
    run = Run(id=run_id, function_id=told.pop("function_id", "order"), attempt=attempt, max_attempts=5, **told)
    return Recording(run=run, steps=tuple(steps), events=tuple(events) if recorded else (), code=code)


def leaves(program: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the steps of a program in the order of the code."""
    for call in program:
        if "branches" in call:
            for branch in call["branches"]:
                yield from leaves(branch)
        else:
            yield call


def program(rng: random.Random, *, size: int = 6, depth: int = 2) -> list[dict[str, Any]]:
    """Return a program with plain steps, loops, and branches; every step is marked."""
    calls = _calls(rng, size, depth, set())
    for number, call in enumerate(leaves(calls)):
        call["mark"] = number
    return calls


def output(rng: random.Random) -> Any:
    """Return what a step might return; a fifth of them say nothing."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice([None, True, {}])
    if kind == 1:
        return rng.randrange(10**6)
    return {"id": rng.randrange(10**9), "total": rng.randrange(1000) / 10, "lines": [rng.randrange(5) for _ in "ab"]}


def copied(program: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a program that may be changed."""
    return copy.deepcopy(program)


def _calls(rng: random.Random, size: int, depth: int, groups: set[str]) -> list[dict[str, Any]]:
    names = rng.sample(NAMES, k=min(size, len(NAMES)))
    calls: list[dict[str, Any]] = []
    for name in names:
        shape = rng.randrange(6)
        if shape == 0:
            calls += [step(name, output(rng)) for _ in range(rng.randrange(2, 6))]
        elif shape == 1 and depth and f"{name}-all" not in groups:
            groups.add(f"{name}-all")
            inner = _calls(rng, 2, depth - 1, set())
            branches = [
                [{**copy.deepcopy(one), **_fresh(rng, one)} for one in inner] for _ in range(rng.randrange(2, 5))
            ]
            calls.append(group(f"{name}-all", *branches))
        else:
            calls.append(step(name, output(rng)))
    return calls


def _fresh(rng: random.Random, call: dict[str, Any]) -> dict[str, Any]:
    return {} if "branches" in call else {"output": output(rng)}
