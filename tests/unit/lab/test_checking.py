"""The card of a check: what is not the same, escaped and capped."""

from __future__ import annotations

import msgspec

from ironflow_lab.debug.verdict import Verdict
from ironflow_lab.lab.checking import MOST_ROWS, Check


def made(*verdicts: Verdict) -> Check:
    return Check("<nap>", verdicts, server="http://localhost", at=0, notes=["a <note>"])


HOSTILE = Verdict(
    run_id="run_<1>", verdict="diverges", reason="new", step="<script>", detail="the code <b>asks</b>", line=3
)
SAME = Verdict(run_id="run_2", verdict="same")


def test_the_card_is_escaped() -> None:
    card = made(HOSTILE)._repr_html_()
    assert "<script>" not in card
    assert "<b>" not in card
    assert "<nap>" not in card
    assert "<note>" not in card
    assert "run_&lt;1&gt;" in card
    assert "(line 3)" in card


def test_only_what_is_not_the_same_is_listed() -> None:
    found = made(SAME, HOSTILE)
    assert "run_2" not in found._repr_html_() + str(found)
    assert repr(found) == "<Check of '<nap>': 1 same, 1 diverges at step '<script>' (new)>"
    assert not found.same
    assert found.diverging == (HOSTILE,)


def test_what_cannot_be_checked_is_not_the_same() -> None:
    assert made(SAME, Verdict(run_id="run_3", verdict="so far same")).same
    odd = made(SAME, Verdict(run_id="run_4", verdict="cannot", reason="redacted"))
    assert not odd.same
    assert odd.diverging == ()
    assert "run_4" in str(odd)


def test_no_runs_are_not_the_same() -> None:
    assert not made().same
    assert made().summary == "no runs to check"


def test_runs_that_do_the_same_stand_in_one_line() -> None:
    one = Verdict(run_id="run_1", status="failed", verdict="diverges", reason="new", step="a", detail="'a' is new")
    two = msgspec.structs.replace(one, run_id="run_2", status="completed")
    other = msgspec.structs.replace(one, run_id="run_3", detail="'b' is new")
    check = made(one, other, two)
    assert [line for line in str(check).splitlines() if "diverges" in line] == [
        "  run_1 and 1 more  diverges: 'a' is new",
        "  run_3  diverges: 'b' is new",
    ]
    html = check._repr_html_()
    assert html.count("<tr>") == 3
    assert "run_1</code> and 1 more" in html
    assert ("failed" in html, "completed" in html, "run_2" in html) == (True, True, False)


def test_long_lists_and_long_texts_are_cut() -> None:
    long = Verdict(run_id="run_1", verdict="diverges", reason="new", step="s" * 10_000, detail="d" * 10_000)
    many = made(*(msgspec.structs.replace(long, line=line) for line in range(MOST_ROWS + 7)))
    assert "and 7 more" in str(many)
    assert "and 7 more" in many._repr_html_()
    assert len(many._repr_html_()) < (MOST_ROWS + 1) * 1_000
    assert len(repr(many)) < 300
