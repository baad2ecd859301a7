"""Workers: registering, holding, claiming under a fence, acknowledging, and giving back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.errors import InvalidArgumentError, NotFoundError, StaleExecutionError
from ironflow_lab.models.workers import CompletedStep, Fence, JobBatch
from ironflow_lab.server.engine.claims import (
    MOST_JOBS,
    ClaimState,
    WorkerRuns,
    ack,
    claim,
    heartbeat,
    hold,
    register,
    release,
    unclaim,
)
from ironflow_lab.server.engine.commands import Ack, Claim, Heartbeat, Hold, RegisterWorker, Release, Unclaim
from ironflow_lab.server.engine.outcome import Beat, Ended, Freed, Held, Leased, Outcome, Renewed, Runnable
from ironflow_lab.server.engine.records import QueuedRun, RunState
from ironflow_lab.testing import CountingIds
from ironflow_lab.wire import codec
from tests.unit.server.engine.states import ENV, FENCE, NOW, event, named, only, queued, resting, running, worker

IDS = CountingIds()
LEASE = 90 * SECOND
OTHERS = [
    msgspec.structs.replace(FENCE, execution_seq=2),
    msgspec.structs.replace(FENCE, execution_seq=4),
    msgspec.structs.replace(FENCE, lease_token="token_2"),
    msgspec.structs.replace(FENCE, lease_token=""),
]


def registered(state: WorkerRuns, **fields: Any) -> Outcome:
    given: dict[str, Any] = {"function_ids": ("f",), "instance_id": "one", **fields}
    return register(state, RegisterWorker(env=ENV, worker_id="w", **given), NOW, IDS)


def claimed(*runs: QueuedRun, available: int = 10) -> Outcome:
    command = Claim(env=ENV, worker_id="w", available=available, lease_ns=LEASE)
    return claim(ClaimState(worker=worker(), queued=runs), command, NOW, CountingIds())


def acked(run: RunState | None, worker_id: str = "w", fence: Fence = FENCE) -> Outcome:
    return ack(run, Ack(env=ENV, worker_id=worker_id, fence=fence), NOW, IDS)


class TestRegister:
    def test_a_new_worker(self) -> None:
        outcome = registered(WorkerRuns(), function_ids=("f", "g", "f"), max_concurrent=3, hostname="box")
        written = only(outcome, "save_worker")
        assert (written["id"], written["function_ids"], written["max_concurrent"]) == ("w", b'["f","g"]', 3)
        assert written["now"] == NOW
        assert Runnable() in outcome.wakes

    def test_needs_a_function_and_a_slot(self) -> None:
        with pytest.raises(InvalidArgumentError, match="at least one function"):
            registered(WorkerRuns(), function_ids=())
        with pytest.raises(InvalidArgumentError, match="1 or more"):
            registered(WorkerRuns(), max_concurrent=-1)

    def test_the_same_instance_keeps_its_runs(self) -> None:
        outcome = registered(WorkerRuns(worker=worker(), running=(running(),)))
        assert named(outcome, "move_run") == []
        assert outcome.wakes == (Runnable(),)

    @pytest.mark.parametrize(("before", "after"), [("one", "two"), ("one", ""), ("", "one"), ("", "")])
    def test_any_other_takes_over_at_once(self, before: str, after: str) -> None:
        state = WorkerRuns(worker=worker(instance_id=before), running=(running(),))
        outcome = registered(state, instance_id=after)
        assert only(outcome, "move_run")["status"] == "waiting_for_capacity"
        assert outcome.wakes == (Freed("run_1", 3, "w", revoked=True), Runnable(), Held("w", False), Runnable())


class TestHolding:
    def test_a_heartbeat_names_the_segments_in_hand(self) -> None:
        command = Heartbeat(env=ENV, worker_id="w", job_ids=("run_1.3", "run_2.1", "nonsense"))
        outcome = heartbeat(WorkerRuns(worker=worker()), command, NOW, IDS)
        assert outcome.writes == ()
        assert outcome.wakes == (Beat("w", frozenset({("run_1", 3), ("run_2", 1), ("nonsense", -1)})),)

    def test_an_unknown_worker_is_told_to_register(self) -> None:
        nobody = WorkerRuns()
        with pytest.raises(NotFoundError, match="register again"):
            heartbeat(nobody, Heartbeat(env=ENV, worker_id="w"), NOW, IDS)
        with pytest.raises(NotFoundError, match="register again"):
            hold(nobody, Hold(env=ENV, worker_id="w", instance_id="one"), NOW, IDS)
        with pytest.raises(NotFoundError, match="register again"):
            claim(ClaimState(), Claim(env=ENV, worker_id="w", available=1, lease_ns=LEASE), NOW, IDS)

    def test_only_the_registered_instance_holds(self) -> None:
        state = WorkerRuns(worker=worker())
        outcome = hold(state, Hold(env=ENV, worker_id="w", instance_id="one"), NOW, IDS)
        assert (outcome.writes, outcome.wakes) == ((), (Held("w", True),))
        with pytest.raises(StaleExecutionError, match="another instance"):
            hold(state, Hold(env=ENV, worker_id="w", instance_id="former"), NOW, IDS)

    def test_a_closed_connection_queues_its_runs_again(self) -> None:
        state = WorkerRuns(worker=worker(), running=(running(), running(id="run_2", execution_seq=1)))
        outcome = release(state, Release(env=ENV, worker_id="w", instance_id="one"), NOW, IDS)
        assert [write.parameters["id"] for write in named(outcome, "move_run")] == ["run_1", "run_2"]
        assert outcome.wakes == (
            Held("w", False),
            Freed("run_1", 3, "w"),
            Freed("run_2", 1, "w"),
            Runnable(),
            Runnable(),
        )

    @pytest.mark.parametrize("known", [None, worker(instance_id="successor")])
    def test_a_former_instance_releases_nothing(self, known: Any) -> None:
        state = WorkerRuns(worker=known, running=(running(),))
        outcome = release(state, Release(env=ENV, worker_id="w", instance_id="one"), NOW, IDS)
        assert (outcome.writes, outcome.wakes) == ((), ())

    def test_nothing_in_hand_wakes_nobody(self) -> None:
        outcome = release(WorkerRuns(worker=worker()), Release(env=ENV, worker_id="w", instance_id="one"), NOW, IDS)
        assert outcome.wakes == (Held("w", False),)


class TestClaim:
    def test_nothing_to_do(self) -> None:
        outcome = claimed()
        assert (outcome.answer, outcome.writes, outcome.wakes) == (JobBatch(), (), ())

    def test_a_new_fence_for_each_run_in_order(self) -> None:
        outcome = claimed(queued("run_1", execution_seq=0), queued("run_2", execution_seq=4))
        first, second = outcome.answer.jobs
        assert (first.job_id, first.execution_seq, first.lease_token) == ("run_1.1", 1, "token_000001")
        assert (second.job_id, second.execution_seq, second.lease_token) == ("run_2.5", 5, "token_000002")
        written = named(outcome, "claim_run")[1].parameters
        assert written == {
            "id": "run_2",
            "execution_seq": 5,
            "lease_token": "token_000002",
            "worker_id": "w",
            "now": NOW,
        }
        assert outcome.wakes == (
            Leased("run_1", 1, "w", 600 * SECOND),
            Leased("run_2", 5, "w", 600 * SECOND),
        )

    def test_no_more_than_there_are_slots(self) -> None:
        outcome = claimed(queued("run_1"), queued("run_2"), queued("run_3"), available=2)
        assert [job.run_id for job in outcome.answer.jobs] == ["run_1", "run_2"]
        assert len(named(outcome, "claim_run")) == 2
        assert MOST_JOBS >= 100

    def test_what_the_worker_needs_to_know(self) -> None:
        known = CompletedStep(step_id="run_1:a:0", name="a", output=msgspec.Raw(b"[1]"))
        run = msgspec.structs.replace(queued(attempt=2), completed=(known,), next_sequence=7)
        (job,) = claimed(run).answer.jobs
        assert (job.function_id, job.attempt, job.max_attempts, job.on_exhausted) == ("f", 2, 25, "pause")
        assert (job.completed_steps, job.step_sequence_base) == ((known,), 7)
        assert job.lease_expires_at == NOW + LEASE
        sent = msgspec.json.decode(codec.encode(job))
        assert sent["event"]["data"] == {"total": 5}
        assert "source" in sent["event"]

    def test_absent_fields_are_left_out_never_null(self) -> None:
        bare = msgspec.structs.replace(queued(), event=event(source="", idempotency_key=""))
        (job,) = claimed(bare).answer.jobs
        sent = msgspec.json.decode(codec.encode(job))
        assert sent["event"].keys() == {"id", "name", "data", "timestamp", "version", "metadata"}
        assert {name for name, value in sent.items() if value is None} == set()
        assert "context" not in sent
        assert "actor_id" not in sent

    def test_metadata_and_key_travel(self) -> None:
        full = msgspec.structs.replace(queued(), event=event(metadata=b'{"trace":"t"}', idempotency_key="k"))
        (job,) = claimed(full).answer.jobs
        assert (job.event.metadata, job.event.idempotency_key) == ({"trace": "t"}, "k")

    def test_only_what_is_left_of_the_execution_time(self) -> None:
        outcome = claimed(queued(timeout_ms=1_000, executed_ns=400 * MILLISECOND))
        assert outcome.wakes == (Leased("run_1", 4, "w", 600 * MILLISECOND),)
        spent = claimed(queued(timeout_ms=1_000, executed_ns=2 * SECOND))
        assert spent.wakes == (Leased("run_1", 4, "w", 1),)

    def test_a_lane_gets_no_more_than_it_has_room_for(self) -> None:
        lane = {"lane": "x", "lane_limit": 2}
        runs = [queued(f"run_{n}", **lane) for n in (1, 2, 3)] + [queued("run_4", lane="y", lane_limit=1)]
        outcome = claimed(*(msgspec.structs.replace(run, free=1) for run in runs))
        assert [job.run_id for job in outcome.answer.jobs] == ["run_1", "run_4"]

    def test_who_kept_its_place_needs_no_room(self) -> None:
        kept = queued("run_1", lane="x", lane_limit=1, holding=True)
        outcome = claimed(kept, msgspec.structs.replace(queued("run_2", lane="x", lane_limit=1), free=0))
        assert [job.run_id for job in outcome.answer.jobs] == ["run_1"]

    def test_time_moves_on_even_when_the_clock_does_not(self) -> None:
        outcome = claimed(queued(updated_at=NOW + 5))
        assert only(outcome, "claim_run")["now"] == NOW + 6


class TestAck:
    def test_the_holder_may_start_and_nothing_is_written(self) -> None:
        outcome = acked(running())
        assert outcome.writes == ()
        assert outcome.wakes == (Renewed("run_1", 3, "w"),)

    @pytest.mark.parametrize("fence", OTHERS)
    def test_an_old_or_wrong_fence_is_stale(self, fence: Fence) -> None:
        with pytest.raises(StaleExecutionError, match="drop the job") as caught:
            acked(running(), fence=fence)
        assert caught.value.code == "STALE_EXECUTION"

    def test_another_worker_and_an_unknown_run_are_stale(self) -> None:
        with pytest.raises(StaleExecutionError):
            acked(running(), worker_id="other")
        with pytest.raises(StaleExecutionError):
            acked(None)

    @pytest.mark.parametrize(
        "status", ["waiting_for_capacity", "waiting", "paused", "completed", "failed", "cancelled"]
    )
    def test_a_run_in_nobodys_hands_is_stale(self, status: str) -> None:
        with pytest.raises(StaleExecutionError):
            acked(resting(status))
        with pytest.raises(StaleExecutionError):
            acked(resting(status), fence=msgspec.structs.replace(FENCE, lease_token=""))


class TestPauseRequested:
    def test_its_worker_is_told_with_the_ack(self) -> None:
        assert acked(running()).answer.status == "acknowledged"
        assert acked(running(pause_requested=True)).answer.status == "pausing"

    def test_a_run_that_comes_back_is_held(self) -> None:
        command = Unclaim(env=ENV, worker_id="w", fences=(FENCE,))
        outcome = unclaim((running(pause_requested=True),), command, NOW, IDS)
        moved = only(outcome, "move_run")
        assert (moved["status"], moved["pause_reason"], moved["executed_ns"]) == ("paused", "injection", SECOND)
        assert outcome.wakes == (Freed("run_1", 3, "w"), Ended("run_1", terminal=False))


class TestUnclaim:
    def test_the_job_goes_back_under_its_fence(self) -> None:
        outcome = unclaim((running(),), Unclaim(env=ENV, worker_id="w", fences=(FENCE,)), NOW, IDS)
        assert only(outcome, "move_run")["status"] == "waiting_for_capacity"
        assert outcome.wakes == (Freed("run_1", 3, "w"), Runnable())

    @pytest.mark.parametrize("fence", OTHERS)
    def test_a_newer_segment_is_left_alone(self, fence: Fence) -> None:
        outcome = unclaim((running(),), Unclaim(env=ENV, worker_id="w", fences=(fence,)), NOW, IDS)
        assert (outcome.writes, outcome.wakes) == ((), ())

    def test_no_attempt_is_used(self) -> None:
        outcome = unclaim((running(attempt=2),), Unclaim(env=ENV, worker_id="w", fences=(FENCE,)), NOW, IDS)
        assert only(outcome, "move_run")["attempt"] == 2
        assert only(outcome, "move_run")["executed_ns"] == SECOND
