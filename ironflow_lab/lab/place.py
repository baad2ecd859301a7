"""Where a session keeps what has to survive the kernel, and what it calls the server there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ironflow_lab import local
from ironflow_lab.lab.session import Session
from ironflow_lab.local import folders
from ironflow_lab.wire.discovery import is_loopback


def place(session: Session) -> tuple[Path, str]:
    """Return the data folder and the server's name in it: "" for the folder's own embedded server.

    The embedded server keeps its name when it comes back at another port.
    """
    if session.data_dir is not None:
        return session.data_dir, ""
    folder = folders.locate(None)
    if session.scope is not None:
        return folder, session.scope
    if is_loopback(session.server_url):
        embedded = local.find()
        if embedded is not None and embedded.url == session.server_url:
            return embedded.data_dir, ""
    environment = f"+{session.joined.environment}" if session.joined.environment else ""
    return folder, urlsplit(session.server_url).netloc + environment
