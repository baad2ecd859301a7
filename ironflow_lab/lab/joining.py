"""Joining a server, and starting and ending the embedded one."""

from __future__ import annotations

import os

from ironflow_lab import local
from ironflow_lab.client.config import Key, resolve
from ironflow_lab.lab.lab import Lab
from ironflow_lab.lab.line import Line
from ironflow_lab.lab.serving import resume
from ironflow_lab.lab.session import Session
from ironflow_lab.runtime import namespaces
from ironflow_lab.wire.duration import Duration, seconds

# What the magics use where no lab is named.
_last: list[Lab] = []


def connect(
    url: str | None = None,
    *,
    api_key: str | None = None,
    environment: str | None = None,
    guard: bool | None = None,
    namespace: str = "",
) -> Lab:
    """Return a lab joined to a server, and say what was joined.

    What is not given comes from `IRONFLOW_SERVER_URL`, `IRONFLOW_API_KEY` and `IRONFLOW_ENV`, then from
    the discovery file of a local server, then it is http://localhost:9123. `guard` refuses changes
    until they are allowed: by default on every server that is not on this machine.

    With a `namespace` the lab works beside whatever the server has: the ids of its functions, and the
    events and topics they and the lab name, begin with it on the server (`me.order.placed`), while the
    code goes on to say `order.placed`. Expressions (CEL) of triggers see the full names. Raises
    `DefinitionError` for a namespace that cannot be part of an id, and `UnavailableError` when no server
    answers there.
    """
    namespace = namespaces.check(namespace)
    # Bound anew: a traceback that prints local variables must not show the key.
    api_key = key = None if api_key is None else Key(api_key)
    return _joined(Session(resolve(url, key, environment), guard=guard, namespace=namespace))


def start(
    data_dir: str | os.PathLike[str] | None = None, *, port: int | None = None, wait: Duration = local.PATIENCE
) -> Lab:
    """Return a lab joined to the embedded server, started unless it runs for this data folder.

    The folder is the nearest `.ironflow`, else the project's. Without a `port` it is 9123 or the next
    free one. The server outlives the kernel and ends by `stop`. Raises `ServerStartError`, also when it does
    not answer within `wait` (seconds or "1m").
    """
    server = local.start(data_dir, port=port, wait=seconds(wait))
    session = Session(resolve(server.url, Key(""), ""), data_dir=server.data_dir)
    resume(session)
    return _joined(session, server.note)


def stop(data_dir: str | os.PathLike[str] | None = None, *, force: bool = False) -> bool:
    """End the embedded server of the data folder; return whether one ran.

    What it acknowledged is on disk, and its runs go on with the next start. Raises `ServerStartError`
    when it does not end; `force` kills it.
    """
    return local.stop(data_dir, force=force)


def current() -> Lab | None:
    """Return the lab that was joined last in this process, None before the first."""
    return _last[0] if _last else None


def _joined(session: Session, note: str = "") -> Lab:
    lab = Lab(session)
    _last[:] = [lab]
    first, *waiting = repr(lab).splitlines()
    shown = Line()
    shown.show("\n".join([first[1:-1] + (f" ({note})" if note else ""), *waiting]))
    shown.end()
    return lab
