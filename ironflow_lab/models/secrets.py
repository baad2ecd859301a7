"""Secrets over REST (rest.md section 4, Secrets): plain snake_case JSON. No answer ever holds a value."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import NOT_SET

_STARS = "***"


class Hidden(str):
    """A text that no representation shows, not even a traceback that prints local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return stars for a text, so that "none" can be told from "some"."""
        return f"'{_STARS}'" if self else "''"


class SecretInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What can be known of a secret; `revision` counts its values."""

    name: str
    revision: int = 1
    description: str = ""
    created_at: Instant = NOT_SET
    updated_at: Instant = NOT_SET


class CreateSecretRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Keep a new secret."""

    name: str = ""
    value: str = ""
    description: str = ""

    def __repr__(self) -> str:
        """Return everything but the value."""
        return _shown(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return everything but the value, for rich's printer."""
        return _fields(self)


class UpdateSecretRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Set a new value; a description of None leaves the one there is."""

    value: str = ""
    description: str | None = None

    def __repr__(self) -> str:
        """Return everything but the value."""
        return _shown(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return everything but the value, for rich's printer."""
        return _fields(self)


class PatchSecretRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rename a secret or describe it anew; None leaves what there is."""

    name: str | None = None
    description: str | None = None


def _fields(record: msgspec.Struct) -> list[tuple[str, Any]]:
    given = ((name, getattr(record, name)) for name in record.__struct_fields__)
    return [(name, Hidden(value) if name == "value" else value) for name, value in given]


def _shown(record: msgspec.Struct) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in _fields(record))
    return f"{type(record).__name__}({fields})"
