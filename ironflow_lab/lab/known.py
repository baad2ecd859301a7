"""Ids to offer while a line is written: asked for at once or not at all, and never an error."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import IronflowError
from ironflow_lab.runtime import namespaces

if TYPE_CHECKING:
    from ironflow_lab.lab.lab import Lab

# Seconds: whoever writes does not wait for it.
PATIENCE = 0.25
_MOST = 50


def run_ids(lab: Lab) -> tuple[str, ...]:
    """Return the ids of the newest runs, () when the server does not say within a quarter of a second."""

    async def ask(client: AsyncClient) -> tuple[str, ...]:
        return tuple(run.id for run in (await client.runs.list(limit=_MOST)).runs)

    return _asked(lab, ask)


def function_ids(lab: Lab) -> tuple[str, ...]:
    """Return the ids of functions as the lab names them, () when the server does not say in time."""
    naming = lab._session.naming

    async def ask(client: AsyncClient) -> tuple[str, ...]:
        found = (await client.functions.list(limit=_MOST)).functions
        return tuple(namespaces.outside(naming.namespace, one.id) for one in found if naming.owns(one.id))

    return _asked(lab, ask)


def _asked(lab: Lab, ask: Callable[[AsyncClient], Coroutine[Any, Any, tuple[str, ...]]]) -> tuple[str, ...]:
    try:
        return lab._session.call(ask, timeout=PATIENCE, patient=False)
    except IronflowError:
        return ()
