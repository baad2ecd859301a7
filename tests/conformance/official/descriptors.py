"""Print what the official SDK's descriptors say: the fields of its messages, the words of its enums, its methods."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import Any


def field(found: Any) -> list[Any]:
    """Return a field as number, name, name in JSON, label, type, name of the type, presence."""
    kind = found.type_name.removeprefix(".")
    return [found.number, found.name, found.json_name, int(found.label), int(found.type), kind, found.proto3_optional]


def described(files: list[Any]) -> dict[str, dict[str, Any]]:
    """Return all of them by name."""
    messages: dict[str, Any] = {}
    enums: dict[str, Any] = {}
    methods: dict[str, Any] = {}
    for file in files:
        for message in file.message_type:
            messages[message.name] = sorted(field(one) for one in message.field)
        for enum in file.enum_type:
            enums[enum.name] = {value.name: value.number for value in enum.value}
        for service in file.service:
            for method in service.method:
                types = [method.input_type.removeprefix("."), method.output_type.removeprefix(".")]
                safe = method.options is not None and int(method.options.idempotency_level) == 1
                methods[f"{service.name}/{method.name}"] = [*types, safe]
    return {"messages": messages, "enums": enums, "methods": methods}


def main() -> None:
    """Print them as JSON."""
    import ironflow._gen as generated

    names = [one.name for one in pkgutil.iter_modules(generated.__path__) if one.name.endswith("_pb")]
    files = [importlib.import_module(f"{generated.__name__}.{name}").desc().proto for name in names]
    print(json.dumps(described(files)))


if __name__ == "__main__":
    main()
