"""For tests, yours and ours: a clock that stands still, counted ids, and a real server in this process."""

from __future__ import annotations

from ironflow_lab.testing.fakes import CountingIds, FakeClock
from ironflow_lab.testing.server import LocalServer

__all__ = ["CountingIds", "FakeClock", "LocalServer"]
