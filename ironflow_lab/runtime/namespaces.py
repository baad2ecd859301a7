"""Names inside a namespace: what a trial calls its functions, events and topics on a shared server.

`me.order.placed` on the server is `order.placed` in the code, so that the same code serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironflow_lab.errors import DefinitionError
from ironflow_lab.wire import patterns

if TYPE_CHECKING:
    from ironflow_lab.runtime.function import DurableFunction

LONGEST = 60
# Events of the server itself begin with it.
_RESERVED = "system"


def check(namespace: object) -> str:
    """Return the namespace, "" for none; raises `DefinitionError` for what cannot be the first part of an id."""
    if namespace is None or namespace == "":
        return ""
    if not isinstance(namespace, str):
        raise DefinitionError(f"namespace must be text such as 'me', not {type(namespace).__name__}")
    fault = patterns.name_fault(namespace)
    if fault is None and len(namespace) > LONGEST:
        fault = f"it has {len(namespace)} characters, the limit is {LONGEST}"
    if fault is None and namespace.split(".")[0] == _RESERVED:
        fault = f"names that begin with {_RESERVED!r} are the server's own"
    if fault is not None:
        raise DefinitionError(f"{namespace!r:.80} cannot be a namespace: {fault}")
    return namespace


def inside(namespace: str, name: str) -> str:
    """Return a name or a pattern as the server knows it; one that is inside already stays as it is."""
    return f"{namespace}.{name}" if namespace and not name.startswith(f"{namespace}.") else name


def outside(namespace: str, name: str) -> str:
    """Return a name of the server as the code knows it; one of another namespace stays as it is."""
    return name.removeprefix(f"{namespace}.") if namespace else name


def id_of(namespace: str, function: str | DurableFunction) -> str:
    """Return the id a function has on the server when code of this namespace names it.

    A function object that was registered in another namespace keeps its own.
    """
    if isinstance(function, str):
        return inside(namespace, function)
    return function.id if function.namespace else inside(namespace, function.id)
