"""The discovery file `.ironflow/engine.json` (conventions.md section 1): what it says, and whether to trust it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import msgspec

LARGEST = 64 * 1024
FOLDER = ".ironflow"
FILE = "engine.json"


class Discovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a local server listens."""

    version: int
    url: str
    api_key: str = ""
    environment: str = ""


def parse(raw: bytes) -> Discovery | None:
    """Return the file's content, or None when it is not a usable version-1 file of a loopback server."""
    if len(raw) > LARGEST:
        return None
    try:
        found = msgspec.json.decode(raw, type=Discovery)
    except msgspec.DecodeError:
        return None
    usable = found.version == 1 and found.url.startswith("http://") and is_loopback(found.url)
    return found if usable else None


def write(found: Discovery) -> bytes:
    """Return the file's bytes; `version` is always written."""
    return msgspec.json.encode({"version": found.version, **msgspec.structs.asdict(found)})


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is `localhost` or a loopback address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
