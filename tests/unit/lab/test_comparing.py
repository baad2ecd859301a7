"""Two runs side by side, shown: what differs first, equal steps counted, redacted, escaped, bounded."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.lab.comparing import MOST_ROWS, Comparison
from ironflow_lab.models.runs import Error, RunStatus
from ironflow_lab.testing import FakeClock
from tests.unit.history.recordings import program, recording, step

SCRIPT = "<script>alert('x')</script>"
CALLS = [step(name, {"n": number}) for number, name in enumerate("abcde")]


def compared(a: list[dict[str, Any]], b: list[dict[str, Any]], **fields: Any) -> Comparison:
    return Comparison(recording(a), recording(b, run_id="run_000000000002", **fields), clock=FakeClock())


def test_the_same_is_said_so() -> None:
    found = compared(CALLS, CALLS)
    assert (found.same, found.first, found.differences) == (True, None, ())
    assert repr(found) == "<Comparison of run_000000000001 and run_000000000002: the same>"
    assert "a … e" in str(found)
    assert "5 same" in str(found)
    newer = compared(CALLS, CALLS, function_version=4)
    assert newer.same


def test_what_differs_first_stands_above_and_equal_steps_are_counted() -> None:
    found = compared(CALLS, [*CALLS[:3], step("d", {"n": 9}), CALLS[4]], output={"done": False})
    assert not found.same
    lines = str(found).splitlines()
    assert lines[2] == "step 'd' came to something else, with the same before it: n: 3 -> 9"
    assert lines[3] == "  output: done: true -> false"
    assert [line.split("  ")[1] for line in lines[4:7]] == ["a … c", "d", "e"]
    assert "n: 3  ->  n: 9" in str(found)
    assert found.first is not None
    assert found.steps["kind"].tolist() == ["same", "same", "same", "changed", "same"]
    assert found.frame is found.steps
    assert found.steps.attrs["query"] == {"a": "run_000000000001", "b": "run_000000000002"}
    assert (found.steps.attrs["complete"], found.steps.attrs["notes"]) == (True, list(found.notes))


def test_what_cannot_be_known_is_said() -> None:
    bare = Comparison(
        recording(CALLS, recorded=False),
        recording(CALLS, run_id="run_000000000002", status=RunStatus("running")),
        clock=FakeClock(),
    )
    told = "\n".join(bare.notes)
    assert "a was not recorded" in told
    assert "b has not ended: it is running" in told
    assert "what plain steps are called with is not recorded" in told
    hidden = compared(
        [step(f"s{n}", {"k": "[redacted]"}) for n in range(9)], [step(f"s{n}", {"k": 1}) for n in range(9)]
    )
    assert any("and 4 more steps" in note for note in hidden.notes)
    assert "partly redacted" in str(hidden)
    local = msgspec.structs.replace(recording(CALLS), source="local", note="made by a fork")
    assert "b was executed in this process" in "\n".join(Comparison(recording(CALLS), local).notes)


def test_a_divergence_that_is_not_certain_says_why() -> None:
    found = compared([step("a", {"k": "[redacted]"}), step("b", 1)], [step("a", {"k": 1}), step("b", 2)])
    assert "not certain: what 'a' returned before it is redacted" in repr(found)


def test_retries_only_are_the_same_in_the_end() -> None:
    found = compared(CALLS, [step("a", {"n": 0}, tries=3), *CALLS[1:]])
    assert found.same
    assert "the same in the end; step 'a' came to the same, in 1 tries -> in 3" in repr(found)
    assert "(3 tries)" in str(found)


def test_everything_shown_is_escaped_redacted_and_short() -> None:
    secret = {"password": "hunter2", "html": SCRIPT}
    error = Error(message=f"{SCRIPT}\nmore", code=SCRIPT)
    found = compared(
        [step(SCRIPT, secret), step("b", {"token": "hunter2"})],
        [step(SCRIPT, error=error), step("b", {"token": "hunter3"})],
        input={"password": "hunter4"},
        error=error,
        status=RunStatus("failed"),
    )
    html = found._repr_html_()
    assert "<script" not in html
    assert "background:#" not in html
    for text in (html, str(found), repr(found), *map(repr, found.differences), repr(found.first)):
        assert "hunter" not in text
    assert "\n" not in repr(found)
    long = compared([step("n" * 10_000, "x" * 10**6)], [step("n" * 10_000, "y" * 10**6)])
    assert max(len(long._repr_html_()), len(str(long))) < 5_000


@pytest.mark.parametrize("size", [MOST_ROWS, MOST_ROWS + 30])
def test_many_steps_that_differ_are_cut_and_counted(size: int) -> None:
    found = compared([step("s", n) for n in range(size)], [step("s", -1 - n) for n in range(size)])
    rest = size - MOST_ROWS
    assert found._repr_html_().count("<tr>") == 1 + MOST_ROWS + bool(rest)
    assert ("and 30 more steps; see .steps" in str(found)) is bool(rest)


@pytest.mark.parametrize("seed", range(4))
def test_any_two_runs_can_be_shown(seed: int) -> None:
    rng = random.Random(seed)
    found = compared(program(rng), program(rng))
    assert found._repr_html_()
    assert str(found).count("\n") < 120
    assert len(found.steps) == len(found.pairs)


def test_code_is_told_with_the_run() -> None:
    one = recording(CALLS, code=Code(code_hash="abcdef0123456789"))
    other: Recording = recording(CALLS, run_id="run_000000000002", code=Code(code_hash="0123"))
    found = Comparison(one, other)
    assert found.same
    assert 'code_hash: "abcdef0123456789" -> "0123"' in str(found)
