"""What put a value in its place, as it is shown: who, when, why, and nothing that is to stay hidden."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.history.recording import Recording
from ironflow_lab.lab.blaming import Blame, blame
from ironflow_lab.models.runs import Run, RunStatus
from ironflow_lab.testing import FakeClock
from tests.unit.history.stories import RUN, Story, charge

SECRET, SCRIPT = "hunter2-s3cret", "<script>alert(1)</script>"


def of(story: Story, path: str) -> Blame:
    session: Any = SimpleNamespace(joined=SimpleNamespace(server_url="http://x"), clock=FakeClock())
    run = Run(id=RUN, function_id="pay", status=RunStatus("completed"))
    return blame(session, Recording(run=run, events=tuple(story.events)), path)


def forms(found: Blame) -> tuple[str, str, str]:
    return repr(found), str(found), found._repr_html_()


def test_it_tells_who_when_and_why() -> None:
    found = of(charge(), "steps.charge.output.amount")
    assert (found.path, found.value, found.step, found.attempt) == ("steps.charge.output.amount", 12, "charge", 2)
    assert (found.event_type, found.actor, found.reason, found.position) == ("step.patched", "ada", "fee", 16)
    assert [one.after for one in found.earlier] == [10]
    text = str(found)
    assert text.startswith(f"steps.charge.output.amount of {RUN}: 12\n")
    assert "Step 'charge' patched, attempt 2, position 16, 2026-01-02 03:04:11.023 UTC, by ada (fee)" in text
    assert "before: 10, Step 'charge' completed, attempt 2, position 11," in text
    assert "\n" not in repr(found)


def test_where_it_may_be_from_is_not_called_proven() -> None:
    text = str(of(charge(), "output.paid"))
    assert "equal value, not proven: steps.charge.output.amount, Step 'charge' patched" in text
    assert "equal value, not proven" in of(charge(), "output.paid")._repr_html_()


def test_what_is_gone_is_nothing() -> None:
    found = of(charge(), "error.message")
    assert (found.value, found.earlier[0].after) == (None, "declined")
    assert str(found).startswith(f"error.message of {RUN}: nothing\n")


def test_secrets_show_in_no_form_and_not_by_another_name() -> None:
    story = Story().created(input={"card_token": SECRET}).completed(1, "read", {"api_key": SECRET})
    story.moved(2, "completed", output={"plain": SECRET, "password": SECRET})
    for path in ("input.card_token", "steps.read.output", "steps.read.output.api_key", "output.password"):
        found = of(story, path)
        assert not [form for form in forms(found) if SECRET in form], path
        assert SECRET not in found.frame.to_string(), path
    renamed = of(story, "output.plain")
    assert renamed.value == SECRET
    assert not [form for form in forms(renamed) if SECRET in form], "an equal value stands under a secret-looking key"
    assert SECRET not in renamed.frame.to_string()


@pytest.mark.parametrize(
    "value", [SCRIPT * 1_000, {SCRIPT: SCRIPT}, "\ud800", 10**400, [0.0, float("nan")], [[["x"] * 9_000]]]
)
def test_whatever_stands_there_is_escaped_and_short(value: Any) -> None:
    story = Story().created(input={"v": value}).completed(1, SCRIPT * 400, {"v": value})
    story.patched(2, "s", value, value, patchedBy=SCRIPT * 400, reason=SCRIPT * 400)
    for path in ("input.v", "input", "steps.s.output", "steps.s.by"):
        found = of(story, path)
        assert "<script" not in found._repr_html_()
        assert all(len(form) < 3_000 for form in forms(found)), path
        assert len(found.frame) == len(found.earlier) + 1


def test_thousands_of_changes_are_cut_to_a_few() -> None:
    story = Story().created()
    for number in range(3_000):
        story.patched(number + 1, "s", number, number + 1, patchedBy="ada")
    found = of(story, "steps.s.output")
    assert (len(found.earlier), found.earlier[0].after, found.value) == (2_999, 2_999, 3_000)
    assert "and 2,979 more before; see .frame" in str(found)
    assert len(found._repr_html_()) < 12_000
