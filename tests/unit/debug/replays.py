"""Recordings that no run has made, and their replays."""

from __future__ import annotations

from typing import Any

from ironflow_lab.debug.answers import Recorded
from ironflow_lab.debug.calls import Answer, Call, Execute
from ironflow_lab.debug.replay import execute
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Run, RunStatus, Step, StepStatus, StepType
from ironflow_lab.runtime.function import DurableFunction


def replay(recording: Recording, fn: DurableFunction, **given: Any) -> Replayed:
    return execute(recording, fn, Recorded(recording), **given)


def made(*steps: Step, output: Any = None, **run: Any) -> Recording:
    """Return a recording that no run has made."""
    fields = {"status": RunStatus("completed"), "started_at": Instant(1), "ended_at": Instant(10**12), **run}
    return Recording(run=Run(id="run_1", function_id="made", output=output, **fields), steps=steps)


def step(number: int, name: str, output: Any = None, **fields: Any) -> Step:
    known = {"status": StepStatus("completed"), "step_type": StepType("invoke"), **fields}
    return Step(id=f"s{number}", run_id="run_1", step_id=f"run_1:{name}", sequence=number, output=output, **known)


def boom(*_: Any) -> Any:
    raise AssertionError("a body was executed")


def later(*_: Any) -> Any:
    raise TimeoutError("later")


class Words:
    """Answers by label; what is not named is executed."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers

    def answer(self, call: Call) -> Answer:
        return self.answers.get(call.label, Execute())


DEEP: Any = []
for _ in range(5_000):
    DEEP = [DEEP]
