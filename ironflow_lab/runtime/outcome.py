"""How one execution of a handler ended; the worker turns it into a report."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.workers import JobFault, Yield


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """The handler returned; `output` is JSON text."""

    output: msgspec.Raw


class Yielded(msgspec.Struct, frozen=True, kw_only=True):
    """The run waits for something."""

    wanted: Yield


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The handler raised, or returned what is not JSON."""

    fault: JobFault


Outcome = Completed | Yielded | Failed
