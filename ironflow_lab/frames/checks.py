"""What a check found, one row a run."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ironflow_lab.debug.verdict import VERDICTS, Verdict
from ironflow_lab.frames import schema
from ironflow_lab.frames.columns import Table
from ironflow_lab.frames.schema import Column
from ironflow_lab.models.runs import RunStatus

CHECKS = (
    Column(name="run_id", dtype=schema.TEXT, source="id"),
    Column(name="function_id", dtype=schema.TEXT, source="functionId", repeated=True),
    Column(name="status", dtype=schema.WORD, source="status", prefix=RunStatus.prefix, words=schema.RUN_STATUSES),
    Column(name="verdict", dtype=schema.WORD, source="how the replay compares", words=VERDICTS),
    Column(name="reason", dtype=schema.TEXT, source="why it diverges, or cannot be checked", repeated=True),
    Column(name="step", dtype=schema.TEXT, source="where it diverges, missing at the end", repeated=True),
    Column(name="became", dtype=schema.TEXT, source="the step's name now", repeated=True),
    Column(name="detail", dtype=schema.TEXT, source="in words, redacted"),
    Column(name="line", dtype=schema.NUMBER, source="in the code, missing where not known", zero_is_missing=True),
    Column(name="agreed", dtype=schema.NUMBER, source="step calls before it diverges"),
)


def check_frame(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return the verdicts in the order given, with `CHECKS` as columns."""
    table = Table(CHECKS)
    table.add(len(verdicts), {column.name: [getattr(one, column.name) for one in verdicts] for column in CHECKS})
    return table.frame()
