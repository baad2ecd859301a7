"""What an execution needs from outside: threads, time and a way to publish."""

from __future__ import annotations

from dataclasses import dataclass

from ironflow_lab.clock import Clock
from ironflow_lab.runtime.pool import DaemonPool
from ironflow_lab.runtime.publishing import Publish


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """`pool` runs bodies that may block, `threads` the branches of plain handlers."""

    pool: DaemonPool
    threads: DaemonPool
    clock: Clock
    publish: Publish
