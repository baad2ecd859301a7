"""The binary Connect codec (design D14): one adapter for every procedure, driven by the descriptors.

A binary call is a JSON call whose bodies were translated, so both codecs mean the same by construction.
Numbers inside payloads are doubles in binary messages: integers beyond 2^53 are rounded there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ironflow_lab.errors import FailedPreconditionError, InvalidArgumentError
from ironflow_lab.server.protocol import pb
from ironflow_lab.server.protocol.mapping import plan

# What takes longer than a few milliseconds leaves the event loop to others.
_SMALL = 32 * 1024


async def to_json(procedure: str, body: bytes) -> bytes:
    """Return the JSON of a binary request as `read` does, without holding the event loop up."""
    return await _beside(read, procedure, body)


async def to_binary(procedure: str, text: bytes) -> bytes:
    """Return the binary answer for its JSON as `write` does, without holding the event loop up."""
    return await _beside(write, procedure, text)


def read(procedure: str, body: bytes) -> bytes:
    """Return the JSON of a binary request; unknown fields are ignored.

    Raises `InvalidArgumentError` for malformed bytes and for numbers and times that JSON does not have.
    """
    from google.protobuf.message import DecodeError

    kind = pb.methods()[procedure].request
    name = kind.DESCRIPTOR.name
    try:
        return msgspec.json.encode(plan(kind.DESCRIPTOR).read(kind.FromString(body)))
    except DecodeError:
        raise InvalidArgumentError(
            f"the body is not a {name} in binary protobuf: its bytes are malformed, or nested more than the 100"
            " levels of a binary message (an object in a payload takes three); send what nests deeper as JSON"
        ) from None
    except ValueError as error:
        raise InvalidArgumentError(f"the message is not a {name}: {error}") from None


def write(procedure: str, text: bytes) -> bytes:
    """Return the binary answer for its JSON, payloads of any depth included.

    Raises `FailedPreconditionError` for an integer that no double comes near.
    """
    message = pb.methods()[procedure].response()
    try:
        plan(message.DESCRIPTOR).fill(message, msgspec.json.decode(text))
    except OverflowError:
        raise FailedPreconditionError(
            "the call was done, but its answer holds a number too large for a double: ask for it as JSON"
            " (Content-Type: application/json)"
        ) from None
    body: bytes = message.SerializeToString()
    return body


async def _beside(work: Callable[[str, bytes], bytes], procedure: str, given: bytes) -> bytes:
    # The first call imports protobuf, which takes as long as a large message.
    if len(given) <= _SMALL and pb.methods.cache_info().currsize:
        return work(procedure, given)
    return await asyncio.to_thread(work, procedure, given)
