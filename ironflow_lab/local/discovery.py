"""The wire's discovery file `.ironflow/engine.json`: published by a server, repaired when stale.

The file of a different server that is alive is never overwritten.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import files, folders, health
from ironflow_lab.models.server import Health
from ironflow_lab.wire import discovery as wire


def path_here(folder: Path | None = None) -> Path | None:
    """Return where the tree of `folder`, by default the working directory, has its discovery file.

    None when the working directory no longer exists.
    """
    try:
        return folders.nearest(folder or folders.working_directory()) / wire.FILE
    except ServerStartError:
        return None


def read(path: Path) -> wire.Discovery | None:
    """Return what the file says, or None when there is none that is usable."""
    raw = files.read_limited(path, wire.LARGEST)
    return None if raw is None else wire.parse(raw)


def leads_to(found: wire.Discovery, answer: Health | None) -> bool:
    """Return whether the server that answered is the one the file was written by.

    A file of another engine names no instance: there any healthy answer counts.
    """
    return answer is not None and (not found.instance or found.instance == answer.instance)


def publish(path: Path | None, url: str, token: str) -> str:
    """Make the file lead to the live server with this URL and token.

    Returns "" or a note that says why it does not.
    """
    remedy = f"set IRONFLOW_SERVER_URL={url}"
    if path is None:
        return f"there is no working directory for a discovery file; {remedy}"
    found = read(path)
    if found is not None and (found.instance, found.url) == (token, url):
        return ""
    # Asking our own port would tell nothing, and would wait for the loop this runs on.
    elsewhere = found is not None and urlsplit(found.url).port != urlsplit(url).port
    if found is not None and elsewhere and leads_to(found, health.ask(found.url)):
        return f"{path} leads to another live server, {found.url}; for this one {remedy}"
    content = wire.Discovery(version=1, url=url, instance=token)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        files.write_private(path, wire.write(content))
    except OSError as problem:
        return f"{path} could not be written ({problem.strerror}); {remedy}"
    return ""


def withdraw(path: Path | None, token: str) -> None:
    """Remove the file if it leads to the server with this token."""
    found = None if path is None else read(path)
    if path is not None and found is not None and found.instance == token:
        files.remove(path)
