"""Rows as the records that decisions are made on, and the lookups that many of them share."""

from __future__ import annotations

import sqlite3
from functools import lru_cache, partial
from typing import Any

import msgspec

from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.server.engine.records import EventState, FunctionState, RetryPolicy, RunState, StepState, Timer
from ironflow_lab.server.store import queries
from ironflow_lab.wire import codec

# Every emit reads every function: the same few texts, decoded over and over again without these.
definition_of = lru_cache(maxsize=1_024)(partial(codec.decode, kind=RegisterFunctionRequest))
_policy = lru_cache(maxsize=1_024)(msgspec.json.Decoder(RetryPolicy).decode)

_SQL = queries.load("loads")
_RUN = f"{_SQL['runs']} {_SQL['of_run']}"

Row = tuple[Any, ...]


def function_by_id(db: sqlite3.Connection, env: str, function_id: str) -> FunctionState | None:
    """Return one function, None where it is not registered."""
    row = db.execute(_SQL["function"], {"env": env, "id": function_id}).fetchone()
    return None if row is None else function_of(row)


def run_by_id(db: sqlite3.Connection, run_id: str) -> RunState | None:
    """Return one run, None where there is none."""
    row = db.execute(_RUN, {"id": run_id}).fetchone()
    return None if row is None else run_of(row)


def function_of(row: Row) -> FunctionState:
    """Return a function: id, version, status, definition, created_at, updated_at."""
    return FunctionState(
        id=row[0],
        version=row[1],
        status=row[2],
        definition=definition_of(row[3]),
        created_at=row[4],
        updated_at=row[5],
    )


def event_of(row: Row) -> EventState:
    """Return an event: the columns of the loads' `event`."""
    return EventState(
        id=row[0],
        name=row[1],
        data=row[2],
        metadata=row[3],
        version=row[4],
        source=row[5],
        idempotency_key=row[6],
        at=row[7],
        emitted_by=row[8],
        run_id=row[9],
    )


def run_of(row: Row) -> RunState:
    """Return a run: the columns of the loads' `runs`."""
    return RunState(
        id=row[0],
        env=row[1],
        function_id=row[2],
        event_id=row[3],
        status=row[4],
        attempt=row[5],
        policy=_policy(row[6]),
        timeout_ms=row[7],
        executed_ns=row[8],
        execution_seq=row[9],
        lease_token=row[10],
        worker_id=row[11],
        created_at=row[12],
        updated_at=row[13],
        started_at=row[14],
        claimed_at=row[15],
        recording=row[16],
        parent_run_id=row[17],
        parent_step_id=row[18],
        pause_requested=bool(row[19]),
        pause_reason=row[20],
        lane=row[21],
        lane_limit=row[22],
        pause_holds=bool(row[23]),
        holding=bool(row[24]),
        eligible_at=row[25],
    )


def step_of(row: Row) -> StepState:
    """Return a step: the columns of the loads' `steps` after the first, which is its id."""
    return StepState(
        name=row[1],
        type=row[2],
        status=row[3],
        attempt=row[4],
        output=row[5],
        error=row[6],
        started_at=row[7],
        ended_at=row[8],
        duration_ms=row[9],
        sleep_until=row[10],
        compensation_for=row[11],
        sequence=row[12],
        original_output=row[13],
        patched_at=row[14],
        injected=bool(row[15]),
        wait_event=row[16],
        wait_until=row[17],
        child_run_id=row[18],
    )


def timer_of(row: Row) -> Timer:
    """Return what a run waits for: the columns of the loads' `timers`."""
    return Timer(
        run_id=row[0],
        env=row[1],
        kind=row[2],
        due_at=row[3],
        step_id=row[4],
        event=row[5],
        path=row[6],
        value=row[7],
        child=row[8],
        child_function=row[9],
    )
