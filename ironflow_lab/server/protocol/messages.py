"""Request bodies to records: what is lenient by the protocol's rules, and what is refused with a reason."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models import events, functions
from ironflow_lab.wire import codec

# Far above any payload with a meaning, far below what exhausts a reader's stack.
DEEPEST = 256
_NESTED: dict[type[msgspec.Struct], dict[str, type[msgspec.Struct]]] = {
    functions.RegisterFunctionRequest: {
        "retry": functions.RetryConfig,
        "concurrency": functions.ConcurrencyConfig,
        "debounce": functions.DebounceConfig,
        "throttle": functions.ThrottleConfig,
        "circuitBreaker": functions.CircuitBreakerConfig,
        "circuit_breaker": functions.CircuitBreakerConfig,
        "cancelOn": functions.CancelOn,
        "cancel_on": functions.CancelOn,
    },
    events.TriggerBatchRequest: {"events": events.TriggerRequest},
}
# How a reader complains of a field of bytes that does not hold base64.
_BYTES = ("`bytes`", "base64")
# Fields that hold records; what lies below any other belongs to the user, nulls included.
_RECORDS = frozenset(
    {
        *("cancelOn", "circuitBreaker", "concurrency", "debounce", "error", "events", "jobs", "retry", "steps"),
        *("throttle", "triggers", "version", "yield"),
    }
)


def read(body: bytes, kind: type[Any]) -> Any:
    """Return the message; raises `InvalidArgumentError` for malformed JSON or a wrong type.

    Both spellings of a field are read (rpc.md section 2, rule 1), null stands for an absent field,
    and an empty body for an empty message.
    """
    text = body or b"{}"
    try:
        message = _decoded(text if kind is dict else _camel(text, kind), kind)
        if codec.is_deep(text, DEEPEST):
            raise RecursionError
    except msgspec.ValidationError as error:
        remedy = "; JSON text travels there in base64" if any(word in str(error) for word in _BYTES) else ""
        raise InvalidArgumentError(f"the message is not a {kind.__name__}: {error}{remedy}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise InvalidArgumentError(f"the body is nested more than {DEEPEST} levels deep; flatten it") from None
    return message


def _decoded(text: bytes, kind: type[Any]) -> Any:
    try:
        return codec.decode(text, kind)
    except msgspec.ValidationError:
        if b"null" not in text:
            raise
        return codec.decode(msgspec.json.encode(_without_nulls(msgspec.json.decode(text))), kind)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    given = ((name, item) for name, item in value.items() if item is not None)
    return {name: _without_nulls(item) if name in _RECORDS else item for name, item in given}


def _camel(body: bytes, kind: type[msgspec.Struct]) -> bytes:
    """Return the body with the snake_case spellings of this message's fields made camelCase."""
    if b"_" not in body or not any(name in body for name in _quoted(kind)):
        return body
    given = msgspec.json.decode(body)
    if not isinstance(given, dict):
        return body
    spelled, nested = _spellings(kind), _NESTED.get(kind, {})
    return msgspec.json.encode(
        {
            spelled.get(name, name): _renamed(value, _spellings(nested[name])) if name in nested else value
            for name, value in given.items()
        }
    )


def _renamed(value: Any, spelled: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, spelled) for item in value]
    return {spelled.get(key, key): item for key, item in value.items()} if isinstance(value, dict) else value


@cache
def _spellings(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {field.name: field.encode_name for field in msgspec.structs.fields(kind) if field.name != field.encode_name}


@cache
def _quoted(kind: type[msgspec.Struct]) -> tuple[bytes, ...]:
    kinds = (kind, *_NESTED.get(kind, {}).values())
    return tuple(b'"%s"' % name.encode() for one in kinds for name in _spellings(one))
