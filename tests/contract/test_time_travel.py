"""Three witnesses of a run's past agree: the fold of its audit trail here, the server's fold, and who was there."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import NotFoundError
from ironflow_lab.history.agreement import check
from ironflow_lab.history.fold import History
from ironflow_lab.history.snapshot import Snapshot
from ironflow_lab.history.values import json_text
from ironflow_lab.history.words import is_significant, sentence
from ironflow_lab.models.runs import Step
from ironflow_lab.models.timetravel import GetRunStateAtResponse, RunSnapshot
from ironflow_lab.server.engine.ports import AuditAsked
from ironflow_lab.server.store.reads import Reader
from ironflow_lab.wire import codec
from tests.contract.engine_room import ENV
from tests.contract.histories import Lives, Seen, received

PER_ROOM = 80
REASONS = {
    "claimed",
    "retry",
    "sleep",
    "woken",
    "completed",
    "failed",
    "retries_exhausted",
    "timeout",
    "cancelled",
    "worker_lost",
    "unclaimed",
    "event",
    "child",
    "wait_timeout",
    "pause_requested",
    "injection",
    "resumed",
}
TYPES = {
    *("run.created", "run.status_changed", "run.paused", "run.resumed"),
    *("step.started", "step.completed", "step.failed", "step.patched", "step.injected", "step.discarded"),
    *("saga.compensation.started", "saga.compensation.completed", "saga.compensation.failed"),
}
# What else payloads must have told: a child's parent, a step to resume from, a wait that timed out.
KEYS = {"parentRunId", "fromStep", "rowStatus", "childRunId", "match", "until"}
ALL = REASONS | TYPES | KEYS


@pytest.mark.parametrize("seed", range(5))
async def test_three_witnesses_agree(seed: int, tmp_path: Path) -> None:
    told = await lives(seed, tmp_path, PER_ROOM)
    # What never happened proves nothing.
    assert told.keys() >= ALL, f"never happened: {ALL - told.keys()}"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1_000, 1_200))
async def test_three_witnesses_agree_for_long(seed: int, tmp_path: Path) -> None:
    await lives(seed, tmp_path, PER_ROOM)


async def lives(seed: int, folder: Path, count: int) -> Counter[str]:
    """Hold that many generated lives against the law; return what they told of, and how often."""
    told: Counter[str] = Counter()
    made = Lives(folder, random.Random(seed))
    try:
        await made.live(count)
        assert len(made.seen) >= count
        for run_id, seen in made.seen.items():
            history = await trail(made.reader, run_id)
            told.update(event.event_type for event in history.events)
            told.update(event.payload.get("reason", "") for event in history.events)
            told.update(key for event in history.events for key in event.payload)
            await agree(made.reader, history, seen)
    finally:
        made.close()
    return told


async def trail(reader: Reader, run_id: str) -> History:
    """Return the run's history as a client reads it, page by page."""
    history, cursor = History(run_id), ""
    while True:
        page = received(await reader.audit_trail(ENV, AuditAsked(run_id=run_id, limit=40, cursor=cursor)))
        history.extend(page.events)
        cursor = page.next_cursor
        if not cursor:
            return history


async def agree(reader: Reader, history: History, seen: list[Seen]) -> None:
    run_id = history.run_id
    times = [int(event.created_at) for event in history.events]
    assert times == sorted(set(times)), "two events at one instant"
    instants = sorted({*times, times[-1] - 1, times[-1] + 10**9} - {times[0] - 1})
    answers = await asyncio.gather(*(reader.state_at(ENV, run_id, at) for at in instants))
    for at, answer in zip(instants, answers, strict=True):
        told = codec.decode(codec.encode(answer), GetRunStateAtResponse)
        assert by_fold(history.at_time(at)) == by_server(told.snapshot)
    with pytest.raises(NotFoundError):
        await reader.state_at(ENV, run_id, times[0] - 1)
    assert history.at_time(times[0] - 1).position == 0
    for one in seen:
        then = history.at_time(one.run.updated_at)
        assert by_rows(one) == rows_by_fold(then)
    ends = {history.position_at(one.run.updated_at) for one in seen}
    assert history.length in ends, "something happened that nobody saw"
    assert check(history, received(seen[-1]).steps, received(seen[-1].run)).differences == ()
    await timelines_agree(reader, history)


async def timelines_agree(reader: Reader, history: History) -> None:
    labels = {step.step_id: step.name for step in history.steps}
    told = [
        (one.summary, one.significant, one.step_name) for one in (await reader.timeline(ENV, history.run_id)).events
    ]
    assert told == [
        (
            sentence(event.event_type, event.payload, labels.get(event.step_id, "")),
            is_significant(event.event_type, event.payload),
            labels.get(event.step_id, ""),
        )
        for event in history.events
    ]


# ---- one form for what each of them says; JSON text is compared as it is spelled


def by_fold(state: Snapshot) -> dict[str, Any]:
    return {
        "run": [state.run_id, state.function_id, state.status, state.created_at, text(state.input)],
        "steps": [
            [
                step.step_id,
                step.name,
                step.type,
                step.sequence,
                step.status,
                step.patched,
                step.injected,
                text(step.output),
                text(step.error),
                text(step.original_output),
                step.started_at,
                step.completed_at,
                step.duration_ms or 0,
            ]
            for step in state.steps
        ],
    }


def by_server(state: RunSnapshot) -> dict[str, Any]:
    return {
        "run": [state.run_id, state.function_id, state.status, state.created_at, spelled(state.input)],
        "steps": [
            [
                step.step_id,
                step.name,
                step.type,
                step.sequence,
                step.status,
                step.patched,
                step.injected,
                spelled(step.output),
                spelled(step.error),
                spelled(step.original_output),
                step.started_at,
                step.completed_at,
                step.duration_ms,
            ]
            for step in state.steps
        ],
    }


def by_rows(seen: Seen) -> dict[str, Any]:
    run, steps = received(seen.run), [received(step) for step in seen.steps]
    ended = run.status == "completed"
    return {
        "run": [
            run.status,
            run.attempt,
            text(run.input),
            text(run.output) if ended else "",
            message(None if run.error is None else json.loads(codec.encode(run.error))),
            run.created_at,
            [run.pause_requested, run.pause_reason if run.status == "paused" else ""],
            [run.parent_run_id, run.parent_step_id],
        ],
        "steps": {
            step.step_id: [
                str(step.step_type),
                str(step.status),
                step.attempt,
                text(step.output) if step.status == "completed" else "",
                message(None if step.error is None else json.loads(codec.encode(step.error))),
                step.started_at,
                step.ended_at,
                step.sleep_until or step.wait_timeout,
                # A failure tells no duration, and a correction of it completes the step.
                step.duration_ms if step.status == "completed" and not corrected(seen, step) else 0,
                [text(step.original_output), bool(step.patched_at), step.step_id in seen.injected],
                [step.wait_event_name, step.child_run_id, text(step.input), step.compensation_for],
            ]
            for step in steps
        },
    }


def rows_by_fold(state: Snapshot) -> dict[str, Any]:
    return {
        "run": [
            state.status,
            state.attempt,
            text(state.input),
            text(state.output),
            message(state.error),
            state.created_at,
            [state.run.pause_requested, state.run.pause_reason],
            [state.run.parent_run_id, state.run.parent_step_id],
        ],
        "steps": {
            step.step_id: [
                step.type,
                step.status,
                step.attempt,
                text(step.output),
                message(as_row(step.error) if step.type == "invoke_function" else step.error),
                step.started_at,
                step.completed_at,
                step.until,
                (step.duration_ms or 0) if step.status == "completed" and not (step.patched or step.injected) else 0,
                [null(step.original_output), step.patched, step.injected],
                [step.event, step.child_run_id, null(step.input), step.compensation_for],
            ]
            for step in state.steps
        },
    }


def text(value: Any) -> str:
    return "" if value is msgspec.UNSET else json_text(value).decode()


def corrected(seen: Seen, step: Step) -> bool:
    return step.patched_at > 0 or step.step_id in seen.injected


def as_row(error: Any) -> Any:
    """Return an invoked function's error as a row's message has it: which run that was stands in the details."""
    if error is msgspec.UNSET:
        return error
    told = dict(error)
    return {"message": told.pop("message"), "code": "INVOKE_FAILED", "details": told}


def null(value: Any) -> str:
    """Return JSON text where a row tells null from nothing by no field."""
    return text(None if value is msgspec.UNSET else value)


def spelled(payload: bytes) -> str:
    return text(json.loads(payload)) if payload else ""


def message(error: Any) -> Any:
    return None if error is None or error is msgspec.UNSET else error
