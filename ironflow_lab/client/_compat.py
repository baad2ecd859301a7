"""Where the two colours differ besides their keywords, under paired names (design D2)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ironflow_lab.errors import FailedPreconditionError

if TYPE_CHECKING:
    import asyncio

sleep = time.sleep


async def async_sleep(seconds: float) -> None:
    """Wait without blocking the loop."""
    import asyncio

    await asyncio.sleep(seconds)


class Home:
    """Where a sync client may be used: anywhere, from any thread."""

    def enter(self) -> None:
        """Do nothing."""


class AsyncHome:
    """The event loop an async client belongs to: that of its first call."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self) -> None:
        """Raise `FailedPreconditionError` in another loop, where open connections cannot be used."""
        import asyncio

        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise FailedPreconditionError(
                "this AsyncClient was first used in another event loop and its connections belong"
                " there; make one client per loop, or use Client, which works in any"
            )
