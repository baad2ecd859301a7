"""Finds, starts, repairs and stops the embedded server, which is always a process of its own."""

from ironflow_lab.local.finding import Local, find
from ironflow_lab.local.starting import PATIENCE, start
from ironflow_lab.local.stopping import stop

__all__ = ["PATIENCE", "Local", "find", "start", "stop"]
