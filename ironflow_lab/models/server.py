"""What a server says of itself (rest.md section 3)."""

from __future__ import annotations

import msgspec


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /health`; `instance` is the embedded server's start token and absent elsewhere."""

    status: str = ""
    timestamp: str = ""
    version: str = ""
    warnings: tuple[str, ...] = ()
    instance: str = ""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /ready`; `issues` names what is not ready."""

    status: str = ""
    issues: dict[str, str] = {}
    warnings: dict[str, str] = {}


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /api/v1/capabilities`; `lab` lists the extra routes under /lab/v1 this server has."""

    transports: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    version: str = ""
    auth_required: bool = False
    lab: tuple[str, ...] = ()
