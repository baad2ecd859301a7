"""Deadlines of segments in workers' hands: who keeps them without limit, and which ones come back."""

from __future__ import annotations

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.server.engine.commands import Lapse
from ironflow_lab.server.engine.outcome import Beat, Freed, Held, Leased, Renewed
from ironflow_lab.server.engine.reasons import Lease
from ironflow_lab.server.store.leases import ABSENT_NS, ACK_NS, Leases

LEASE = 90 * SECOND
HOUR = 3_600 * SECOND
START = 1_000 * SECOND


@pytest.fixture
def leases() -> Leases:
    return Leases(LEASE)


def lease(leases: Leases, run_id: str = "run_1", sequence: int = 1, worker: str = "w", time_left: int = HOUR) -> None:
    leases.apply(Leased(run_id, sequence, worker, time_left), START)


def acknowledged(leases: Leases, run_id: str = "run_1", *, at: int = START) -> None:
    leases.apply(Renewed(run_id, 1, "w"), at)


def lapse(run_id: str = "run_1", *, at: int, sequence: int = 1, timed_out: bool = False) -> Lapse:
    return Lapse(run_id=run_id, execution_seq=sequence, at=at, timed_out=timed_out)


def test_nothing_in_hand_has_no_deadline(leases: Leases) -> None:
    assert leases.next_deadline() is None
    assert leases.lapsed(START) == []


def test_a_job_never_acknowledged_comes_back_soon(leases: Leases) -> None:
    lease(leases)
    assert leases.next_deadline() == START + ACK_NS
    assert leases.lapsed(START + ACK_NS - 1) == []
    assert leases.lapsed(START + ACK_NS) == [lapse(at=START + ACK_NS)]


def test_a_lease_shorter_than_that_wins() -> None:
    leases = Leases(SECOND)
    lease(leases)
    assert leases.lapsed(START + SECOND) == [lapse(at=START + SECOND)]


def test_an_ack_gives_the_whole_lease_and_each_renewal_a_new_one(leases: Leases) -> None:
    lease(leases)
    acknowledged(leases)
    assert leases.lapsed(START + LEASE - 1) == []
    acknowledged(leases, at=START + LEASE - 1)
    assert leases.lapsed(START + 2 * LEASE - 2) == []
    assert leases.lapsed(START + 2 * LEASE - 1) == [lapse(at=START + 2 * LEASE - 1)]


def test_a_renewal_after_the_clock_was_set_back_counts_from_the_new_time(leases: Leases) -> None:
    lease(leases)
    acknowledged(leases, at=START - 3 * LEASE)
    assert leases.next_deadline() == START - 2 * LEASE
    assert leases.lapsed(START - 2 * LEASE) == [lapse(at=START - 2 * LEASE)]


@pytest.mark.parametrize("wake", [Renewed("run_1", 0, "w"), Renewed("run_1", 1, "other"), Renewed("run_2", 1, "w")])
def test_only_the_holder_renews(leases: Leases, wake: Renewed) -> None:
    lease(leases)
    leases.apply(wake, START + 10 * SECOND)
    assert leases.lapsed(START + ACK_NS) == [lapse(at=START + ACK_NS)]


def test_a_freed_segment_has_no_deadline(leases: Leases) -> None:
    lease(leases, sequence=2)
    leases.apply(Freed("run_1", 1, "w"), START)
    assert leases.lapsed(START + LEASE) != []
    leases.apply(Freed("run_1", 2, "w"), START)
    assert leases.lapsed(START + HOUR) == []


def test_a_newer_segment_replaces_the_former(leases: Leases) -> None:
    lease(leases)
    lease(leases, sequence=2, worker="other")
    assert leases.lapsed(START + LEASE) == [lapse(sequence=2, at=START + ACK_NS)]


class TestHeldByAConnection:
    def test_acknowledged_segments_have_no_deadline(self, leases: Leases) -> None:
        lease(leases)
        acknowledged(leases)
        leases.apply(Held("w", True), START)
        assert leases.lapsed(START + HOUR - 1) == []

    def test_nor_those_acknowledged_later(self, leases: Leases) -> None:
        leases.apply(Held("w", True), START)
        lease(leases)
        acknowledged(leases)
        assert leases.lapsed(START + HOUR - 1) == []

    def test_a_job_lost_on_its_way_comes_back(self, leases: Leases) -> None:
        leases.apply(Held("w", True), START)
        lease(leases)
        assert leases.lapsed(START + ACK_NS) == [lapse(at=START + ACK_NS)]

    def test_the_execution_time_still_runs_out(self, leases: Leases) -> None:
        leases.apply(Held("w", True), START)
        lease(leases, time_left=5 * SECOND)
        acknowledged(leases)
        assert leases.lapsed(START + 5 * SECOND) == [lapse(at=START + 5 * SECOND, timed_out=True)]

    def test_another_workers_segments_are_not_held(self, leases: Leases) -> None:
        lease(leases)
        acknowledged(leases)
        leases.apply(Held("other", True), START)
        assert leases.lapsed(START + LEASE) != []

    def test_a_closed_connection_starts_the_lease_anew(self, leases: Leases) -> None:
        leases.apply(Held("w", True), START)
        lease(leases)
        acknowledged(leases)
        leases.apply(Held("w", False), START + 10)
        assert leases.lapsed(START + 10 + LEASE - 1) == []
        assert leases.lapsed(START + 10 + LEASE) == [lapse(at=START + 10 + LEASE)]

    def test_a_heartbeat_that_leaves_a_job_out_lets_it_lapse(self, leases: Leases) -> None:
        leases.apply(Held("w", True), START)
        for run_id in ("run_1", "run_2"):
            lease(leases, run_id)
            acknowledged(leases, run_id)
        leases.apply(Beat("w", frozenset({("run_1", 1)})), START)
        assert leases.lapsed(START + LEASE) == [lapse("run_2", at=START + LEASE)]

    def test_and_one_that_names_it_again_keeps_it(self, leases: Leases) -> None:
        leases.apply(Held("w", True), START)
        lease(leases)
        acknowledged(leases)
        leases.apply(Beat("w", frozenset()), START)
        leases.apply(Beat("w", frozenset({("run_1", 1)})), START + LEASE - 1)
        assert leases.lapsed(START + LEASE + 1) == []

    @pytest.mark.parametrize("held", [True, False])
    def test_a_job_of_an_earlier_server_that_its_worker_does_not_name_comes_back_soon(
        self, leases: Leases, held: bool
    ) -> None:
        for run_id in ("run_1", "run_2"):
            leases.restore(run_id, 1, "w", START + LEASE, START + 10 * LEASE)
        leases.apply(Held("w", held), START)
        leases.apply(Beat("w", frozenset({("run_1", 1)})), START)
        assert leases.lapsed(START + ABSENT_NS - 1) == []
        assert leases.lapsed(START + ABSENT_NS) == [lapse("run_2", at=START + ABSENT_NS)]

    def test_one_that_arrived_after_all_is_no_longer_an_earlier_servers(self, leases: Leases) -> None:
        leases.restore("run_1", 1, "w", START + LEASE, START + 10 * LEASE)
        leases.apply(Beat("w", frozenset({("run_1", 1)})), START)
        # Its report is on its way: heartbeats leave it out by then.
        leases.apply(Beat("w", frozenset()), START + SECOND)
        assert leases.lapsed(START + LEASE - 1) == []

    def test_silence_is_no_heartbeat(self, leases: Leases) -> None:
        leases.apply(Held("w", True), START)
        lease(leases)
        acknowledged(leases)
        assert leases.lapsed(START + HOUR - 1) == []


class TestHeartbeats:
    def test_they_renew_the_listed_jobs_only(self, leases: Leases) -> None:
        lease(leases, "run_1")
        lease(leases, "run_2")
        for run_id in ("run_1", "run_2"):
            acknowledged(leases, run_id)
        leases.apply(Beat("w", frozenset({("run_1", 1), ("run_9", 1)})), START + 80 * SECOND)
        assert leases.lapsed(START + LEASE) == [lapse("run_2", at=START + LEASE)]

    def test_an_older_segments_job_id_renews_nothing(self, leases: Leases) -> None:
        lease(leases, sequence=2)
        leases.apply(Beat("w", frozenset({("run_1", 1)})), START + 10)
        assert leases.next_deadline() == START + ACK_NS

    def test_another_workers_heartbeat_renews_nothing(self, leases: Leases) -> None:
        lease(leases)
        leases.apply(Beat("other", frozenset({("run_1", 1)})), START + 10)
        assert leases.lapsed(START + ACK_NS) != []


class TestRestored:
    def test_the_deadline_is_the_one_it_is_given(self, leases: Leases) -> None:
        leases.restore("run_1", 4, "w", START + 5 * SECOND, START + HOUR)
        assert leases.lapsed(START + 5 * SECOND) == [lapse(sequence=4, at=START + 5 * SECOND)]

    def test_a_connection_opened_again_gives_the_whole_lease(self, leases: Leases) -> None:
        leases.restore("run_1", 1, "w", START + 5 * SECOND, START + HOUR)
        leases.apply(Held("w", True), START + SECOND)
        assert leases.lapsed(START + SECOND + LEASE - 1) == []
        assert leases.lapsed(START + SECOND + LEASE) == [lapse(at=START + SECOND + LEASE)]

    def test_and_a_sign_of_the_job_holds_it(self, leases: Leases) -> None:
        leases.restore("run_1", 1, "w", START + 5 * SECOND, START + HOUR)
        leases.apply(Held("w", True), START)
        leases.apply(Beat("w", frozenset({("run_1", 1)})), START)
        assert leases.lapsed(START + HOUR - 1) == []


class TestDeadlines:
    def test_the_one_that_passed_first_counts(self, leases: Leases) -> None:
        lease(leases, "run_1", time_left=LEASE + 1)
        lease(leases, "run_2", time_left=LEASE - 1)
        for run_id in ("run_1", "run_2"):
            acknowledged(leases, run_id)
        assert leases.lapsed(START + HOUR) == [
            lapse("run_1", at=START + LEASE),
            lapse("run_2", at=START + LEASE - 1, timed_out=True),
        ]

    def test_a_lapse_that_was_not_stored_is_told_again(self, leases: Leases) -> None:
        lease(leases)
        now = START + LEASE
        assert leases.lapsed(now) != []
        again = leases.next_deadline()
        assert again is not None
        assert now < again <= now + SECOND
        assert leases.lapsed(again) == [lapse(at=START + ACK_NS)]

    def test_the_next_one_is_never_missed(self, leases: Leases) -> None:
        for number in range(20):
            leases.apply(Leased(f"run_{number}", 1, "w", HOUR), START + number * SECOND)
        told: list[str] = []
        while (deadline := leases.next_deadline()) is not None:
            for one in leases.lapsed(deadline):
                assert one.at <= deadline
                told.append(one.run_id)
                leases.apply(Freed(one.run_id, one.execution_seq, "w"), deadline)
        assert told == [f"run_{number}" for number in range(20)]


def test_a_lease_can_be_looked_at(leases: Leases) -> None:
    assert (leases.of("run_1"), leases.holders) == (None, frozenset())
    lease(leases)
    assert leases.of("run_1") == Lease(held=False, until=START + ACK_NS)
    acknowledged(leases)
    assert leases.of("run_1") == Lease(held=False, until=START + LEASE)
    leases.apply(Held("w", True), START)
    found = leases.of("run_1")
    assert found is not None
    assert (found.held, leases.holders) == (True, frozenset({"w"}))
    leases.apply(Freed("run_1", 1, "w"), START)
    assert leases.of("run_1") is None
