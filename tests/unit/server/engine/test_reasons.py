"""Why a run is not executing: one reason for every situation, with what can be done about it."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import NotFoundError
from ironflow_lab.models.reasons import REASONS, BlockingReason
from ironflow_lab.server.engine.commands import Explain
from ironflow_lab.server.engine.reasons import Lease, Presence, Situation, explain
from ironflow_lab.server.engine.records import RunState
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, resting, running, waiting

ALIVE = Presence(alive=frozenset({"w"}))
DUE = "2026-01-02T03:04:05Z"


def why(run: RunState | None, **state: Any) -> BlockingReason:
    outcome = explain(Situation(run=run, **state), Explain(env=ENV, run_id="run_1"), NOW, CountingIds())
    assert (outcome.writes, outcome.wakes) == ((), ())
    found: BlockingReason = outcome.answer
    assert found.reason in REASONS
    assert found.message
    return found


def queued(presence: Presence = ALIVE, *, status: str = "active", **state: Any) -> BlockingReason:
    run = resting("waiting_for_capacity", lane=state.pop("lane", ""), lane_limit=2, updated_at=NOW - SECOND)
    return why(run, function_status=status, workers=("w", "v"), position=3, presence=presence, **state)


class TestQueued:
    def test_a_function_that_was_deleted(self) -> None:
        assert (queued(status="").reason, "register it" in queued(status="").message) == ("function_missing", True)

    def test_a_paused_function(self) -> None:
        assert queued(status="paused").reason == "function_paused"

    def test_no_worker_that_lives(self) -> None:
        found = queued(Presence(alive=frozenset({"stranger"})))
        assert (found.reason, found.worker_ids) == ("no_worker", ("w", "v"))
        assert "its workers (w, v) have not been heard of" in found.message

    @pytest.mark.parametrize(
        ("alive", "said"),
        [
            (set(), "no worker has registered for it; start one"),
            ({"w"}, "no worker has registered for it, and the one that is there serves others; start one"),
            ({"w", "v"}, "no worker has registered for it, and the 2 that are there serve others; start one"),
        ],
    )
    def test_workers_that_serve_other_functions(self, alive: set[str], said: str) -> None:
        run, presence = resting("waiting_for_capacity"), Presence(alive=frozenset(alive))
        assert why(run, function_status="active", presence=presence).message.endswith(said)

    def test_a_full_lane_names_who_is_in_it(self) -> None:
        found = queued(lane="x", ahead=("run_7", "run_8"))
        assert (found.reason, found.ahead) == ("lane_full", ("run_7", "run_8"))
        assert "at most 2 at a time in its lane 'x': run_7, run_8 first" in found.message
        assert "in its function" in queued(ahead=("run_7",)).message

    def test_a_worker_that_waits_for_work(self) -> None:
        assert queued(Presence(alive=frozenset("w"), polling=frozenset("w"))).reason == "handing_out"
        assert queued(Presence(alive=frozenset("w"), polling=frozenset("x"))).reason == "workers_busy"

    def test_else_all_are_busy(self) -> None:
        found = queued()
        assert (found.reason, found.position, found.status) == ("workers_busy", 3, "waiting_for_capacity")
        assert "number 3 in the queue" in found.message
        assert (found.since, found.attempt, found.max_attempts) == (NOW - SECOND, 1, 25)


class TestWaiting:
    def waiting(self, kind: str, **timer: Any) -> BlockingReason:
        case = waiting(kind, **timer)
        return why(case.run, timer=case.timer, child_status="running" if kind == "child" else "")

    def test_a_sleep(self) -> None:
        found = self.waiting("sleep")
        assert (found.reason, found.due_at, found.step_id) == ("sleep", NOW, "run_1:nap:0")
        assert found.message == f"it sleeps until {DUE}"

    def test_a_retry(self) -> None:
        found = self.waiting("retry")
        assert (found.reason, found.due_at, found.message) == ("retry", NOW, f"attempt 1 of 25 begins {DUE}")

    def test_an_event(self) -> None:
        found = self.waiting("event", event="paid", path="data.id", value="7")
        assert (found.reason, found.event, found.match, found.value) == ("event", "paid", "data.id", "7")
        assert found.message == f"it waits for an event 'paid' with '7' at data.id, at the latest until {DUE}"
        assert " with " not in self.waiting("event", event="paid").message

    def test_a_child(self) -> None:
        found = self.waiting("child", child="run_2", child_function="g")
        assert (found.reason, found.child_run_id, found.child_status) == ("child", "run_2", "running")
        assert found.message.endswith("that run is running")


class TestPaused:
    def test_by_an_operator(self) -> None:
        found = why(resting("paused", pause_reason="injection"))
        assert (found.reason, found.message) == ("paused", "an operator holds it; resume it to let it go on")

    def test_with_a_wait_that_stands(self) -> None:
        case = waiting("sleep", status="paused")
        assert why(case.run, timer=case.timer).message.endswith(f"once resumed it sleeps until {DUE}")

    def test_by_its_policy(self) -> None:
        found = why(resting("paused", pause_reason="retries_exhausted", attempt=25), error="boom")
        assert (found.reason, found.error) == ("retries_exhausted", "boom")
        assert "attempt 25 of 25 failed" in found.message


class TestExecuting:
    def test_under_a_lease_with_an_end(self) -> None:
        found = why(running(), presence=Presence(lease=Lease(held=False, until=NOW + 5)))
        assert (found.reason, found.worker_ids, found.lease_expires_at) == ("executing", ("w",), NOW + 5)
        assert f"its lease ends {DUE}" in found.message

    def test_held_by_a_connection(self) -> None:
        found = why(running(), presence=Presence(lease=Lease(held=True, until=NOW + 5)))
        assert (found.lease_held, found.lease_expires_at) == (True, 0)

    def test_until_the_next_boundary(self) -> None:
        assert why(running(pause_requested=True)).reason == "pausing"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_an_ended_run_has_ended(status: str) -> None:
    assert (why(resting(status)).reason, why(resting(status)).message) == ("ended", f"the run is {status}")


def test_an_unknown_run_or_another_environments_is_not_found() -> None:
    for run in (None, running(env="env_other")):
        with pytest.raises(NotFoundError, match="'run_1'"):
            why(run)


def test_names_in_messages_are_few() -> None:
    many = tuple(f"run_{n}" for n in range(40))
    assert "run_4 first" in queued(ahead=many).message
    assert len(queued(ahead=many).ahead) == 40
