"""What a handler sees of its event, its run and its logger."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from msgspec import UNSET

from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import JobEvent
from ironflow_lab.runtime.context import Context
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.threaded import ThreadedCore
from tests.unit.runtime.assignments import assignment, segment_of
from tests.unit.runtime.fakes import tools
from tests.unit.runtime.faketime import START


@function
def f(ctx: Any) -> None: ...


def context(**changes: Any) -> Context[PlainStep]:
    step = PlainStep(ThreadedCore(segment_of(f), tools()))
    return Context(assignment(**changes), step)


def test_event_and_run() -> None:
    event = JobEvent(
        id="evt_9",
        name="order.placed",
        data={"total": 5},
        timestamp=Instant(START),
        version=3,
        source="api",
        idempotency_key="k-1",
        metadata={"trace": "t"},
    )
    ctx = context(event=event, attempt=2, max_attempts=25, function_id="bill")
    assert (ctx.event.id, ctx.event.name, ctx.event.data) == ("evt_9", "order.placed", {"total": 5})
    assert (ctx.event.version, ctx.event.source, ctx.event.idempotency_key) == (3, "api", "k-1")
    assert ctx.event.metadata == {"trace": "t"}
    assert str(ctx.event.timestamp) == "2026-01-02T03:04:05Z"
    assert (ctx.run.id, ctx.run.function_id, ctx.run.attempt, ctx.run.max_attempts) == ("run_01", "bill", 2, 25)


def test_what_the_server_leaves_out_is_empty() -> None:
    ctx = context(max_attempts=UNSET)
    assert (ctx.event.source, ctx.event.idempotency_key, ctx.event.metadata) == ("", "", {})
    assert ctx.event.version == 1
    assert ctx.run.max_attempts == 0


def test_repr_shows_no_payload() -> None:
    assert repr(context(data={"card": "4111"})) == "<context of run_01, attempt 1, event 'order.placed'>"


def test_logger_names_the_run(caplog: pytest.LogCaptureFixture) -> None:
    ctx = context(attempt=2)
    with caplog.at_level(logging.INFO, "ironflow_lab.run"):
        ctx.logger.info("charged %d", 5)
    assert ctx.logger is ctx.logger
    [record] = caplog.records
    assert record.getMessage() == "charged 5"
    assert (record.__dict__["ironflow_run"], record.__dict__["ironflow_attempt"]) == ("run_01", 2)
