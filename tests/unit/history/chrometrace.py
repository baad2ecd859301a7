"""The rules of Chrome's trace event format, as far as a reader of a run's trace relies on them."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

PHASES = {"M", "X", "i", "s", "f"}


def check(text: str) -> dict[str, Any]:
    """Return the trace; fails where it breaks a rule of the format."""
    document: dict[str, Any] = json.loads(text)
    assert document["displayTimeUnit"] in ("ms", "ns")
    named: set[tuple[int, int]] = set()
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    arrows: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    processes: dict[int, set[int]] = defaultdict(set)
    for event in document["traceEvents"]:
        assert event["ph"] in PHASES
        assert isinstance(event["name"], str) and event["name"]
        assert isinstance(event["pid"], int) and event["pid"] > 0
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "process_sort_index", "thread_name", "thread_sort_index")
            if event["name"] == "thread_name":
                named.add((event["pid"], event["tid"]))
            continue
        assert isinstance(event["tid"], int) and event["tid"] > 0
        assert isinstance(event["ts"], int | float) and event["ts"] >= 0
        assert isinstance(event["cat"], str) and event["cat"]
        assert isinstance(event.get("args", {}), dict)
        place = event["pid"], event["tid"]
        processes[event["tid"]].add(event["pid"])
        assert place in named, "every track has a name, told before it is used"
        if event["ph"] == "X":
            assert isinstance(event["dur"], int | float) and event["dur"] >= 0
            tracks[place].append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "i":
            assert event["s"] in ("t", "p", "g")
        else:
            assert event["ph"] not in arrows[event["id"]], "an arrow has one end of each kind"
            assert event["ph"] == "s" or event["bp"] == "e"
            arrows[event["id"]][event["ph"]] = event
    for spans in tracks.values():
        ordered = sorted(spans)
        for (_, end), (start, _) in pairwise(ordered):
            assert start >= end - 1e-3, "nothing on a track overlaps"
    for both in arrows.values():
        assert both["s"]["ts"] <= both["f"]["ts"], "an arrow goes forward in time"
        for one in both.values():
            inside = [a <= one["ts"] <= b for a, b in tracks[one["pid"], one["tid"]]]
            assert any(inside), "an arrow begins and ends in a stretch of time"
    assert all(len(of) == 1 for of in processes.values()), "no two processes share a track's id"
    return document
