"""The card of a run as it was: everything escaped, redacted and capped, whatever was recorded."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.history.snapshot import RunState, Snapshot, StepState
from ironflow_lab.lab import pastcard
from ironflow_lab.lab.pastcard import Shown
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant

SECRET = "hunter2-s3cret"
SCRIPT = "<script>alert('x')</script>"
ALLOWED = {"div", "strong", "span", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre"}
EVENT = AuditEvent(id="aud_3", event_type="step.completed", step_id="run_1:charge:0")


def shown(*steps: StepState, **given: Any) -> Shown:
    """A card's facts; `given` are fields of `Shown` and of the run's state."""
    fields: dict[str, Any] = {"at": Instant(9), "event": EVENT, "later": (), "source": "fold", "note": ""}
    run: dict[str, Any] = {"status": "running", "attempt": 1, "input": {"n": 1}}
    for name, value in given.items():
        (fields if name in fields else run)[name] = value
    state = Snapshot(
        run_id="run_1", function_id="order", position=3, at=Instant(9), t0=Instant(1), run=RunState(**run), steps=steps
    )
    return Shown(state=state, length=7, **fields)


def step(label: str = "charge", **given: Any) -> StepState:
    told: dict[str, Any] = {"status": "completed"}
    told.update(given)
    return StepState(step_id=f"run_1:{label}:0", label=label, name=label, **told)


class Tags(HTMLParser):
    """Collects the tags of a document and the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)


def tags(html: str) -> Tags:
    parsed = Tags()
    parsed.feed(html)
    return parsed


def test_it_says_where_and_when_it_is_and_what_had_just_happened() -> None:
    told = pastcard.text(shown(step(output={"paid": 5}), later=["ship", "mail"]))
    for part in ("order running", "position 3 of 7", "attempt 1", "Step charge completed", '{"paid":5}'):
        assert part in told
    assert "not started yet: ship, mail" in told
    assert "1970-01-01 00:00:00 UTC" in told
    assert pastcard.headline(shown()) == "order running at position 3 of 7"


def test_before_the_creation_there_is_nothing_but_the_place() -> None:
    blank = Shown(state=Snapshot(run_id="run_1"), at=Instant(0), event=None, length=7, later=(), source="fold", note="")
    assert "not created" in pastcard.text(blank)
    assert "not created" in pastcard.html(blank)
    assert "1970" not in pastcard.html(blank)


def test_corrections_and_errors_show() -> None:
    error = {"message": "declined\nand more", "code": "DECLINED"}
    card = pastcard.html(shown(step("a", status="failed", error=error), step("b", patched=True, output=1), error=error))
    assert card.count("DECLINED: declined") == 2
    assert "b (patched)" in card


def test_what_is_waited_for_shows_and_what_of_it_is_secret_does_not() -> None:
    until = Instant(60_000_000_000)
    waits = step("a", status="waiting", event="order.paid", match={"data.token": SECRET, "id": 1}, until=until)
    child = step("b", status="waiting", child_run_id="run_2", function_id="ship", until=until)
    nap = step("c", status="sleeping", type="sleep", until=until)
    told = pastcard.text(shown(waits, child, nap, step("d", status="pending")))
    assert 'for order.paid with {"data.token":"[redacted]","id":1} until 1970-01-01 00:01:00 UTC' in told
    assert "for run_2 of ship until 1970-01-01 00:01:00 UTC" in told
    assert told.count("until 1970-01-01 00:01:00 UTC") == 3
    assert SECRET not in told
    assert "pending" in told.splitlines()[-1]


def test_it_says_why_a_run_stands_and_whose_child_it_is() -> None:
    assert "paused: injection" in pastcard.text(shown(status="paused", pause_reason="injection"))
    asked = pastcard.html(shown(pause_requested=True, parent_run_id="run_0"))
    assert "to be held at its next step boundary" in asked
    assert "child of run_0" in asked
    assert "child of" not in pastcard.html(shown())


def test_the_event_that_had_just_happened_is_told_whole() -> None:
    payload = {"stepId": "run_1:approve:0", "event": "order.paid", "until": "2026-01-02T03:04:05Z"}
    event = AuditEvent(id="aud_3", event_type="step.started", step_id="run_1:approve:0", payload=payload)
    told = pastcard.text(shown(event=event))
    assert "Step approve waiting for order.paid until 2026-01-02T03:04:05Z" in told


@pytest.mark.parametrize(
    ("source", "note", "says"),
    [
        ("server", "step a is not in it", "as the server tells it: step a is not in it"),
        ("incomplete", "step a is not in it", "incomplete: step a is not in it"),
    ],
)
def test_it_says_where_it_comes_from(source: str, note: str, says: str) -> None:
    for card in (pastcard.html(shown(source=source, note=note)), pastcard.text(shown(source=source, note=note))):
        assert says in card


def test_of_many_steps_and_large_payloads_a_part_is_shown() -> None:
    many = [step(f"s{number}" + "x" * 5_000, output="y" * 5_000_000 if number == 0 else 1) for number in range(60)]
    card = pastcard.html(shown(*many, input="z" * 5_000_000, later=[f"l{number}" * 1_000 for number in range(100)]))
    assert len(card) < 100_000
    assert "and 10 more steps; see .steps" in card
    assert "and 90 more" in card


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(SCRIPT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.text(max_size=30) | st.just(SCRIPT) | st.just("__proto__"))
def test_nothing_that_was_recorded_becomes_markup_or_tells_a_secret(value: Any, text: str) -> None:
    planted = {"value": value, "api_key": SECRET, "html": SCRIPT}
    event = AuditEvent(id="a", event_type=text, step_id=text, payload={"newStatus": text})
    state = step(text, status=text, output=planted, error={"message": text, "code": text}, type=text)
    hostile = shown(
        state, step("done", output=planted), input=planted, output=planted, error={"message": text, "code": SCRIPT},
        event=event, later=[text], note=text, source=text, status=text,
    )  # fmt: skip
    card = pastcard.html(hostile)
    assert SECRET not in card
    assert SECRET not in pastcard.text(hostile)
    found = tags(card)
    allowed = {
        "div",
        "strong",
        "span",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "pre",
    }
    assert set(found.tags) <= allowed
    assert found.attributes <= {"style", "class"}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (msgspec.UNSET, ""),
        (None, ""),
        ("plain", '"plain"'),
        ({"message": "m"}, "m"),
        ({"message": "m", "code": "C"}, "C: m"),
        ({"code": "C"}, '{"code":"C"}'),
        ({"token": SECRET}, '{"token":"[redacted]"}'),
    ],
)
def test_errors_of_any_shape_are_one_line(error: Any, line: str) -> None:
    assert pastcard.error_line(error) == line
