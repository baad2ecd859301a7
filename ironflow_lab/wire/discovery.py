"""The discovery file `.ironflow/engine.json` (conventions.md section 1): what it says, and whether to trust it."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import msgspec

LARGEST = 64 * 1024
FOLDER = ".ironflow"
FILE = "engine.json"


class Discovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a local server listens; `instance` is the embedded server's start token, absent elsewhere.

    The key shows in no representation.
    """

    version: int
    url: str
    api_key: str = ""
    environment: str = ""
    instance: str = ""

    def __repr__(self) -> str:
        """Return a form without the key."""
        return f"Discovery(url={self.url!r}, environment={self.environment!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the fields without the key, for rich's printer."""
        return [("url", self.url), ("environment", self.environment)]


def parse(raw: bytes) -> Discovery | None:
    """Return the file's content, or None when it is not a usable version-1 file of a loopback server."""
    if len(raw) > LARGEST:
        return None
    try:
        found = msgspec.json.decode(raw, type=Discovery)
    except msgspec.DecodeError:
        return None
    return found if found.version == 1 and _is_local_http(found.url) else None


def write(found: Discovery) -> bytes:
    """Return the file's bytes; `version` is always written."""
    return msgspec.json.encode({"version": found.version, **msgspec.structs.asdict(found)})


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is `localhost` or a loopback address."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_local_http(url: str) -> bool:
    if not url.startswith("http://") or not is_loopback(url):
        return False
    parts = urlsplit(url)
    try:
        return parts.port != 0 and parts.username is None and parts.path in ("", "/")
    except ValueError:
        return False
