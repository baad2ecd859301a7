"""The hand-over between the handler's side and the worker's."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from ironflow_lab.models.workers import StepResult
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.outcome import Completed
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import assignment


@function
def f(ctx: Any) -> None: ...


def made() -> tuple[Segment, list[Segment]]:
    announced: list[Segment] = []
    return Segment(assignment(), f, announce=announced.append), announced


def step(name: str) -> StepResult:
    return StepResult(id=name, name=name)


def test_news_are_announced_once_until_they_are_collected() -> None:
    segment, announced = made()
    segment.record(step("a"))
    segment.record(step("b"))
    assert announced == [segment]
    assert [one.id for one in segment.collect()] == ["a", "b"]
    assert not segment.announced
    segment.record(step("c"))
    assert announced == [segment, segment]
    assert [one.id for one in segment.collect()] == ["c"]
    assert segment.collect() == []


def test_the_first_outcome_counts_and_closes() -> None:
    segment, announced = made()
    first, other = Completed(output=Raw(b"1")), Completed(output=Raw(b"2"))
    segment.conclude(first)
    segment.conclude(other)
    segment.record(step("late"))
    assert segment.outcome is first
    assert segment.collect() == []
    assert len(announced) == 1


def test_the_outcome_is_announced_even_before_results_are_collected() -> None:
    segment, announced = made()
    segment.record(step("a"))
    segment.conclude(Completed(output=Raw(b"1")))
    assert len(announced) == 2


def test_waiting_for_what_is_saved_already_ends_at_once() -> None:
    segment, _ = made()
    ended: list[str] = []
    segment.when_saved(lambda: ended.append("nothing recorded"))
    segment.record(step("a"))
    segment.saved(1)
    segment.when_saved(lambda: ended.append("a"))
    assert ended == ["nothing recorded", "a"]


def test_each_waiter_ends_with_its_step() -> None:
    segment, _ = made()
    ended: list[str] = []
    for name in ("a", "b"):
        segment.record(step(name))
        segment.when_saved(lambda name=name: ended.append(name))  # type: ignore[misc]  # bound now
    segment.saved(1)
    assert ended == ["a"]
    segment.saved(2)
    assert ended == ["a", "b"]


def test_giving_up_on_saving_ends_every_wait() -> None:
    segment, _ = made()
    ended: list[int] = []
    segment.record(step("a"))
    segment.when_saved(lambda: ended.append(1))
    segment.saved()
    segment.record(step("b"))
    segment.when_saved(lambda: ended.append(2))
    assert ended == [1, 2]
