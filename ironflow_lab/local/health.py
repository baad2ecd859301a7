"""Asks whether a server answers at a loopback URL; no proxies, no retries."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from ironflow_lab.models.server import Health

TIMEOUT = 2.0
"""Seconds without an answer after which a server counts as not answering."""
_LARGEST = 64 << 10


def ask(url: str, *, timeout: float = TIMEOUT) -> Health | None:
    """Return what `GET /health` answers, or None when no server answers within `timeout` seconds."""
    status, body = get(url, "/health", timeout=timeout)
    if status != 200:
        return None
    try:
        told = msgspec.json.decode(body, type=Health)
    except msgspec.DecodeError:
        return None
    return told if told.status else None


def get(url: str, path: str, *, timeout: float) -> tuple[int, bytes]:
    """Return status and body (at most 64 kB) of a plain GET; (0, b"") when there is no answer."""
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(_LARGEST)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
