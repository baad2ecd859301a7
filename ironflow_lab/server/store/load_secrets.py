"""Loading what commands about secrets are decided on, and the values that go with a job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from ironflow_lab.models.secrets import SecretInfo
from ironflow_lab.models.workers import JobContext
from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.secrets import KeptSecrets, SecretState, describe, unknown
from ironflow_lab.server.store import queries

_SQL = queries.load("secrets")


def handed_out(db: sqlite3.Connection, env: str, names: tuple[str, ...]) -> JobContext:
    """Return the values of the named secrets; those that are not kept are left out."""
    asked = {"env": env, "names": msgspec.json.encode(names).decode()}
    return JobContext(secrets=dict(db.execute(_SQL["values"], asked).fetchall()))


def one(db: sqlite3.Connection, env: str, name: str) -> SecretInfo:
    """Return what is known of a secret; raises `NotFoundError`."""
    found = _secret(db, env, name)
    if found is None:
        raise unknown(name)
    return describe(found)


def listed(db: sqlite3.Connection, env: str) -> tuple[SecretInfo, ...]:
    """Return what is known of every secret, by name."""
    return tuple(describe(_secret_of(row)) for row in db.execute(_SQL["secrets"], {"env": env}))


def _secret(db: sqlite3.Connection, env: str, name: str) -> SecretState | None:
    row = db.execute(_SQL["secret"], {"env": env, "name": name}).fetchone()
    return None if row is None else _secret_of(row)


def _secret_of(row: tuple[Any, ...]) -> SecretState:
    return SecretState(name=row[0], revision=row[1], description=row[2], created_at=row[3], updated_at=row[4])


def _created(db: sqlite3.Connection, command: commands.CreateSecret, now: int) -> KeptSecrets:
    (count,) = db.execute(_SQL["count"], {"env": command.env}).fetchone()
    return KeptSecrets(found=_secret(db, command.env, command.request.name), count=count)


def _named(db: sqlite3.Connection, command: commands.UpdateSecret | commands.DeleteSecret, now: int) -> KeptSecrets:
    return KeptSecrets(found=_secret(db, command.env, command.name))


def _patched(db: sqlite3.Connection, command: commands.PatchSecret, now: int) -> KeptSecrets:
    name = command.request.name
    taken = name is not None and name != command.name and _secret(db, command.env, name) is not None
    return KeptSecrets(found=_secret(db, command.env, command.name), taken=taken)


LOADS: dict[type, Callable[[sqlite3.Connection, Any, int], Any]] = {
    commands.CreateSecret: _created,
    commands.UpdateSecret: _named,
    commands.PatchSecret: _patched,
    commands.DeleteSecret: _named,
}
