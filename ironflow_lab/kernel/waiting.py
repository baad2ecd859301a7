"""Waiting that the stop button can end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

# The kernel delivers an interrupt to a top-level await only when its loop next wakes up.
HEARTBEAT = 0.05


async def friendly(waited: Awaitable[T]) -> T:
    """Return what `waited` gives, for a top-level await; the stop button cancels it within 0.1 s."""
    task = asyncio.ensure_future(waited)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=HEARTBEAT)
        return task.result()
    finally:
        task.cancel()
