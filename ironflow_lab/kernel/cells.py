"""What is to happen once the cell that is being executed has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ironflow_lab.kernel.session import shell

log = logging.getLogger("ironflow_lab.kernel")

_waiting: list[Callable[[], None]] = []


def after_cell(call: Callable[[], None]) -> None:
    """Have `call` run once the running cell has ended, at once outside a kernel; it must not take long.

    The same one is called once a cell, however often it was given. An error of it is logged.
    """
    running = shell()
    if running is None:
        call()
        return
    if not _waiting:
        running.events.register("post_run_cell", _ended)
    if call not in _waiting:
        _waiting.append(call)


def _ended(*_: object) -> None:
    running = shell()
    if running is not None:
        running.events.unregister("post_run_cell", _ended)
    calls, _waiting[:] = list(_waiting), []
    for call in calls:
        try:
            call()
        except Exception:
            log.exception("what was to happen after the cell failed")
