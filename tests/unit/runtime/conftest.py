"""A worker on a fake server, stopped when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.unit.runtime.rig import Rig


@pytest.fixture
async def make_rig() -> AsyncIterator[Callable[..., Rig]]:
    """What makes rigs; every worker it made is stopped."""
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        made.append(Rig(**options))
        return made[-1]

    yield make
    for rig in made:
        await rig.worker.drain(0)


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """One rig with the reference's rules."""
    return make_rig()
