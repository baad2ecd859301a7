"""What a view would not show is not carried away: in no payload, no text, no line, no event."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given

from ironflow_lab.history import hiding, redaction
from ironflow_lab.history.capsule import Capsule, Line, pack, unpack
from ironflow_lab.history.hiding import hide
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import Error
from tests.conftest import TOLD
from tests.unit.history.carried import SECRET, capsule, run, step
from tests.unit.history.stories import RUN, Story, trails

HIDDEN = redaction.HIDDEN


def only(value: Any) -> Capsule:
    return Capsule(recording=Recording(run=run(input=value)))


def text_of(whole: Capsule) -> str:
    """Return all that a capsule says, but for the list of what was hidden."""
    found = whole.recording
    rows = [found.run, found.steps, found.events, whole.children, whole.function, whole.event, whole.why, whole.lines]
    return msgspec.json.encode(rows, enc_hook=str).decode()


def lines(*texts: str) -> list[str]:
    found = hide(Capsule(recording=Recording(run=run()), lines=tuple(Line(at=1, text=text) for text in texts)))
    return [line.text for line in found.lines]


def test_a_secret_is_in_no_place_of_a_whole_capsule() -> None:
    before, after = capsule(), hide(capsule())
    assert text_of(before).count(SECRET) >= 10
    assert SECRET not in text_of(after)
    assert SECRET.encode() not in pack(after)
    assert after.redacted and not before.redacted


def test_what_is_no_secret_stays_as_it_was() -> None:
    after = hide(capsule())
    assert after.run.input == {"n": 1, "password": HIDDEN}
    assert after.recording.steps[0].output == {"id": 8, "token": HIDDEN}
    assert after.recording.steps[0].original_output == {"id": 7}
    assert after.recording.steps[1] == capsule().recording.steps[1]
    assert after.lines[0].text == f"paying with {HIDDEN}"
    assert (after.dropped, after.logged, after.saved_at) == (3, True, capsule().saved_at)
    assert after.recording.code == capsule().recording.code


def test_what_was_hidden_is_listed_with_its_path_and_counted() -> None:
    hidden = hide(capsule()).hidden
    assert hidden.paths == {
        "input.password": 1,
        "steps.charge.output.token": 1,
        'events."run.created".input.password': 1,
        'events."step.completed".output.token': 1,
        "children.kid.input.api_key": 1,
        "event.data.password": 1,
        "function.metadata.api_key": 1,
    }
    assert hidden.values == 7
    assert hidden.texts == 7
    assert hidden.more == 0


def test_the_states_of_the_run_are_the_same_but_for_what_is_hidden() -> None:
    before, after = capsule().recording.history(), hide(capsule()).recording.history()
    for position in range(before.length + 1):
        one, other = before.at_position(position), after.at_position(position)
        assert [(step.label, step.status, step.attempt, step.by) for step in one.steps] == [
            (step.label, step.status, step.attempt, step.by) for step in other.steps
        ]
        assert (one.run.status, one.run.attempt) == (other.run.status, other.run.attempt)


@given(events=trails())
def test_any_trail_folds_as_before(events: list[AuditEvent]) -> None:
    before = Recording(run=run(), events=tuple(events))
    after = hide(Capsule(recording=before)).recording
    one, other = before.history(), after.history()
    assert [delta.after.status for delta in one.deltas] == [delta.after.status for delta in other.deltas]
    for event in after.events:
        assert redaction.redact(event.payload) == event.payload


def test_hiding_again_hides_nothing_more() -> None:
    once = hide(capsule())
    assert hide(once) == once


def test_a_secret_that_is_a_common_word_does_not_spoil_the_protocols_own_words() -> None:
    story = Story().created(0, input={"token": "completed", "note": "it is completed"}).moved(1, "completed")
    after = hide(Capsule(recording=Recording(run=run(), events=tuple(story.events)))).recording
    assert after.history().run_at(2).status == "completed"
    assert after.events[0].payload["input"] == {"token": HIDDEN, "note": f"it is {HIDDEN}"}


@pytest.mark.parametrize(
    ("value", "elsewhere", "expected"),
    [
        ("s3cr3t", "a s3cr3t, b", f"a {HIDDEN}, b"),
        ("s3cr3t", "as3cr3tb and s3cr3t_x", "as3cr3tb and s3cr3t_x"),
        ("s3cr3t", "s3cr3t", HIDDEN),
        ("short", "short", "short"),
        ("$2b$12$abc", "hash=$2b$12$abc.", f"hash={HIDDEN}."),
        (["one-two", "one-two-three"], "one-two-three one-two", f"{HIDDEN} {HIDDEN}"),
        (123456789, "123456789", "123456789"),
    ],
)
def test_a_hidden_text_is_hidden_elsewhere_as_words_of_its_own(value: Any, elsewhere: str, expected: str) -> None:
    found = hide(Capsule(recording=Recording(run=run(input={"password": value}, output=[elsewhere]))))
    assert found.run.output == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2 next", f"password={HIDDEN} next"),
        ("{'api_key': 'sk-1'}", f"{{'api_key': {HIDDEN}}}"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {HIDDEN}"),
        ("postgres://ann:pw@host/db", f"postgres://ann:{HIDDEN}@host/db"),
        ("max_tokens: 512 left", "max_tokens: 512 left"),
        ("token: None", "token: None"),
        ("token=12345", f"token={HIDDEN}"),
        ("unexpected token in line 3", "unexpected token in line 3"),
        (f"token={HIDDEN}", f"token={HIDDEN}"),
        ("total: 7", "total: 7"),
    ],
)
def test_what_follows_a_secret_looking_word_in_a_line_is_hidden(text: str, expected: str) -> None:
    assert lines(text) == [expected]


def test_long_and_hostile_lines_take_no_time_to_speak_of() -> None:
    hostile = [
        "token" * 40_000,
        "a" * 250_000,
        ("token=" + "x" * 10) * 10_000,
        "://" + "a" * 100_000 + ":",
        "[" * 9_999,
    ]
    assert len(lines(*hostile)) == len(hostile)


def test_very_many_secrets_are_looked_for_at_once() -> None:
    keys = [{"token": f"secret-{number:05}"} for number in range(10_000)]
    text = " ".join(["secret-x"] * 20_000 + ["secret-00042"])
    whole = Capsule(recording=Recording(run=run(input=keys)), lines=(Line(at=1, text=text),))
    assert hide(whole).lines[0].text == text.replace("secret-00042", HIDDEN)


def test_errors_are_texts_and_details_are_payloads() -> None:
    error = Error(message="bad password=abc", stack="token = 'abc'", details={"secret": "x", "n": 1})
    found = hide(Capsule(recording=Recording(run=run(error=error, cancellation_cause="by token=abc")))).run
    assert found.error == Error(
        message=f"bad password={HIDDEN}", stack=f"token = {HIDDEN}", details={"secret": HIDDEN, "n": 1}
    )
    assert found.cancellation_cause == f"by token={HIDDEN}"


def test_the_value_a_wait_wants_at_a_secret_path_is_hidden() -> None:
    story = (
        Story().created().started(1, "ok", kind="wait_for_event", event="e", match="data.token", value="v-99-secret")
    )
    why = BlockingReason(run_id=RUN, match="data.token", value="v-99-secret", message="waits for v-99-secret")
    whole = Capsule(recording=Recording(run=run(output="v-99-secret"), events=tuple(story.events)), why=why)
    found = hide(whole)
    assert "v-99-secret" not in text_of(found)
    assert found.recording.history().steps[0].match == {"data.token": HIDDEN}
    plain = Story().created().started(1, "ok", kind="wait_for_event", event="e", match="data.id", value="v-99")
    assert hide(Capsule(recording=Recording(run=run(), events=tuple(plain.events)))).recording.history().steps[
        0
    ].match == {"data.id": "v-99"}


def test_no_hash_of_a_hidden_input_is_carried() -> None:
    steps = (step("a", input={"token": SECRET}, input_hash="h1"), step("b", input={"n": 1}, input_hash="h2"))
    found = hide(Capsule(recording=Recording(run=run(), steps=steps))).recording.steps
    assert [one.input_hash for one in found] == ["", "h2"]


def test_many_places_are_counted_and_only_the_first_are_named() -> None:
    found = hide(only({f"k{n}": {"token": f"v-{n:06}"} for n in range(700)})).hidden
    assert (found.values, len(found.paths), found.more) == (700, hiding.MOST_PATHS, 200)
    places = hide(only([{"token": "abcdefg"}] * 700)).hidden
    assert places.paths == {"input[].token": 700}


def test_paths_are_fit_to_show() -> None:
    paths = hide(only({"<b>": {"token": "x"}, "k" * 5_000: {"token": "y"}, "\u0000": {"token": "z"}})).hidden.paths
    assert all(len(path) <= 300 for path in paths)
    assert 'input."<b>".token' in paths


def test_deep_values_are_hidden_as_the_views_hide_them() -> None:
    deep: Any = "bottom"
    for _ in range(200):
        deep = {"a": deep}
    assert hide(only(deep)).run.input == redaction.redact(deep)


@pytest.mark.soak
def test_a_run_of_ten_thousand_steps_is_hidden_packed_and_opened(record_property: Any) -> None:
    story, steps = Story().created(0, input={"token": SECRET}), []
    for number in range(10_000):
        output = {"id": number, "token": f"secret-{number}", "text": "x" * 200}
        steps.append(step("charge", output, sequence=number))
        for attempt in (1, 2):
            story.started(number, "charge", index=number, attempt=attempt)
            story.failed(number, "charge", {"message": "no"}, index=number, attempt=attempt)
        story.completed(number, "charge", output, index=number)
    whole = Capsule(recording=Recording(run=run(), steps=tuple(steps), events=tuple(story.events), source="capsule"))
    began = time.process_time()
    hidden = hide(whole)
    hid = time.process_time()
    data = pack(hidden)
    packed = time.process_time()
    assert unpack(data) == hidden
    took = [f"{one:.1f} s" for one in (hid - began, packed - hid, time.process_time() - packed)]
    told = f"{len(steps):,} steps, {len(story.events):,} events: hidden, packed ({len(data):,} bytes), read in {took}"
    record_property(TOLD, told)
    assert (hidden.hidden.values, b"secret-1" in data) == (20_001, False)
