"""A replay as a notebook shows it: hostile, private and big payloads, and what it says of how it went."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from ironflow_lab.frames.replays import CALLS, calls_frame
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab.replaying import MOST_CALLS, MOST_NOTES, Replay
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, RunStatus
from ironflow_lab.runtime.function import DurableFunction, function
from tests.unit.debug.replays import DEEP, boom, made, replay, step

SESSION: Any = SimpleNamespace(
    joined=SimpleNamespace(server_url="http://localhost:1"), clock=SimpleNamespace(now=lambda: 5)
)


def shown(recording: Recording, fn: DurableFunction, note: str = "") -> Replay:
    return Replay(SESSION, replay(recording, fn), note)


@function
async def takes(ctx: Any) -> Any:
    await ctx.step.run("<img>", boom)
    return {"password": "hunter2", "html": "<script>"}


def texts(replay: Replay) -> str:
    return "\n".join([repr(replay), str(replay), replay._repr_html_()])


@pytest.mark.parametrize(
    "value",
    [DEEP, {"n": 2**70}, {"text": "\ud800"}, {"api_key": "hunter2"}, ["<script>" * 1_000], "x" * 10**6],
    ids=["deep", "huge", "surrogate", "secret", "html", "long"],
)
def test_strange_payloads_are_shown_redacted_escaped_and_cut(value: Any) -> None:
    found = shown(made(step(0, "<img>:0", value)), takes)
    assert found.status == "completed"
    said = texts(found)
    assert "hunter2" not in said
    assert "<script>" not in found._repr_html_()
    assert "<img>" not in found._repr_html_()
    assert len(said) < 10_000
    assert "\n" not in repr(found)
    frame = found.calls
    assert list(frame["name"]) == ["<img>"]
    assert list(frame.columns) == [column.name for column in CALLS]


def test_an_empty_frame_has_the_same_types() -> None:
    full = shown(made(step(0, "<img>:0", 1, started_at=Instant(1), ended_at=Instant(10**9 + 1))), takes).calls
    assert str(full["duration"].iloc[0]) == "0 days 00:00:01"
    assert calls_frame(()).dtypes.equals(full.dtypes)


@function
def fails(ctx: Any) -> Any:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("recording", "fn", "words"),
    [
        (
            made(step(0, "<img>:0", 1), output={"password": "hunter2", "html": "<script>"}),
            takes,
            "it completed as the run did",
        ),
        (made(step(0, "<img>:0", 1)), takes, "it completed as the run did, with another output"),
        (made(step(0, "<img>:0", 1), status=RunStatus("failed")), takes, "it completed, and the run failed"),
        (made(), fails, "it failed, and the run completed"),
        (
            made(status=RunStatus("failed"), error=Error(message="other")),
            fails,
            "it failed as the run did, with another error",
        ),
        (made(step(0, "a:0")), fails, "the code failed without asking for step 'a', which the run had recorded"),
        (
            made(step(0, "<img>:0"), status=RunStatus("running")),
            takes,
            "the run is running, so there is nothing to compare",
        ),
    ],
)
def test_the_verdict_is_one_sentence(recording: Recording, fn: DurableFunction, words: str) -> None:
    found = shown(recording, fn)
    assert words in repr(found)
    assert words.replace("'", "&#x27;") in found._repr_html_()


def test_what_is_long_is_cut_with_a_word() -> None:
    @function
    async def long(ctx: Any) -> Any:
        for _ in range(100):
            await ctx.step.run("s", boom)

    recording = made(*(step(at, f"s:{at}", 1) for at in range(100)))
    found = shown(recording, long, "\n".join(f"note {at}" for at in range(20)))
    assert f"and {100 - MOST_CALLS} more step calls; see replay.calls" in str(found)
    assert len(found.calls) == 100
    assert f"and {len(found.notes) - MOST_NOTES} more; see replay.notes" in str(found)
    assert found.notes[0] == "note 0"
    assert any(note.startswith("the run was not recorded: its rows") for note in found.notes)


def test_what_is_missing_of_a_recording_is_said() -> None:
    half = replace(made(step(0, "<img>:0", 1)), note="its trail is cut short")
    assert shown(half, takes).notes[0] == "its trail is cut short"
