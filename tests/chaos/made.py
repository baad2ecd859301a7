"""What a run is made for, so that its outcome is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Made:
    """The end a run must come to. Steps are named by their ids without the run's: `charge:0`.

    `steps` are all it must have, and the status of each; `outputs` is what some of them must have come
    to; `corrected` what an operator puts in the place of their outputs; `children` the steps that start
    another run, and the number of each; `undone` the compensations, in the order in which they must run.
    """

    status: str = "completed"
    attempt: int = 1
    steps: Mapping[str, str]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    corrected: Mapping[str, Any] = field(default_factory=dict)
    children: Mapping[str, int] = field(default_factory=dict)
    undone: tuple[str, ...] = ()
