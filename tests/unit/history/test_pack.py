"""What is packed says, to a reader of the format alone, what the snapshots say, redacted and capped."""

from __future__ import annotations

import itertools
import json
import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.history import redaction
from ironflow_lab.history.equality import same
from ironflow_lab.history.pack import Packer
from ironflow_lab.history.values import Values
from ironflow_lab.models.audit import AuditEvent
from tests.unit.history.reader import Asked, Reader
from tests.unit.history.sample import sample
from tests.unit.history.stories import HOSTILE, RUN, T0, Story, charge, trails

PAYLOADS = ("input", "output", "error", "original_output", "match")


def read(packer: Packer) -> Reader:
    return Reader().take(packer.chunk().jsonable())


def fetched(document: dict[str, Any], packer: Packer) -> dict[str, Any]:
    """Return the document with everything that is fetched on demand in its place."""

    def whole(value: Any) -> Any:
        return json.loads(packer.value_text(value["key"])) if isinstance(value, Asked) else value

    run = {name: whole(value) for name, value in document["run"].items()}
    return {"run": run, "steps": [{name: whole(value) for name, value in one.items()} for one in document["steps"]]}


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document as a view may have it, told a second time: by hand, a member at a time."""
    return {"run": _members(document["run"]), "steps": [_members(step) for step in document["steps"]]}


def _members(part: dict[str, Any]) -> dict[str, Any]:
    return {name: _shown(name, value) for name, value in part.items()}


def _shown(name: str, value: Any) -> Any:
    if name in PAYLOADS:
        value = redaction.redact(value)
    return _cut(value) if name not in PAYLOADS or name == "error" else value


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= 2_000 else value[:1_999] + "…"
    if isinstance(value, dict):
        return {_cut(key): _cut(inner) for key, inner in value.items()}
    return [_cut(inner) for inner in value] if isinstance(value, list) else value


@given(trails())
def test_every_position_reads_as_its_snapshot_shown(events: list[AuditEvent]) -> None:
    packer = Packer(RUN, events=events)
    reader = read(packer)
    for position in range(len(events) + 1):
        expected = shown(packer.history.at_position(position).document())
        found = fetched(reader.document(position), packer)
        assert same(json.loads(json.dumps(found)), json.loads(json.dumps(expected)))


@given(trails(), st.lists(st.integers(0, 16), max_size=5))
def test_in_any_pieces_it_is_the_same(events: list[AuditEvent], cuts: list[int]) -> None:
    packer, reader = Packer(RUN), Reader()
    borders = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    for start, end in itertools.pairwise(borders):
        reader.take(packer.add(events[start:end]).jsonable())
    whole = Packer(RUN, events=events)
    assert packer.chunk().jsonable() == whole.chunk().jsonable()
    at_once = read(whole)
    assert repr(reader.__dict__) == repr(at_once.__dict__)


@given(trails(), st.integers(0, 40), st.integers(0, 400))
def test_no_cap_is_passed_and_nothing_is_lost(events: list[AuditEvent], inline: int, budget: int) -> None:
    packer = Packer(RUN, events=events, values=Values(inline=inline, small=8, budget=budget))
    reader = read(packer)
    spent = 0
    for operation in (operation for operations in reader.patches for operation in operations):
        path, *value = operation
        if path[-1] not in PAYLOADS or not value:
            continue
        if value[1:]:
            asked = value[0]
            text = packer.value_text(asked["key"]).encode()
            assert len(text) == asked["bytes"] > (inline if spent < budget else 8)
            assert text.decode().startswith(asked["head"])
        else:
            spent += len(msgspec.json.encode(value[0]))
    last = len(events)
    whole = fetched(read(Packer(RUN, events=events)).document(last), packer)
    assert same(fetched(reader.document(last), packer), whole)


# ---- the bytes


def test_columns_are_these_bytes() -> None:
    story = Story().created(0).moved(1.5, "running", "claimed", workerId="w").started(2, "a", attempt=1)
    story.failed(4, "a", {"message": "no"}).moved(5, "failed", "failed", error={"message": "no"})
    chunk = Packer(RUN, events=story.events).chunk()
    event, span = struct.Struct("<dIHH"), struct.Struct("<ddIHH")
    assert chunk.events == b"".join(
        event.pack(*record)
        for record in ((0.0, 0, 0, 3), (1.5, 0, 1, 2), (2.0, 1, 2, 0), (4.0, 1, 3, 9), (5.0, 0, 4, 11))
    )
    assert chunk.spans == b"".join(
        span.pack(*record) for record in ((0.0, 1.5, 0, 1, 1), (1.5, 5.0, 0, 6, 1), (2.0, 4.0, 1, 6, 1))
    )
    assert [entry["text"] for entry in chunk.types] == [
        "Run created",
        "Run running",
        "Step {} started",
        "Step {} failed",
        "Run failed",
    ]
    assert chunk.lanes == [
        {"name": "run", "type": "run", "step_id": ""},
        {"name": "a", "type": "invoke", "step_id": "run_1:a:0"},
    ]
    assert chunk.meta == {
        "v": 1,
        "run_id": RUN,
        "function_id": "pay",
        "t0": str(T0),
        "recording": "all",
        "source": "fold",
        "note": "",
        "ended": True,
        "server": "",
    }


def test_patches_are_this_text() -> None:
    story = Story().created(0, input={"token": "t"}).started(1, "a", attempt=1).completed(2, "a", None)
    story.started(3, "a", attempt=2)
    patches = json.loads(Packer(RUN, events=story.events).chunk().patches)
    assert patches == [
        [
            [["run", "status"], "waiting_for_capacity"],
            [["run", "attempt"], 1],
            [["run", "input"], {"token": "[redacted]"}],
        ],
        [
            [["steps", 0], {}],
            [["steps", 0, "name"], "a"],
            [["steps", 0, "type"], "invoke"],
            [["steps", 0, "status"], "running"],
            [["steps", 0, "attempt"], 1],
            [["steps", 0, "started_ms"], 1.0],
        ],
        [
            [["steps", 0, "status"], "completed"],
            [["steps", 0, "output"], None],
            [["steps", 0, "ended_ms"], 2.0],
            [["steps", 0, "duration_ms"], 5],
        ],
        [
            [["steps", 0, "status"], "running"],
            [["steps", 0, "attempt"], 2],
            [["steps", 0, "output"]],
            [["steps", 0, "started_ms"], 3.0],
            [["steps", 0, "ended_ms"]],
            [["steps", 0, "duration_ms"]],
        ],
    ]


def test_runs_of_no_and_of_one_event_are_chunks_too() -> None:
    empty = Packer(RUN, "pay").chunk()
    assert (empty.events, empty.spans, empty.patches, empty.types) == (b"", b"", "[]", [])
    assert (empty.meta["t0"], empty.meta["ended"], len(empty.lanes)) == ("0", False, 1)
    one = read(Packer(RUN, events=Story().created().events))
    assert (len(one.events), len(one.spans)) == (1, 1)
    assert math.isnan(one.spans[0][1])


def test_an_added_chunk_says_only_what_is_new() -> None:
    packer = Packer(RUN)
    events = charge().events
    packer.extend(events[:6])
    chunk = packer.add(events[6:8])
    assert (chunk.first, len(chunk.events)) == (6, 32)
    assert len(json.loads(chunk.patches)) == 2
    # The run's execution, span 1, ended: the view keeps span 0 and takes the rest anew.
    assert chunk.spans_first == 1
    quiet = packer.add(())
    assert (quiet.first, quiet.events, quiet.spans, quiet.patches) == (8, b"", b"", "[]")


# ---- hostile and private


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_ever_a_value(name: str) -> None:
    story = Story().created(0, input={name: {name: 1}}).started(1, name).completed(2, name, {name: [name]})
    reader = read(Packer(RUN, events=story.events))
    members = {"status", "attempt", "input", "output", "name", "type", "started_ms", "ended_ms", "duration_ms"}
    for operations in reader.patches:
        for operation in operations:
            assert all(part in {"run", "steps", 0} | members for part in operation[0])
    (step,) = reader.document(3)["steps"]
    assert step["output"] == {name: [name]}
    assert step["name"] == (name if 0 < len(name) <= 2_000 else (name[:1_999] + "…") if name else "run_1::0")
    assert reader.lanes[1]["name"] == step["name"]


def test_half_surrogate_pairs_and_nul_pass_everywhere() -> None:
    bad = "a\ud800\x00b"
    story = Story().created(0, input={bad: bad}).started(1, bad).completed(2, bad, bad)
    story.failed(3, bad, {"message": bad}).tell(4, f"odd.{bad}", {"newStatus": bad})
    packer = Packer(RUN, bad, events=story.events, note=bad, server=bad)
    sent = packer.chunk().jsonable()
    json.dumps(sent, ensure_ascii=False).encode()
    document = Reader().take(sent).document(5)
    assert document["run"]["input"] == {bad: bad}
    assert document["steps"][0]["output"] == bad
    assert document["steps"][0]["name"] == "a\ufffd\x00b"


def test_numbers_keep_their_digits_and_what_json_lacks_becomes_a_text() -> None:
    value = {
        "big": 2**63 + 12345678901234567890,
        "exact": 2**53 + 1,
        "none": None,
        "nan": [math.nan, math.inf, -math.inf],
    }
    packer = Packer(RUN, events=Story().created(0, input=value).events)
    assert "9007199254740993" in packer.chunk().patches
    found = read(packer).document(1)["run"]["input"]
    assert found == {**value, "nan": ["NaN", "Infinity", "-Infinity"]}


def test_a_large_value_is_left_behind_under_a_key_that_only_its_content_makes() -> None:
    large = {"rows": ["é" * 100] * 30_000, "password": "p-1", "exact": 2**64}
    story = Story().created(0, input=large).started(1, "a").completed(2, "a", large)
    packer = Packer(RUN, events=story.events)
    reader = read(packer)
    asked = reader.document(3)["steps"][0]["output"]
    assert isinstance(asked, Asked)
    assert asked["bytes"] > 5_000_000
    assert asked == reader.document(3)["run"]["input"]
    assert len(packer.chunk().patches) < 3_000
    assert json.loads(packer.value_text(asked["key"])) == {**large, "password": "[redacted]"}
    assert "p-1" not in packer.value_text(asked["key"])
    assert str(2**64) in packer.value_text(asked["key"])
    assert len(asked["key"]) >= 32
    assert Packer(RUN, events=story.events).chunk().patches == packer.chunk().patches
    for key in ("", "0", "input", asked["key"][:-1]):
        with pytest.raises(KeyError):
            json.loads(packer.value_text(key))


def test_after_eight_megabytes_small_values_alone_stay_inline() -> None:
    story = Story().created(0, input=None)
    for number in range(200):
        story.started(number, f"s{number}").completed(number, f"s{number}", "x" * 63_000)
    story.started(300, "small").completed(300, "small", "y" * 200).patched(301, "small", 1, "z" * 300)
    packer = Packer(RUN, events=story.events)
    assert 8_000_000 < len(packer.chunk().patches) < 8_300_000
    reader = read(packer)
    assert reader.document(403)["steps"][-1]["output"] == "y" * 200
    assert isinstance(reader.document(404)["steps"][-1]["output"], Asked)


@given(trails())
def test_no_secret_leaves(events: list[AuditEvent]) -> None:
    secret = {"card": {"password": "s3cr3t", "deep": [{"api-key": ["s3cr3t"]}]}}
    story = Story()
    story.events = list(events)
    story.started(900, "z").completed(901, "z", secret).failed(902, "z", {**secret, "message": "m" * 3_000})
    story.patched(903, "z", secret, secret).moved(904, "completed", output=secret)
    packer = Packer(RUN, events=story.events, values=Values(inline=60, small=10, budget=500))
    sent = json.dumps(packer.chunk().jsonable())
    assert "s3cr3t" not in sent
    for value in read(packer).document(packer.history.length)["steps"][-1].values():
        if isinstance(value, Asked):
            assert "s3cr3t" not in packer.value_text(value["key"])
    assert "s3cr3t" not in repr(packer) + repr(packer.chunk())


def test_long_texts_are_cut_in_errors_and_whole_in_outputs() -> None:
    story = Story().created().started(1, "a").failed(2, "a", {"message": "m" * 5_000, "stack": ["s" * 5_000]})
    story.started(3, "b").completed(4, "b", "o" * 5_000)
    failed, done = read(Packer(RUN, events=story.events)).document(5)["steps"]
    assert failed["error"] == {"message": "m" * 1_999 + "…", "stack": ["s" * 1_999 + "…"]}
    assert done["output"] == "o" * 5_000


def test_an_error_is_redacted_before_it_is_cut_and_may_be_nested_without_end() -> None:
    deep: Any = "d33p"
    for _ in range(100_000):
        deep = [deep]
    story = Story().created(0, input=deep).started(1, "a").failed(2, "a", {"k" * 2_000 + "password": "s3cr3t"})
    story.failed(3, "a", {"details": deep}).completed(4, "a", deep)
    sent = Packer(RUN, events=story.events).chunk().patches
    assert "s3cr3t" not in sent
    assert "d33p" not in sent
    assert len(sent) < 4_000


def test_an_event_of_another_run_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="run_2"):
        Packer(RUN).add(Story("run_2").created().events)


def test_the_sample_for_other_readers_is_what_this_one_reads() -> None:
    made = sample()
    assert made.keys() == {"charge", "hostile", "empty"}
    for one in made.values():
        reader = Reader()
        for chunk in one["chunks"]:
            reader.take(chunk)
        assert [reader.document(n) for n in range(len(reader.patches) + 1)] == one["documents"]
    assert len(made["hostile"]["values"]) == 1
    json.dumps(made)
