"""Work that is done soon after it is asked for, in a thread of its own, however often it is asked for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("ironflow_lab.runtime")


class Ticker:
    """Calls `work` in a daemon thread `delay` seconds after the first `touch`, at most once in `gap` seconds.

    The thread starts with the first touch. Touching is cheap and never waits.
    """

    def __init__(self, name: str, work: Callable[[], None], *, delay: float, gap: float = 0.0) -> None:
        self._name = name
        self._work = work
        self._delay = delay
        self._gap = gap
        self._lock = threading.Lock()
        self._due = False
        self._wanted = threading.Event()
        self._hurried = threading.Event()
        self._thread: threading.Thread | None = None

    def touch(self) -> None:
        """Have the work done soon."""
        if not self._due:
            self._due = True
            self._begin()
            self._wanted.set()

    def hurry(self) -> None:
        """Have the work done without the delay, if it is due at all."""
        if self._due:
            self._hurried.set()

    def _begin(self) -> None:
        # A forked child has the object and not the thread.
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                    self._thread.start()

    def _serve(self) -> None:
        free_at = 0.0
        while True:
            self._wanted.wait()
            self._hurried.wait(max(self._delay, free_at - time.monotonic()))
            self._wanted.clear()
            self._hurried.clear()
            self._due = False
            try:
                self._work()
            except Exception as error:  # The thread serves whatever comes after it.
                log.error("the thread %s failed: %s", self._name, type(error).__name__, exc_info=error)
            free_at = time.monotonic() + self._gap
