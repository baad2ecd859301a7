"""One run in the hand, and the worker beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    IronflowError,
    NotFoundError,
)
from ironflow_lab.testing import LocalServer

SECRET = "hunter2-s3cret"


def test_a_run_reads_the_server_until_it_has_ended(orders: il.Lab) -> None:
    run = orders.emit("order.placed", {"n": 3, "password": SECRET, "note": "<script>alert(1)</script>"}).runs[0]
    orders.wait(run)
    assert run.status == "completed"
    assert run.attempts == 2
    assert run.output == {"n": 3, "charged": 300}
    assert run.input["password"] == SECRET
    assert run.error is None
    assert run.steps["name"].tolist() == ["charge", "rest"]
    for shown in (run._repr_html_(), str(run), repr(run)):
        assert SECRET not in shown
        assert "settle" in shown
        assert "2 of 3" in shown
    assert "<script>" not in run._repr_html_()
    assert orders.run(run).id == orders.run(run.id).id == run.id


def test_an_unknown_run_is_an_error(lab: il.Lab) -> None:
    with pytest.raises(NotFoundError, match="run_that_never_was"):
        lab.run("run_that_never_was")
    with pytest.raises(NotFoundError, match="run_that_never_was"):
        lab.wait("run_that_never_was", timeout="5s")


def test_waiting_for_nothing_returns_at_once(lab: il.Lab) -> None:
    assert lab.wait([]) == []


def test_a_card_of_a_server_that_is_gone_still_shows_what_is_known(folder: Path) -> None:
    with LocalServer() as passing:
        joined = il.connect(passing.url)
        run = joined.emit("nobody.listens").frame()
        assert len(run) == 1

        @joined.function("sleeper", on="sleep.asked")
        async def sleeper(ctx: Any) -> Any:
            await ctx.step.sleep("long", "1h")

        handle = joined.emit("sleep.asked").runs[0]
        joined.worker.stop()
    html = handle._repr_html_()
    assert "sleeper" in html
    assert "not up to date" in html
    joined.close()


def test_the_worker_shows_what_it_serves_and_keeps_output_by_run(lab: il.Lab) -> None:
    @lab.function("talks", on="talk.asked")
    async def talks(ctx: Any) -> Any:
        ctx.logger.info("spoken by %s", ctx.run.id)

    run_id = lab.emit_sync("talk.asked").run_ids[0]
    [row] = lab.worker.logs(run_id).itertuples()
    assert (row.text, row.level, row.function_id) == (f"spoken by {run_id}", "INFO", "talks")
    assert "talk.asked" in lab.worker._repr_html_()
    assert lab.worker.status().state == "running"


def test_a_stopped_worker_starts_again(orders: il.Lab) -> None:
    orders.worker.drain(timeout="5s")
    assert "stopped" in repr(orders.worker)
    orders.worker.start()
    assert orders.emit("order.placed", {"n": 5}).result == {"n": 5, "charged": 500}


def test_without_a_function_there_is_no_worker(folder: Path) -> None:
    with LocalServer() as other:
        joined = il.connect(other.url)
        assert "not started" in repr(joined.worker)
        with pytest.raises(IronflowError, match=r"@lab\.function"):
            joined.worker.status()
        joined.close()
