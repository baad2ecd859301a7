"""A reader of packed chunks that knows nothing but their format: what a browser does, in Python."""

from __future__ import annotations

import copy
import json
import struct
from base64 import b64decode
from typing import Any

_EVENT, _SPAN = struct.Struct("<dIHH"), struct.Struct("<ddIHH")


class Reader:
    """Holds a history as the chunks tell it and gives the state document after any number of events."""

    def __init__(self) -> None:
        self.meta: dict[str, Any] = {}
        self.types: list[dict[str, str]] = []
        self.lanes: list[dict[str, str]] = []
        self.events: list[tuple[Any, ...]] = []
        self.spans: list[tuple[Any, ...]] = []
        self.patches: list[list[list[Any]]] = []

    def take(self, chunk: dict[str, Any]) -> Reader:
        """Take in a chunk as JSON, the two binary parts in base64."""
        assert chunk["first"] == len(self.patches) or chunk["first"] == 0
        assert chunk["spans_first"] <= len(self.spans)
        self.meta, self.types, self.lanes = chunk["meta"], chunk["types"], chunk["lanes"]
        self.events[chunk["first"] :] = _EVENT.iter_unpack(b64decode(chunk["events"], validate=True))
        self.spans[chunk["spans_first"] :] = _SPAN.iter_unpack(b64decode(chunk["spans"], validate=True))
        self.patches[chunk["first"] :] = json.loads(chunk["patches"])
        assert len(self.events) == len(self.patches)
        return self

    def document(self, position: int) -> dict[str, Any]:
        """Return the state document after the first `position` events."""
        state: dict[str, Any] = {"run": {}, "steps": []}
        for operations in self.patches[:position]:
            for operation in operations:
                _apply(state, operation)
        return state


def _apply(state: dict[str, Any], operation: list[Any]) -> None:
    (*places, last), *value = copy.deepcopy(operation)
    assert (places, last) != ([], "steps")
    holder: Any = state
    for place in places:
        holder = holder[place]
    if not value:
        del holder[last]
    elif isinstance(holder, list):
        assert last <= len(holder), "steps come one after the other"
        holder[last : last + 1] = [value[0]]
    else:
        holder[last] = Asked(value[0]) if value[1:] == [1] else value[0]


class Asked(dict[str, Any]):
    """Stands in a document for a value that is fetched on demand: `key`, `bytes`, `head`."""
