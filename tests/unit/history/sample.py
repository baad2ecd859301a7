"""Prints a packed history as JSON, with what a reader must make of it: `python -m tests.unit.history.sample > file`.

The TypeScript tests read it: `chunks` to take in one after the other, `documents` by position (with
what is fetched on demand in place), `values` by key as JSON text.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ironflow_lab.history.pack import Packer
from tests.unit.history.reader import Asked, Reader
from tests.unit.history.stories import HOSTILE, Story, charge

_HOSTILE_VALUE = {"__proto__": {"polluted": 1}, "constructor": None, "big": 2**60 + 1, "half": "\ud800", "html": "<b>"}


def sample() -> dict[str, Any]:
    """Return the sample, the same every time."""
    stories = {"charge": charge(), "hostile": _hostile(), "empty": Story()}
    return {name: _packed(story) for name, story in stories.items()}


def _hostile() -> Story:
    story = Story().created(0, input=_HOSTILE_VALUE)
    for number, name in enumerate(HOSTILE):
        story.started(number + 1, name).completed(number + 1.5, name, _HOSTILE_VALUE)
    story.started(50, "large").completed(51, "large", ["é" * 100] * 1_000)
    return story.tell(40, "kv.set", "not an object").moved(60, "failed", "failed", error={"message": "<script>" * 500})


def _packed(story: Story) -> dict[str, Any]:
    packer, reader = Packer(story.run_id, "pay", server="http://127.0.0.1:9123"), Reader()
    middle = len(story.events) // 2
    chunks = [packer.add(events).jsonable() for events in (story.events[:middle], story.events[middle:])]
    for chunk in chunks:
        reader.take(chunk)
    documents = [reader.document(position) for position in range(len(story.events) + 1)]
    return {"chunks": chunks, "documents": documents, "values": _values(packer, documents[-1])}


def _values(packer: Packer, document: dict[str, Any]) -> dict[str, str]:
    holders = [document["run"], *document["steps"]]
    asked = [value for holder in holders for value in holder.values() if isinstance(value, Asked)]
    return {value["key"]: packer.value_text(value["key"]) for value in asked}


if __name__ == "__main__":
    json.dump(sample(), sys.stdout)
