"""The card: everything escaped, redacted and capped, whatever a run holds."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.lab import card
from ironflow_lab.lab.summary import Shown
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus

SECRET = "hunter2-s3cret"
SCRIPT = "<script>alert('x')</script>"


def shown(**fields: Any) -> Shown:
    given = {"id": "run_1", "function_id": "order", "status": RunStatus("completed"), "attempt": 1}
    steps = fields.pop("steps", ())
    return Shown(run=Run(**{**given, **fields}), at=Instant(1), steps=steps)


def step(number: int = 0, **fields: Any) -> Step:
    given = {"id": f"s{number}", "step_id": f"run_1:charge:{number}", "status": StepStatus("completed"), "attempt": 1}
    return Step(**{**given, **fields})


class Tags(HTMLParser):
    """Collects the tags of a document and what it would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def tags(html: str) -> Tags:
    found = Tags()
    found.feed(html)
    return found


def hostile(text: str) -> Shown:
    return shown(
        id=text,
        function_id=text,
        event_name=text,
        status=RunStatus("failed"),
        input={text: text},
        error=Error(message=text, code=text),
        parent_run_id=text,
        parent_step_id=text,
        steps=(
            step(output={text: text}, patched_at=Instant(1), patched_by=text),
            step(1, status=StepStatus("failed"), error=Error(message=text), child_run_id=text),
        ),
    )


@given(st.text() | st.sampled_from([SCRIPT, '"><img src=x onerror=alert(1)>', "</details><style>*{}</style>"]))
def test_nothing_a_run_holds_becomes_markup(text: str) -> None:
    plain, found = tags(card.html(hostile("x"))), tags(card.html(hostile(f"x{text}")))
    assert set(found.tags) <= {
        "div", "strong", "span", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre",
    }  # fmt: skip
    assert set(found.attributes) <= {"style", "class"}
    assert found.tags == plain.tags


def test_secrets_show_in_no_form() -> None:
    held = shown(
        input={"password": SECRET, "nested": [{"api_key": SECRET}]},
        output={"token": SECRET},
        steps=(step(output={"Authorization": f"Bearer {SECRET}"}),),
    )
    assert SECRET not in card.html(held)
    assert SECRET not in card.text(held)
    assert "[redacted]" in card.text(held)


def test_size_is_capped_whatever_a_run_holds() -> None:
    big = "x" * 1_000_000
    held = shown(
        status=RunStatus("completed"),
        input={"a": big},
        output=[big],
        error=Error(message=big),
        steps=tuple(step(number, output=big) for number in range(500)),
    )
    assert len(card.html(held)) < 60_000
    assert len(card.text(held)) < 20_000
    assert "450 more steps" in card.text(held)


def test_both_themes_read_because_no_background_is_set_and_colours_have_fallbacks() -> None:
    html = card.html(shown(steps=(step(),), error=Error(message="no")))
    assert "background:transparent" in html
    assert "var(--jp-ui-font-color1, inherit)" in html
    assert html.count("var(--jp-") == html.count(", inherit)") + html.count(", #") + html.count(", rgba(")


@pytest.mark.parametrize("form", [card.html, card.text])
def test_it_says_status_attempt_error_steps_and_payloads(form: Any) -> None:
    failed = shown(
        status=RunStatus("failed"),
        max_attempts=25,
        input={"n": 1},
        error=Error(message="card declined", code="DECLINED"),
        steps=(step(duration_ms=12, output="ok"),),
    )
    text = form(failed)
    for part in ("run_1", "order", "failed", "1 of 25", "DECLINED: card declined", "charge", "12 ms", "input"):
        assert part in text
    assert "output" not in text.replace("output: ok", "")


def test_a_null_output_of_a_completed_run_is_shown_in_text() -> None:
    assert "output  null" in card.text(shown(output=None))


def test_the_note_is_escaped_too() -> None:
    assert SCRIPT not in card.html(shown(), note=SCRIPT)


def test_what_was_done_from_outside_is_marked_in_both_forms() -> None:
    held = shown(
        status=RunStatus("running"),
        pause_requested=True,
        parent_run_id="run_0",
        steps=(
            step(0, output=2, original_output=1),
            step(1, output=2, original_output=1, patched_at=Instant(1), patched_by="ann"),
            step(2, child_run_id="run_2", output=3),
            step(3, child_run_id="run_3", status=StepStatus("waiting")),
        ),
    )
    for form in (card.text(held), card.html(held)):
        for said in ("pausing", "child of run_0", "injected", "patched by ann", "child run_2: 3", "child run_3"):
            assert said in form, said
