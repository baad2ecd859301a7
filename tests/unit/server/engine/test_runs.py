"""Cancelling: any run that has not ended, once; its worker is fenced out."""

from __future__ import annotations

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import FailedPreconditionError, NotFoundError
from ironflow_lab.server.engine.commands import CancelRun
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome
from ironflow_lab.server.engine.records import RunState
from ironflow_lab.server.engine.runs import cancel
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, only, resting, running


def cancelled(run: RunState | None, reason: str = "") -> Outcome:
    return cancel(run, CancelRun(env=ENV, run_id="run_1", reason=reason), NOW, CountingIds())


def test_a_running_run_ends_and_its_worker_is_told() -> None:
    outcome = cancelled(running(executed_ns=SECOND), "no longer wanted")
    moved = only(outcome, "move_run")
    assert (moved["status"], moved["cause"], moved["ended_at"]) == ("cancelled", "no longer wanted", NOW)
    assert moved["executed_ns"] == 2 * SECOND
    assert outcome.wakes == (Freed("run_1", 3, "w", revoked=True), Ended("run_1"))
    assert outcome.answer == "run_1"


@pytest.mark.parametrize("status", ["waiting_for_capacity", "waiting", "paused"])
def test_a_resting_run_just_ends(status: str) -> None:
    outcome = cancelled(resting(status, executed_ns=SECOND))
    moved = only(outcome, "move_run")
    assert (moved["status"], moved["executed_ns"], moved["due_at"]) == ("cancelled", SECOND, None)
    assert moved["cause"] == "cancelled by request"
    assert outcome.wakes == (Ended("run_1"),)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_an_ended_run_is_refused(status: str) -> None:
    with pytest.raises(FailedPreconditionError, match=r"has already .*cannot be cancelled"):
        cancelled(resting(status))


def test_an_unknown_run_or_another_environments_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="'run_1'"):
        cancelled(None)
    with pytest.raises(NotFoundError, match="'run_1'"):
        cancelled(running(env="env_other"))
