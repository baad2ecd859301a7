"""Secrets: kept by name and written only; functions that declare them get them with the job (engine.md section 21)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.secrets import Hidden, SecretInfo
from ironflow_lab.server.engine.commands import CreateSecret, DeleteSecret, PatchSecret, UpdateSecret
from ironflow_lab.server.engine.outcome import Outcome, Write

LARGEST_VALUE = 64 * 1024
LONGEST_DESCRIPTION = 2_000
# A list of them has no pages.
MOST_SECRETS = 1_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


class SecretState(msgspec.Struct, frozen=True, kw_only=True):
    """A secret without its value: no decision looks at that."""

    name: str
    revision: int
    description: str
    created_at: int
    updated_at: int


class KeptSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """The secret a command names, how many there are, and whether the name it is to get is another's."""

    found: SecretState | None = None
    count: int = 0
    taken: bool = False


def create(state: KeptSecrets, command: CreateSecret, now: int, ids: Ids) -> Outcome:
    """Keep a new secret; raises `AlreadyExistsError` for a name that has one."""
    given = command.request
    check_name(given.name)
    _check_value(given.name, given.value)
    _check_description(given.name, given.description)
    if state.found is not None:
        raise AlreadyExistsError(f"a secret {given.name!r} is kept already; update it, or choose another name")
    if state.count >= MOST_SECRETS:
        raise FailedPreconditionError(f"{state.count:,} secrets are kept already, the most there can be; delete some")
    kept = SecretState(name=given.name, revision=1, description=given.description, created_at=now, updated_at=now)
    row = {**_row(kept, command.env), "value": Hidden(given.value), "created_at": now}
    return Outcome(describe(kept), (Write("insert_secret", row),))


def update(state: KeptSecrets, command: UpdateSecret, now: int, ids: Ids) -> Outcome:
    """Set a new value, which is a new revision; raises `NotFoundError`."""
    found, given = _found(state, command.name), command.request
    _check_value(command.name, given.value)
    described = found.description if given.description is None else given.description
    _check_description(command.name, described)
    kept = _next(found, now, revision=found.revision + 1, description=described)
    return Outcome(describe(kept), (Write("renew_secret", {**_row(kept, command.env), "value": Hidden(given.value)}),))


def patch(state: KeptSecrets, command: PatchSecret, now: int, ids: Ids) -> Outcome:
    """Rename a secret or describe it anew; its value and revision stay. Raises `NotFoundError`."""
    found, given = _found(state, command.name), command.request
    if given.name is None and given.description is None:
        raise InvalidArgumentError(
            f"nothing is to change of secret {command.name!r}: give a name or a description; update sets a new value"
        )
    name = found.name if given.name is None else given.name
    described = found.description if given.description is None else given.description
    check_name(name)
    _check_description(command.name, described)
    if state.taken:
        raise AlreadyExistsError(f"a secret {name!r} is kept already; choose another name for {command.name!r}")
    if (name, described) == (found.name, found.description):
        return Outcome(describe(found))
    kept = _next(found, now, name=name, description=described)
    return Outcome(describe(kept), (Write("describe_secret", {**_row(kept, command.env), "former": found.name}),))


def delete(state: KeptSecrets, command: DeleteSecret, now: int, ids: Ids) -> Outcome:
    """Forget a secret; functions that declare it go on without. Raises `NotFoundError`."""
    found = _found(state, command.name)
    return Outcome({}, (Write("delete_secret", {"env": command.env, "name": found.name}),))


def describe(state: SecretState) -> SecretInfo:
    """Return the secret as clients see it."""
    return SecretInfo(
        name=state.name,
        revision=state.revision,
        description=state.description,
        created_at=Instant(state.created_at),
        updated_at=Instant(state.updated_at),
    )


def check_name(name: str) -> None:
    """Raise `InvalidArgumentError` for a text that names no secret."""
    if _NAME.fullmatch(name) is None:
        raise InvalidArgumentError(
            f"{name!r:.300} cannot name a secret: 1 to 255 letters a to z, digits, '_' and '-', such as STRIPE_KEY"
        )


def unknown(name: str) -> NotFoundError:
    """Return the error for a name that has no secret."""
    return NotFoundError(f"no secret {name!r:.300} is kept in this environment")


def _found(state: KeptSecrets, name: str) -> SecretState:
    if state.found is None:
        raise unknown(name)
    return state.found


def _next(state: SecretState, now: int, **changes: Any) -> SecretState:
    return msgspec.structs.replace(state, updated_at=max(now, state.updated_at + 1), **changes)


def _row(state: SecretState, env: str) -> dict[str, Any]:
    return {
        "env": env,
        "name": state.name,
        "revision": state.revision,
        "description": state.description,
        "updated_at": state.updated_at,
    }


def _check_value(name: str, value: str) -> None:
    size = len(value.encode())
    if not size:
        raise InvalidArgumentError(f"secret {name!r:.300} needs a value that is not empty")
    if size > LARGEST_VALUE:
        raise InvalidArgumentError(
            f"the value of a secret has at most {LARGEST_VALUE:,} bytes, and that of {name!r:.300} has {size:,}"
        )


def _check_description(name: str, description: str) -> None:
    if len(description) > LONGEST_DESCRIPTION:
        raise InvalidArgumentError(
            f"the description of a secret has at most {LONGEST_DESCRIPTION:,} characters, and that of"
            f" {name!r:.300} has {len(description):,}"
        )
