"""Many events, some in flight at once, each with a key that makes sending it again harmless."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ironflow_lab.errors import (
    ApiError,
    DeadlineExceededError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from ironflow_lab.lab.bounded import each
from ironflow_lab.wire import codec

if TYPE_CHECKING:
    from ironflow_lab.client import AsyncClient

IN_FLIGHT = 16
# After one of these the next row would fare no better.
_HOPELESS = (
    DeadlineExceededError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one row: accepted with the runs it started, or refused with `error`."""

    position: int
    event_id: str = ""
    run_ids: tuple[str, ...] = ()
    error: ApiError | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one name to send; `keys` has an idempotency key a row."""

    event: str
    rows: tuple[Any, ...]
    keys: tuple[str, ...]
    version: int = 0
    metadata: dict[str, Any] | None = None


def digests(event: str, rows: Sequence[Any]) -> list[str]:
    """Return a fingerprint a row that is the same whenever the same row of the same event is sent.

    Equal rows are told apart by how many came before, so that each is sent, and whole frames may be
    reordered or grow without changing what a row is called.
    """
    seen: dict[str, int] = {}
    found = []
    for row in rows:
        text = hashlib.sha256(event.encode() + b"\0" + codec.encode(row)).hexdigest()[:32]
        nth = seen.get(text, 0)
        seen[text] = nth + 1
        found.append(f"{text}:{nth}")
    return found


async def send(client: AsyncClient, batch: Batch, sent: list[Sent], told: Callable[[], None]) -> None:
    """Emit every row of the batch, 16 at a time, and put one `Sent` a row into `sent`.

    A refused row does not stop the others, except when the server cannot be reached or refuses the
    caller: then the rest is marked with the same error, unsent. `told` is called after each row.
    Cancelling leaves in `sent` what was answered until then.
    """
    halted: list[ApiError] = []

    async def emit(position: int) -> None:
        one = Sent(position=position, error=halted[0]) if halted else await _emit(client, batch, position)
        if isinstance(one.error, _HOPELESS):
            halted.append(one.error)
        sent.append(one)
        told()

    await each(emit, range(len(batch.rows)), in_flight=IN_FLIGHT)


async def _emit(client: AsyncClient, batch: Batch, position: int) -> Sent:
    try:
        answer = await client.events.emit(
            batch.event,
            batch.rows[position],
            idempotency_key=batch.keys[position],
            version=batch.version,
            metadata=batch.metadata,
        )
    except ApiError as error:
        return Sent(position=position, error=error)
    return Sent(position=position, event_id=answer.event_id, run_ids=answer.run_ids)
