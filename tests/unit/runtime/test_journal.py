"""Step ids, memory and the one yield of a segment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.workers import CompletedStep, Yield
from ironflow_lab.runtime.journal import Journal

NAMES = st.text(st.characters(blacklist_categories=("Cs", "C", "Z")), min_size=1, max_size=8).filter(
    lambda name: name.isprintable() and name == name.strip()
)


def test_ids_count_each_name_apart() -> None:
    journal = Journal("run_01")
    assert [journal.root.claim(name) for name in ("a", "a", "b:c", "a")] == [
        "run_01:a:0",
        "run_01:a:1",
        "run_01:b\\:c:0",
        "run_01:a:2",
    ]


@given(st.lists(NAMES, max_size=30))
def test_the_same_calls_give_the_same_distinct_ids(names: list[str]) -> None:
    names = [name for name in names if not name.startswith(("compensate:", "publish:"))]
    one, two = Journal("run_01"), Journal("run_01")
    ids = [one.root.claim(name) for name in names]
    assert ids == [two.root.claim(name) for name in names]
    assert len(set(ids)) == len(ids)


def test_what_is_done_is_recalled_and_still_counts() -> None:
    done = CompletedStep(step_id="run_01:a:0", name="a", output={"ok": True})
    journal = Journal("run_01", [done])
    assert journal.recall(journal.root.claim("a")) is done
    assert journal.root.claim("a") == "run_01:a:1"
    assert journal.recall("run_01:a:1") is None


def test_a_failed_record_is_not_memory() -> None:
    failed = CompletedStep(step_id="run_01:a:0", name="a", status="failed", error={"message": "no"})
    assert Journal("run_01", [failed]).recall("run_01:a:0") is None


def test_the_first_yield_wins() -> None:
    journal = Journal("run_01")
    first, other = (Yield(step_id=f"run_01:{name}:0", type="sleep") for name in "ab")
    assert not journal.ending(journal.root)
    journal.suspend(journal.root, first)
    journal.suspend(journal.root, other)
    assert journal.yielded is first
    assert journal.ending(journal.root)


def test_nothing_counts_after_the_end() -> None:
    journal = Journal("run_01")
    journal.closed = True
    journal.suspend(journal.root, Yield(step_id="run_01:a:0", type="sleep"))
    assert journal.yielded is None
    assert journal.ending(journal.root)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is not a step name; write step.run"),
        (None, "is not a step name"),
        (7, "is not a step name"),
        (" a", "blanks around it"),
        ("a\n", "blanks around it"),
        ("a\tb", "control characters"),
        ("x" * 201, "201 characters, the limit is 200"),
        ("publish:x", "are reserved"),
        ("compensate:x", "are reserved"),
    ],
)
def test_bad_names_are_refused_and_not_counted(name: str, why: str) -> None:
    journal = Journal("run_01")
    with pytest.raises(DefinitionError, match=why):
        journal.root.claim(name)
    with pytest.raises(DefinitionError, match=why):
        journal.root.claim(name)
