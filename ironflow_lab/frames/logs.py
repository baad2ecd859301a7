"""The frame of what runs printed, logged and displayed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ironflow_lab.frames import schema
from ironflow_lab.frames.columns import Table
from ironflow_lab.models.instant import Instant
from ironflow_lab.runtime.logs import LogLine

_FIELDS = tuple(column.name for column in schema.LOGS if column.name != "at")


def log_frame(lines: Sequence[LogLine]) -> pd.DataFrame:
    """Return the lines with `schema.LOGS` as columns."""
    table = Table(schema.LOGS)
    page: dict[str, object] = {name: [getattr(line, name) for line in lines] for name in _FIELDS}
    table.add(len(lines), {"at": [Instant(line.at) for line in lines], **page})
    return table.frame()
