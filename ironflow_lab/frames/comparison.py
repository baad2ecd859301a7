"""Frames of what two runs, or two groups of runs, have in common and what not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from ironflow_lab.frames import schema, times
from ironflow_lab.frames.columns import Table
from ironflow_lab.frames.schema import Column
from ironflow_lab.history import align, redaction
from ironflow_lab.history.acts import Act, exact
from ironflow_lab.history.align import Pair
from ironflow_lab.history.paths import path_text
from ironflow_lab.history.shared import KINDS, Difference
from ironflow_lab.history.values import json_text

_MOST_PATHS = 10
_NOTHING = Act(label="", name="")


def _sides(name: str, dtype: str, source: str, **more: Any) -> tuple[Column, Column]:
    both = (Column(name=f"{name}_{side}", dtype=dtype, source=f"{source} of {side}", **more) for side in "ab")
    return (next(both), next(both))


# The steps of two runs, paired; what one run lacks is missing there.
COMPARISON = (
    Column(name="step", dtype=schema.TEXT, source="the label in a, or in b"),
    Column(name="kind", dtype=schema.WORD, source="how the two correspond", words=align.KINDS),
    Column(name="differs", dtype=schema.TEXT, source="what is not the same"),
    Column(name="paths", dtype=schema.TEXT, source="where the outputs differ, at most 10 places"),
    *_sides("output", schema.JSON, "output"),
    *_sides("status", schema.WORD, "status", words=schema.STEP_STATUSES),
    *_sides("error", schema.TEXT, "error.code, error.message"),
    *_sides("tries", schema.NUMBER, "how often it was executed", zero_is_missing=True),
    *_sides("duration", schema.SPAN, "endedAt - startedAt"),
    *_sides("label", schema.TEXT, "label"),
    Column(name="given_known", dtype=schema.FLAG, source="whether what it was called with is recorded"),
)
# What runs of one group have that those of the other lack; counts are of runs of which it is known.
SHARED = (
    Column(name="fact", dtype=schema.TEXT, source="what is so, in words"),
    Column(name="kind", dtype=schema.WORD, source="what it is a fact of", words=KINDS),
    Column(name="place", dtype=schema.TEXT, source="path in the run"),
    Column(name="test", dtype=schema.TEXT, source="=, !=, >, <=, present, absent", repeated=True),
    Column(name="value", dtype=schema.JSON, source="what it is compared with"),
    Column(name="with_it", dtype=schema.NUMBER, source="runs of the group that have it"),
    Column(name="of", dtype=schema.NUMBER, source="runs of the group of which it is known"),
    Column(name="others_with_it", dtype=schema.NUMBER, source="other runs that have it"),
    Column(name="of_others", dtype=schema.NUMBER, source="other runs of which it is known"),
    Column(name="score", dtype=schema.REAL, source="share in the group - share in the others"),
    Column(name="chance", dtype=schema.REAL, source="Fisher's exact test, corrected for all that was looked at"),
    Column(name="sure", dtype=schema.FLAG, source="chance below 0.05"),
    Column(name="also", dtype=schema.TEXT, source="other facts of exactly the same runs"),
)


def comparison_frame(pairs: Sequence[Pair]) -> pd.DataFrame:
    """Return the pairs in the order given, with `COMPARISON` as columns."""
    table = Table(COMPARISON)
    page: dict[str, Any] = {
        "step": [pair.label for pair in pairs],
        "kind": [pair.kind for pair in pairs],
        "differs": [", ".join(pair.differs) for pair in pairs],
        "paths": [_paths(pair) for pair in pairs],
        "given_known": [pair.given_known for pair in pairs],
    }
    for side in ("a", "b"):
        acts = [getattr(pair, side) or _NOTHING for pair in pairs]
        started = times.from_instants([act.started_at for act in acts])
        ended = times.from_instants([act.ended_at for act in acts])
        page |= {
            f"output_{side}": [None if act.output is msgspec.UNSET else exact(act.output) for act in acts],
            f"status_{side}": [act.status for act in acts],
            f"error_{side}": [_error(act) for act in acts],
            f"tries_{side}": [0 if act is _NOTHING else act.tries for act in acts],
            f"duration_{side}": ended - started if acts else np.empty(0, dtype="timedelta64[ns]"),
            f"label_{side}": [act.label for act in acts],
        }
    table.add(len(pairs), page)
    return table.frame()


def shared_frame(found: Sequence[Difference]) -> pd.DataFrame:
    """Return the differences of two groups in the order given, with `SHARED` as columns.

    A value whose own place is a secret-looking key is `[redacted]`.
    """
    table = Table(SHARED)
    table.add(
        len(found),
        {
            "fact": [one.words() for one in found],
            "kind": [one.fact.kind for one in found],
            "place": [one.fact.place() for one in found],
            "test": [one.fact.test for one in found],
            "value": [_value(one) for one in found],
            "with_it": [one.has for one in found],
            "of": [one.known for one in found],
            "others_with_it": [one.others_have for one in found],
            "of_others": [one.others_known for one in found],
            "score": [one.score for one in found],
            "chance": [one.chance for one in found],
            "sure": [one.sure for one in found],
            "also": ["; ".join(other.words() for other in one.also) for one in found],
        },
    )
    return table.frame()


def _value(one: Difference) -> bytes | None:
    if one.fact.value is msgspec.UNSET:
        return None
    return json_text(redaction.HIDDEN if one.fact.secret else one.fact.value)


def _paths(pair: Pair) -> str:
    found = pair.changes()
    told = [redaction.clip(path_text(one.path), limit=200) or "(all of it)" for one in found[:_MOST_PATHS]]
    return ", ".join(told) + (f", and {len(found) - _MOST_PATHS:,} more" if len(found) > _MOST_PATHS else "")


def _error(act: Act) -> str:
    if act.error is None:
        return ""
    return ": ".join(text for text in (act.error.code, act.error.message) if text)
