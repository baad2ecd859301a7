"""Typed event data: a function's schema reads it, or says what is wrong with it without telling the data."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from ironflow_lab.errors import DefinitionError, NonRetryableError

VALIDATION_ERROR = "VALIDATION_ERROR"
LONGEST_FAULT = 500
_KINDS = "a dataclass, a msgspec.Struct, a pydantic model or a TypedDict"
_FOUND = {bool: "bool", int: "int", float: "float", str: "str", list: "array", dict: "object", type(None): "null"}
_AT = re.compile(r" - at `(?P<key>key` in `)?(?P<path>[^`]*)`$")
_GOT = re.compile(r"Expected `(?P<expected>[^`]*)`, got `(?P<found>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`$")
# These tell a value or a key of the data.
_VALUE = re.compile(r"Invalid (?:enum )?value ")
_UNKNOWN = re.compile(r"Object contains unknown field ")
_TAG = "union_tag_invalid"


class Mismatch(Exception):
    """Data is not what the schema says; its text names the path, what was expected and what was found."""


class Schema:
    """A type that event data has to have; `name` is its name for people."""

    __slots__ = ("_read", "kind", "name")

    def __init__(self, kind: Any, read: Callable[[bytes], Any]) -> None:
        self.kind = kind
        self.name = _name(kind)
        self._read = read

    def read(self, data: Any) -> Any:
        """Return JSON data as the type; raises `Mismatch`."""
        try:
            text = msgspec.json.encode(data)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            # Only what an upcaster made can be no JSON.
            raise Mismatch(f"it is no JSON: {_cut(str(error))}") from None
        return self._read(text)

    def __repr__(self) -> str:
        """Return the type's name."""
        return f"<schema {self.name}>"


def of(kind: Any) -> Schema | None:
    """Return the schema of a type, None for none; raises `DefinitionError` for what cannot be one."""
    if kind is None or kind is Any:
        return None
    if _is_pydantic(kind):
        return Schema(kind, _pydantic_reader(kind))
    fault = _kind_fault(kind)
    if fault is not None:
        raise DefinitionError(f"schema={kind!r:.80}: {fault}")
    try:
        decoder = msgspec.json.Decoder(kind)
    except (NameError, TypeError) as error:
        raise DefinitionError(f"schema={_name(kind)}: {error}; use {_KINDS}") from None
    return Schema(kind, functools.partial(_read_msgspec, decoder))


def of_parameter(handler: Callable[..., Any], given: Any) -> Schema | None:
    """Return the schema that is given, else that of the annotation of the handler's first parameter."""
    if given is not None:
        return of(given)
    first = next(iter(inspect.signature(handler).parameters.values()))
    if first.annotation is first.empty:
        return None
    shim = type("shim", (), {"__annotations__": {first.name: first.annotation}})
    scope = {**getattr(handler, "__globals__", {}), **inspect.getclosurevars(handler).nonlocals}
    try:
        kind = typing.get_type_hints(shim, globalns=scope, include_extras=True)[first.name]
    except (NameError, AttributeError, SyntaxError, TypeError):
        raise DefinitionError(
            f"the annotation {first.annotation!r:.80} of {first.name!r} means nothing here; pass the type itself:"
            " schema=Order"
        ) from None
    return of(kind)


def refusal(function_id: str, event: str, schema: Schema, reason: str) -> NonRetryableError:
    """Return the error of a run whose event does not fit."""
    return NonRetryableError(
        f"function {function_id!r} takes {schema.name}, which the data of event {event!r:.80} is not: {reason};"
        " emit data that fits, or change the schema",
        code=VALIDATION_ERROR,
    )


def _is_pydantic(kind: Any) -> bool:
    """Return whether this is a pydantic model or dataclass, or made of some; pydantic is loaded already then."""
    if "pydantic" not in sys.modules:
        return False
    return hasattr(kind, "__pydantic_core_schema__") or any(map(_is_pydantic, typing.get_args(kind)))


def _kind_fault(kind: Any) -> str | None:
    if isinstance(kind, str):
        return f"it is a text; pass the type itself, {_KINDS}"
    if isinstance(kind, dict):
        return f"JSON schemas are not read here; write {_KINDS}"
    try:
        inner = msgspec.inspect.type_info(kind)
    except (NameError, TypeError):
        return None
    return f"it is not {_KINDS}" if isinstance(inner, msgspec.inspect.CustomType) else None


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else f"{kind!r:.80}"


def _read_msgspec(decoder: msgspec.json.Decoder[Any], text: bytes) -> Any:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise Mismatch(_cut(_msgspec_fault(error))) from None


def _msgspec_fault(error: msgspec.ValidationError) -> str:
    message, path = str(error), "$"
    at = _AT.search(message)
    if at is not None:
        message, path = message[: at.start()], f"a key of {at['path']}" if at["key"] else at["path"]
    if error.__cause__ is not None:
        return f"{path} is refused by the type's own check: {message}"
    if (got := _GOT.match(message)) is not None:
        return f"{path} is {got['found']} and should be {got['expected']}{message[got.end() :]}"
    if (missing := _MISSING.match(message)) is not None:
        return f"{path}.{missing['field']} is missing"
    if _VALUE.match(message):
        return f"{path} is none of the values that the type allows"
    if _UNKNOWN.match(message):
        return f"{path} has a field that the type does not have"
    return f"{path}: {message[:1].lower()}{message[1:]}"


def _pydantic_reader(kind: Any) -> Callable[[bytes], Any]:
    pydantic = sys.modules["pydantic"]
    adapter = pydantic.TypeAdapter(kind)

    def read(text: bytes) -> Any:
        try:
            return adapter.validate_json(text)
        except pydantic.ValidationError as error:
            raise Mismatch(_cut(_pydantic_fault(error, _fields(adapter, pydantic)))) from None

    return read


def _pydantic_fault(error: Any, fields: set[str]) -> str:
    faults = error.errors(include_url=False, include_context=False)
    first = faults[0]
    path = "$" + "".join(_part(part, fields) for part in first["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    message = first["msg"]
    if first["type"] == "missing":
        return f"{path} is missing{more}"
    if first["type"] == _TAG:
        return f"{path} has none of the tags that the type allows{more}"
    found = _FOUND.get(type(first["input"]), "something else")
    return f"{path} is {found}: {message[:1].lower()}{message[1:]}{more}"


def _part(part: str | int, fields: set[str]) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    # Other words are keys of the data, which is private.
    return f".{part}" if part in fields else "[...]"


def _fields(adapter: Any, pydantic: Any) -> set[str]:
    """Return the names of fields anywhere in a model."""
    try:
        return set(_properties(adapter.json_schema()))
    except pydantic.errors.PydanticUserError:
        return set()


def _properties(schema: Any) -> typing.Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from _properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _properties(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_FAULT else f"{text[:LONGEST_FAULT]}…"
