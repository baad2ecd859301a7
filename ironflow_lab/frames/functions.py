"""The frame of registered functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ironflow_lab.frames import schema
from ironflow_lab.frames.columns import Table
from ironflow_lab.models.functions import Function, RetryConfig
from ironflow_lab.wire import codec

_DEFAULT = RetryConfig()


def function_frame(functions: Sequence[Function]) -> pd.DataFrame:
    """Return the functions with `schema.FUNCTIONS` as columns."""
    retries = [function.retry or _DEFAULT for function in functions]
    timeouts = np.array([one.timeout_ms or "NaT" for one in functions], dtype="timedelta64[ms]")
    table = Table(schema.FUNCTIONS)
    table.add(
        len(functions),
        {
            "function_id": [one.id for one in functions],
            "name": [one.name for one in functions],
            "description": [one.description for one in functions],
            "status": [one.status for one in functions],
            "mode": [one.preferred_mode for one in functions],
            "triggers": [codec.encode(one.triggers) for one in functions],
            "max_attempts": [retry.max_attempts for retry in retries],
            "on_exhausted": [retry.on_exhausted for retry in retries],
            "timeout": timeouts.astype("timedelta64[ns]"),
            "recording": [one.recording for one in functions],
            "version": [one.version for one in functions],
            "created_at": [one.created_at for one in functions],
            "updated_at": [one.updated_at for one in functions],
        },
    )
    return table.frame()
