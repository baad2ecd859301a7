"""Counting runs by status as they are looked at, and which of them are named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.lab.tally import Tally
from ironflow_lab.models.runs import TERMINAL, Error, Run, RunStatus

STATUSES = ("waiting_for_capacity", "running", "waiting", "paused", "completed", "failed", "cancelled")


def run(run_id: str, status: str, **facts: object) -> Run:
    return Run(id=run_id, function_id="pay", status=RunStatus(status), **facts)  # type: ignore[arg-type]  # facts by name


def test_before_a_look_nothing_is_known_but_how_many() -> None:
    tally = Tally(["a", "b"])
    assert (tally.total, tally.counts(), tally.settled, tally.pending()) == (2, {}, False, ("a", "b"))
    assert [(row.run_id, row.status) for row in tally.rows()] == [("a", ""), ("b", "")]
    assert Tally([]).settled


def test_a_run_that_moves_is_counted_where_it_is_now() -> None:
    tally = Tally(["a", "b"])
    tally.take(run("a", "running"))
    tally.take(run("b", "running"))
    before = tally.version
    tally.take(run("b", "running"))
    assert tally.version == before
    tally.take(run("a", "completed"))
    assert (tally.counts(), tally.pending(), tally.settled) == ({"running": 1, "completed": 1}, ("b",), False)
    tally.take(run("b", "paused"))
    assert tally.settled
    tally.revisit()
    assert (tally.settled, tally.pending()) == (False, ("b",))


def test_a_row_says_why_a_run_failed_and_what_an_attempt_it_is() -> None:
    tally = Tally(["a", "b"])
    tally.take(run("a", "failed", error=Error(message="no funds\n  at line 3" + "x" * 999, code="DECLINED")))
    tally.take(run("b", "running", attempt=2, max_attempts=25))
    assert [row.note for row in tally.rows()] == ["DECLINED: no funds", "attempt 2 of 25"]
    tally.take(run("a", "failed", error=Error(message="x" * 999)))
    assert len(tally.rows()[0].note) <= 200


def test_of_many_those_are_named_that_did_not_complete() -> None:
    names = [f"run_{number:04}" for number in range(1_000)]
    tally = Tally(names)
    for name in names[:990]:
        tally.take(run(name, "failed" if name.endswith("7") else "completed"))
    assert [row.run_id for row in tally.rows()] == [name for name in names if name.endswith("7")][:20]
    assert tally.followed() == names[990:]
    assert len(Tally(names).followed()) == 200
    assert Tally(names[:200]).followed() == names[:200]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(STATUSES)), max_size=40))
def test_the_counts_are_those_of_the_last_looks(looks: list[tuple[int, str]]) -> None:
    tally = Tally([str(number) for number in range(6)])
    last: dict[str, str] = {}
    for number, status in looks:
        tally.take(run(str(number), status))
        last[str(number)] = status
    assert tally.counts() == {status: n for status in STATUSES if (n := list(last.values()).count(status))}
    settled = {run_id for run_id, status in last.items() if status in TERMINAL or status == "paused"}
    assert set(tally.pending()) == set(tally.run_ids) - settled
