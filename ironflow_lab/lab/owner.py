"""Whose a function is: what a lab registers is not taken over by chance (design D10)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ironflow_lab.client import Client
from ironflow_lab.errors import DefinitionError, NotFoundError
from ironflow_lab.lab.guard import Guard
from ironflow_lab.models.functions import Function
from ironflow_lab.runtime import identity
from ironflow_lab.runtime.enrolment import OWNER

_REMEDY = (
    "Choose another id, join with il.connect(namespace='me') to work beside it, or wrap the definition in"
    " `with lab.allow(take_over=True):` to replace it"
)


def check(client: Client, guard: Guard, function_id: str, *, data_folder: Path) -> None:
    """Return if this process may register the function; raises `DefinitionError` that names the remedy.

    A push function is never taken over. On a guarded server a function must be new, or registered under
    the identity of a worker of this process; elsewhere it is refused only while its owner's process is
    alive.
    """
    try:
        found = client.functions.get(function_id)
    except NotFoundError:
        return
    if found.preferred_mode == "push":
        raise DefinitionError(
            f"{function_id!r} is a push function of this server, called at {found.endpoint_url}; serving it"
            " from here would take it over. Choose another id"
        )
    if guard.takes_over or identity.is_own(owner_of(found)):
        return
    if guard.on:
        raise DefinitionError(f"{function_id!r} exists on this server and {_whose(found)}. {_REMEDY}")
    if identity.is_live(data_folder, owner_of(found)):
        raise DefinitionError(
            f"{function_id!r} belongs to another notebook or script that is running now; stop that one's"
            f" kernel to take it over. {_REMEDY}"
        )


def owner_of(function: Function) -> str:
    """Return the mark of the lab that registered the function, "" when none did."""
    mark: Any = (function.metadata or {}).get(OWNER)
    return mark if isinstance(mark, str) else ""


def _whose(function: Function) -> str:
    return "belongs to another notebook or script" if owner_of(function) else "was not registered by a lab"
