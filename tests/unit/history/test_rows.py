"""Rows told as events fold back to the rows."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.history.agreement import check
from ironflow_lab.history.fold import History
from ironflow_lab.history.pack import Packer
from ironflow_lab.history.rows import events_of
from ironflow_lab.history.words import phrase
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import TERMINAL, Error, Run, RunStatus, Step, StepStatus, StepType
from ironflow_lab.wire import codec
from tests.unit.history.stories import HOSTILE, RUN, T0

_STATUSES = ("pending", "running", "completed", "failed", "sleeping", "waiting", "timed_out", "retrying", "dead")
_RUNS = ("waiting_for_capacity", "running", "waiting", "paused", "completed", "failed", "cancelled", "pending")
_OUTPUTS = (None, 0, 1.0, True, "x", {"a": [1]}, {"password": "p"})


def made_up(number: int, count: int) -> tuple[Run, tuple[Step, ...]]:
    """Return a run's row and its steps' rows, by chance but as a server could have them."""
    chance = random.Random(number)
    status = chance.choice(_RUNS)
    started = chance.choice((0, T0 + 5)) if status not in ("completed", "running") else T0 + 5
    waits = chance.choice(("", "sleep", "wait_event")) if status == "waiting" else ""
    run = Run(
        id=RUN,
        function_id="pay",
        input=chance.choice(_OUTPUTS),
        output=chance.choice(_OUTPUTS) if status == "completed" else None,
        error=_error(chance) if status in ("failed", "waiting", "running", "paused") else None,
        status=RunStatus(status),
        attempt=chance.randint(1, 3),
        created_at=Instant(T0),
        started_at=Instant(started),
        ended_at=Instant(T0 + 900 if status in TERMINAL else 0),
        updated_at=Instant(T0 + chance.randint(0, 900)),
        worker_id="w" if started else "",
        pause_requested=status == "running" and chance.random() < 0.5,
        pause_reason=chance.choice(("injection", "retries_exhausted")) if status == "paused" else waits,
        parent_run_id=chance.choice(("", "run_0")),
        parent_step_id="run_0:pay:0",
        cancellation_cause="by hand" if status == "cancelled" else "",
    )
    return run, tuple(_step(chance, index) for index in range(count))


def _step(chance: random.Random, index: int) -> Step:
    status = chance.choice(_STATUSES)
    began = T0 + chance.randint(10, 500)
    ended = status in ("completed", "failed", "timed_out", "dead")
    patched = status == "completed" and chance.random() < 0.3
    injected = status == "completed" and not patched and chance.random() < 0.3
    begins = status != "pending" or chance.random() < 0.5
    kind = chance.choice(("invoke", "sleep", "wait_for_event", "invoke_function", "compensate"))
    return Step(
        id=f"step_{index}",
        run_id=RUN,
        step_id=f"{RUN}:{chance.choice(HOSTILE).replace(':', chr(92) + ':')}:{index}",
        step_type=StepType(kind),
        sequence=index,
        status=StepStatus(status),
        output=chance.choice(_OUTPUTS) if status == "completed" else None,
        error=_error(chance) if status in ("failed", "timed_out", "dead", "retrying") else None,
        attempt=chance.randint(1, 3),
        duration_ms=chance.randint(0, 9) if ended else 0,
        started_at=Instant(began if begins else 0),
        ended_at=Instant(began + chance.randint(0, 200) if ended else 0),
        sleep_until=Instant(T0 + 1_000 if begins and chance.random() < 0.2 else 0),
        input=chance.choice(_OUTPUTS) if begins else None,
        wait_event_name="order.paid" if kind == "wait_for_event" and begins else "",
        child_run_id="run_2" if kind == "invoke_function" and begins else "",
        compensation_for="charge" if kind == "compensate" else "",
        original_output=chance.choice(_OUTPUTS) if patched else {"first": 1} if injected else None,
        patched_at=Instant(T0 + 800 if patched else 0),
        patched_by="ada" if patched else "",
        created_at=Instant(T0 + 10),
        updated_at=Instant(T0 + 850),
    )


def _error(chance: random.Random) -> Error | None:
    return chance.choice((None, Error(message="no", code="X", retryable=True), Error(message="")))


rows = st.builds(made_up, st.integers(0, 2**32), st.integers(0, 6))


def _text(value: Any) -> Any:
    return None if value is msgspec.UNSET else json.dumps(value)


@given(rows)
def test_the_fold_of_the_events_is_the_rows(given_rows: tuple[Run, tuple[Step, ...]]) -> None:
    run, steps = given_rows
    history = History(RUN, events_of(run, steps))
    state = history.at_position(history.length)
    assert (state.status, state.attempt, _text(state.input)) == (run.status, run.attempt, _text(run.input))
    assert state.output is msgspec.UNSET if run.status != "completed" else _text(state.output) == _text(run.output)
    assert state.error == _told(run.error if run.status != "completed" else None)
    assert (state.created_at, state.run.worker_id) == (run.created_at, "w" if run.status == "running" else "")
    assert (state.run.pause_requested, state.run.pause_reason) == (
        run.pause_requested,
        run.pause_reason if run.status == "paused" else "",
    )
    assert state.run.parent_run_id == run.parent_run_id
    assert state.run.parent_step_id == ("run_0:pay:0" if run.parent_run_id else "")
    assert len(state.steps) == len(steps)
    for row in steps:
        step = state.step(row.step_id)
        assert (step.status, step.type, step.attempt) == (row.status, row.step_type, row.attempt)
        assert (step.started_at, step.until) == (row.started_at, row.sleep_until)
        assert step.error == _told(row.error)
        assert (step.event, step.child_run_id) == (row.wait_event_name, row.child_run_id)
        assert step.compensation_for == row.compensation_for
        assert _text(step.input) == (None if row.input is None else _text(row.input))
        if row.ended_at:
            assert (step.completed_at, step.duration_ms) == (row.ended_at, row.duration_ms)
        if row.status == "completed":
            assert _text(step.output) == _text(row.output)
        corrected = row.patched_at or row.original_output is not None
        assert (step.patched, step.by) == (bool(row.patched_at), row.patched_by)
        assert step.injected is bool(corrected and not row.patched_at)
        assert _text(step.original_output) == (_text(row.original_output) if corrected else None)
    assert check(history, steps, run).source == "fold"


def _told(error: Error | None) -> Any:
    return msgspec.UNSET if error is None else json.loads(codec.encode(error))


@given(rows)
def test_events_are_numbered_in_time_and_make_a_chunk(given_rows: tuple[Run, tuple[Step, ...]]) -> None:
    run, steps = given_rows
    events = events_of(run, steps)
    assert [event.id for event in events] == [f"row-{number}" for number in range(1, len(events) + 1)]
    times = [event.created_at for event in events]
    assert times == sorted(times)
    assert (events[0].event_type, events[0].created_at) == ("run.created", run.created_at)
    chunk = Packer(RUN, events=events, recording="", source="rows").chunk()
    assert (chunk.meta["source"], chunk.meta["recording"]) == ("rows", "")
    assert chunk.meta["ended"] is (run.status in TERMINAL)


def test_a_run_that_only_waits_is_one_event() -> None:
    run = Run(id=RUN, status=RunStatus("waiting_for_capacity"), attempt=1, created_at=Instant(T0))
    (created,) = events_of(run, ())
    assert created.payload["input"] is None


def test_steps_stand_in_the_order_in_which_they_started() -> None:
    run = Run(id=RUN, status=RunStatus("running"), attempt=1, created_at=Instant(T0), started_at=Instant(T0))
    steps = [
        Step(
            id=str(at),
            step_id=f"{RUN}:s{at}:0",
            step_type=StepType("invoke"),
            status=StepStatus("running"),
            sequence=order,
            started_at=Instant(T0 + at),
        )
        for order, at in enumerate((30, 10, 20))
    ]
    assert History(RUN, events_of(run, steps)).labels == ("s10", "s20", "s30")


def test_a_step_that_has_not_begun_is_told_as_that() -> None:
    run = Run(id=RUN, status=RunStatus("paused"), created_at=Instant(T0), updated_at=Instant(T0 + 90))
    row = Step(
        id="1",
        step_id=f"{RUN}:a:0",
        step_type=StepType("sleep"),
        status=StepStatus("pending"),
        attempt=2,
        updated_at=Instant(T0 + 50),
    )
    events = events_of(run, [row])
    assert [phrase(event.event_type, event.payload) for event in events] == [
        "Run created",
        "Step {} pending",
        "Run paused",
    ]
    (step,) = History(RUN, events).steps
    assert (step.status, step.type, step.name, step.attempt, step.started_at) == ("pending", "sleep", "a", 2, 0)


def test_a_compensation_is_told_as_one() -> None:
    run = Run(id=RUN, status=RunStatus("failed"), created_at=Instant(T0), ended_at=Instant(T0 + 90))
    step = Step(
        id="1",
        step_id=f"{RUN}:compensate:charge:0",
        step_type=StepType("compensate"),
        status=StepStatus("completed"),
        compensation_for="charge",
        started_at=Instant(T0 + 10),
        ended_at=Instant(T0 + 20),
    )
    told = [phrase(event.event_type, event.payload) for event in events_of(run, [step])]
    assert told == ["Run created", "Compensation of charge started", "Compensation of charge completed", "Run failed"]


def test_before_its_patch_a_step_has_the_output_it_had() -> None:
    run = Run(id=RUN, status=RunStatus("completed"), created_at=Instant(T0), ended_at=Instant(T0 + 90))
    step = Step(
        id="1",
        step_id=f"{RUN}:a:0",
        status=StepStatus("completed"),
        output=2,
        original_output=1,
        started_at=Instant(T0 + 10),
        ended_at=Instant(T0 + 20),
        patched_at=Instant(T0 + 30),
    )
    history = History(RUN, events_of(run, [step]))
    assert [history.at_time(T0 + at).step("a").output for at in (20, 30)] == [1, 2]
