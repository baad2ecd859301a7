"""Which step is meant, what a resume would do, and which input a new run gets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import DefinitionError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.lab import intervening
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Run, Step, StepStatus

RUN = Run(id="run_1", function_id="order")


def step(sequence: int, step_id: str, **fields: Any) -> Step:
    given = {"id": f"row_{sequence}", "run_id": "run_1", "sequence": sequence, "status": StepStatus("completed")}
    return Step(step_id=f"run_1:{step_id}", **{**given, **fields})


STEPS = (
    step(0, "charge:0"),
    step(1, "item:0"),
    step(2, "item:1"),
    step(3, "all:0:part:0"),
    step(4, "all:1:part:0"),
    step(5, r"a\:b:0"),
)


@pytest.mark.parametrize(
    ("wanted", "sequence"),
    [
        ("charge", 0),
        ("charge:0", 0),
        ("run_1:charge:0", 0),
        ("row_0", 0),
        ("item:0", 1),
        ("item:1", 2),
        ("run_1:all:1:part:0", 4),
        ("all:1:part:0", 4),
        ("all:1:part", 4),
        ("a:b", 5),
        ("a:b:0", 5),
    ],
)
def test_a_step_by_name_number_id_or_row(wanted: str, sequence: int) -> None:
    assert intervening.named(STEPS, wanted, "run_1").sequence == sequence


@pytest.mark.parametrize(
    ("wanted", "candidates"),
    [
        ("item", "'item:0', 'item:1'"),
        ("part", "'all:0:part:0', 'all:1:part:0'"),
        ("part:0", "all:1:part:0"),
    ],
)
def test_an_ambiguous_name_is_refused_with_the_candidates(wanted: str, candidates: str) -> None:
    with pytest.raises(InvalidArgumentError, match=candidates):
        intervening.named(STEPS, wanted, "run_1")


def test_an_unknown_step_is_told_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="charge:0, item:0, item:1"):
        intervening.named(STEPS, "nowhere", "run_1")
    with pytest.raises(NotFoundError, match="none yet"):
        intervening.named((), "x" * 10_000, "run_1")
    with pytest.raises(NotFoundError) as error:
        intervening.named([step(n, f"s{n}:0") for n in range(10_000)], "x" * 10_000, "run_1")
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("wanted", [None, "", 3, STEPS[0]])
def test_what_is_no_name_is_refused(wanted: Any) -> None:
    with pytest.raises(DefinitionError, match="is no step"):
        intervening.named(STEPS, wanted, "run_1")


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (None, "where it stands; its finished steps are kept"),
        (STEPS[0], "from step 'charge', which runs again, and so do the 5 after it"),
        (STEPS[5], "from step 'a:b', which runs again"),
        (step(0, "charge:0", patched_at=Instant(1)), "which keeps its corrected output; the 5 after it run again"),
        (step(0, "charge:0", original_output=1), "which keeps its corrected output; the 5 after it run again"),
    ],
)
def test_what_a_resume_would_do(first: Step | None, said: str) -> None:
    assert intervening.resume_plan(RUN, STEPS, first).endswith(said)


def test_the_input_of_another_run() -> None:
    held = Run(id="run_1", input={"n": 1})
    assert intervening.input_again(held, msgspec.UNSET) == {"n": 1}
    others: tuple[Any, ...] = (None, 0, "", [], {"n": 2})
    for other in others:
        assert intervening.input_again(held, other) == other


def test_a_redacted_input_cannot_be_given_again() -> None:
    marker = {"$redacted": True, "sha256": "0" * 64, "redactedAt": "2026-01-02T03:04:05Z"}
    held = Run(id="run_1", input=marker)
    with pytest.raises(FailedPreconditionError, match=r"run\.rerun\(input\)"):
        intervening.input_again(held, msgspec.UNSET)
    assert intervening.input_again(held, {"n": 2}) == {"n": 2}
