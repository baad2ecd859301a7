"""The static form: what a reader without a kernel sees."""

from __future__ import annotations

import re

from ironflow_lab.history.pack import Packer
from ironflow_lab.widgets import static_form
from tests.ui import scrub_runs


def html(packer: Packer) -> str:
    history = packer.history
    return static_form.html(packer.chunk(), history.at_position(history.length))


def text(packer: Packer) -> str:
    history = packer.history
    return static_form.text(packer.chunk(), history.at_position(history.length))


def test_every_step_has_a_row_with_its_status_and_a_bar() -> None:
    shown = html(scrub_runs.packed(scrub_runs.story()))
    assert re.findall(r"<tr><td[^>]*>([^<]+)</td><td[^>]*>([^<]+)</td>", shown) == [
        ("run", "completed"),
        ("validate", "completed"),
        ("charge", "completed"),
        ("cool-off", "completed"),
        ("wait-for-stock", "completed"),
        ("ship", "completed"),
    ]
    assert "(by ada)" in shown
    assert "24 events" in shown


def test_the_kinds_of_time_differ_by_character_and_are_explained() -> None:
    bars = dict(re.findall(r"^  (\S+) +\w+ +\|(.{48})\|$", text(scrub_runs.packed(scrub_runs.story())), re.MULTILINE))
    assert set(bars["charge"]) == set(" X~█")
    assert set(bars["cool-off"]) == set(" z")
    assert set(bars["run"]) >= set("·X~█z…=")
    shown = text(scrub_runs.packed(scrub_runs.story()))
    for explained in ("· queued", "X failed", "~ waiting for a retry", "z sleeping", "… waiting", "= paused"):
        assert explained in shown


def test_hostile_names_and_values_are_text() -> None:
    shown = html(scrub_runs.packed(scrub_runs.hostile()))
    assert set(re.findall(r"<(\w+)", shown)) == {
        "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "code", "div",
    }  # fmt: skip
    assert "&lt;img src=x onerror=" in shown


def test_secrets_are_hidden_and_the_size_is_capped() -> None:
    assert "tok_secret" not in html(scrub_runs.packed(scrub_runs.story()[:10]))
    assert "[redacted]" in html(scrub_runs.packed(scrub_runs.story()[:10]))
    many = html(scrub_runs.packed(scrub_runs.long(3_000)))
    assert many.count("<tr>") == 1 + 1 + static_form.MOST_STEPS
    assert "and 700 more steps" in many
    assert len(html(scrub_runs.packed(scrub_runs.heavy()))) < 5_000


def test_runs_of_no_event_and_of_one() -> None:
    nothing = Packer("run_none", "f", note="Not recorded.")
    assert "Not recorded." in html(nothing)
    assert "not created" in text(nothing)
    one = scrub_runs.packed(scrub_runs.story()[:1])
    assert "waiting_for_capacity" in html(one)
