"""Events as handlers see them, from rows of several dialects."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.errors import NonRetryableError
from ironflow_lab.models.instant import parse_instant
from ironflow_lab.runtime import events

ENVELOPE = {
    "id": "evt_2",
    "name": "order.approved",
    "data": {"ok": True},
    "timestamp": "2026-01-02T03:04:05.006Z",
    "version": 2,
    "source": "api",
    "metadata": {"trace": "t"},
}


@pytest.mark.parametrize(
    "spelling", [{"idempotencyKey": "k", "emittedBy": "apikey:1"}, {"idempotency_key": "k", "emitted_by": "apikey:1"}]
)
def test_an_envelope_in_either_spelling(spelling: dict[str, str]) -> None:
    assert events.of_output("w", {**ENVELOPE, **spelling}) == events.Event(
        id="evt_2",
        name="order.approved",
        data={"ok": True},
        timestamp=parse_instant("2026-01-02T03:04:05.006Z"),
        version=2,
        source="api",
        idempotency_key="k",
        metadata={"trace": "t"},
        emitted_by="apikey:1",
    )


def test_what_an_injected_event_lacks_is_empty() -> None:
    found = events.of_output("w", {"data": 1, "timestamp": "soon", "version": None, "id": 7, "metadata": []})
    assert (found.data, found.id, found.version, int(found.timestamp), found.metadata) == (1, "", 1, 0, {})


@pytest.mark.parametrize("output", [None, "yes", [1], {"approved": True}])
def test_what_is_no_event_is_told(output: Any) -> None:
    with pytest.raises(NonRetryableError, match="the wait 'w' is not an event; inject an object with `data`"):
        events.of_output("w", output)
