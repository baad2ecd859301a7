"""Ends a server whose owner or data folder is gone: a thread that looks once a second."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable

_PERIOD = 1.0


class Owner:
    """The process a server ends with; 0 means none.

    Where the system has process descriptors they are used: a number can be reused, and a process
    nobody has waited for still has one.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._gone = False
        self._poll: select.poll | None = None
        if pid and hasattr(os, "pidfd_open"):
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self._gone = True
                return
            except OSError:
                return
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLIN)

    def is_gone(self) -> bool:
        """Return whether the owner has ended."""
        if self._poll is not None and not self._gone:
            self._gone = bool(self._poll.poll(0))
        elif self._pid and not self._gone:
            self._gone = not is_alive(self._pid)
        return self._gone


def is_alive(pid: int) -> bool:
    """Return whether a process has this number (one that has ended but was not waited for does)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def start(conditions: dict[str, Callable[[], bool]], say: Callable[[str], None]) -> threading.Thread:
    """Start and return a daemon thread that sends this process SIGTERM once a condition holds.

    `conditions` maps what to `say` then to the condition.
    """
    thread = threading.Thread(
        target=_watch, args=(conditions, say, threading.Event()), name="ironflow-watch", daemon=True
    )
    thread.start()
    return thread


def _watch(conditions: dict[str, Callable[[], bool]], say: Callable[[str], None], period: threading.Event) -> None:
    while True:
        for reason, holds in conditions.items():
            if holds():
                with contextlib.suppress(OSError, ValueError):
                    say(reason)
                os.kill(os.getpid(), signal.SIGTERM)
                return
        period.wait(_PERIOD)
