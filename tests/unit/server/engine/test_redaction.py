"""Redaction: a marker in the payload's place, once, wherever the payload stands."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import NotFoundError
from ironflow_lab.server.engine.commands import RedactEvent
from ironflow_lab.server.engine.outcome import Erased, Outcome
from ironflow_lab.server.engine.redaction import EventToRedact, StartedRun, is_marker, marker, redact_event
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, named, only

SECRET = b'{"card":"4111"}'
DIGEST = hashlib.sha256(SECRET).hexdigest()
AT = "2026-01-02T03:04:05Z"


def created(given: bytes = SECRET) -> bytes:
    return msgspec.json.encode({"runId": "run_1", "input": msgspec.Raw(given), "eventId": "evt_1", "attempt": 1})


def started(**changes: Any) -> StartedRun:
    given: dict[str, Any] = {"id": "run_1", "function_id": "f", "created_at": NOW - SECOND, "updated_at": NOW - SECOND}
    return StartedRun(**given | {"created": created()} | changes)


def redacted(state: EventToRedact) -> Outcome:
    return redact_event(state, RedactEvent(env=ENV, event_id="evt_1"), NOW, CountingIds())


class TestMarker:
    def test_it_tells_the_digest_and_the_time(self) -> None:
        assert msgspec.json.decode(marker(SECRET, NOW)) == {"$redacted": True, "sha256": DIGEST, "redactedAt": AT}

    def test_a_marker_stays_as_it_is(self) -> None:
        first = marker(SECRET, NOW)
        assert is_marker(first)
        assert marker(first, NOW + SECOND) == first

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "$redacted",
            ["$redacted"],
            {"$redacted": True},
            {"$redacted": True, "sha256": DIGEST, "redactedAt": AT, "card": "4111"},
            {"$redacted": False, "sha256": DIGEST, "redactedAt": AT},
            {"$redacted": 1, "sha256": DIGEST, "redactedAt": AT},
            {"$redacted": True, "sha256": "4111 1111", "redactedAt": AT},
            {"$redacted": True, "sha256": DIGEST.upper(), "redactedAt": AT},
            {"$redacted": True, "sha256": DIGEST, "redactedAt": "4111"},
            {"$redacted": True, "sha256": DIGEST, "redactedAt": 4111},
            {"a": {"$redacted": True, "sha256": DIGEST, "redactedAt": AT}},
        ],
        ids=str,
    )
    def test_what_only_looks_like_one_is_redacted_too(self, value: Any) -> None:
        text = msgspec.json.encode(value)
        assert not is_marker(text)
        assert is_marker(marker(text, NOW))


def test_the_row_and_the_audit_trail_of_recorded_runs_get_the_marker() -> None:
    late = started(id="run_2", updated_at=NOW + 5)
    outcome = redacted(EventToRedact(data=SECRET, runs=(started(), late)))
    mark = marker(SECRET, NOW)
    assert outcome.answer is None
    assert only(outcome, "redact_event") == {"env": ENV, "id": "evt_1", "data": mark}
    first, second = (write.parameters for write in named(outcome, "redact_run_created"))
    assert (first["run_id"], first["at"]) == ("run_1", NOW - SECOND)
    assert second["run_id"] == "run_2"
    told = msgspec.json.decode(first["payload"])
    assert told == {"runId": "run_1", "input": msgspec.json.decode(mark), "eventId": "evt_1", "attempt": 1}
    notes = [write.parameters for write in named(outcome, "insert_audit")]
    assert [(note["run_id"], note["type"], note["at"]) for note in notes] == [
        ("run_1", "run.redacted", NOW),
        ("run_2", "run.redacted", NOW + 6),
    ]
    assert msgspec.json.decode(notes[0]["payload"]) == {"runId": "run_1", "eventId": "evt_1"}
    touched = [write.parameters for write in named(outcome, "touch_run")]
    assert touched == [{"id": "run_1", "now": NOW}, {"id": "run_2", "now": NOW + 6}], "the row follows its audit trail"
    assert outcome.wakes == (Erased(("run_1", "run_2")),)
    written = msgspec.json.encode([write.parameters for write in outcome.writes])
    assert b"4111" not in written


def test_an_event_without_recorded_runs() -> None:
    outcome = redacted(EventToRedact(data=b"null"))
    assert [write.query for write in outcome.writes] == ["redact_event"]
    assert outcome.wakes == ()


def test_a_second_time_changes_nothing() -> None:
    outcome = redacted(EventToRedact(data=marker(SECRET, NOW - SECOND), runs=(started(),)))
    assert outcome == Outcome()


def test_an_input_that_was_redacted_with_its_run_stays_as_it_is() -> None:
    run = started(created=created(marker(SECRET, NOW - SECOND)))
    outcome = redacted(EventToRedact(data=SECRET, runs=(run,)))
    assert [write.query for write in outcome.writes] == ["redact_event"]


def test_an_unknown_event() -> None:
    with pytest.raises(NotFoundError, match="no event 'evt_1'"):
        redacted(EventToRedact())
