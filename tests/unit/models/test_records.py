"""What holds for every record."""

from __future__ import annotations

import importlib
import io
import pkgutil
from typing import Any

import msgspec
import pytest
from rich.console import Console

import ironflow_lab.models
import ironflow_lab.wire
from ironflow_lab.models.workers import JobContext
from ironflow_lab.wire.discovery import Discovery


def records() -> list[type[msgspec.Struct]]:
    """Return every public record of models and wire."""
    found: dict[str, type[msgspec.Struct]] = {}
    for package in (ironflow_lab.models, ironflow_lab.wire):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            for name, value in vars(importlib.import_module(module.name)).items():
                ours = getattr(value, "__module__", None) == module.name and name[0] != "_"
                if ours and isinstance(value, type) and issubclass(value, msgspec.Struct):
                    found[f"{module.name}.{name}"] = value
    return list(found.values())


@pytest.mark.parametrize("record", records(), ids=lambda record: record.__name__)
def test_records_are_frozen_keyword_only_and_documented(record: type[msgspec.Struct]) -> None:
    assert record.__struct_config__.frozen
    assert record.__match_args__ == ()
    assert record.__doc__
    assert not record.__doc__.startswith(record.__name__ + "(")


@pytest.mark.parametrize("record", records(), ids=lambda record: record.__name__)
def test_shared_defaults_cannot_be_changed(record: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(record):
        assert not isinstance(field.default, list | dict | set)


@pytest.mark.parametrize(
    "record",
    [
        Discovery(version=1, url="http://127.0.0.1:1", api_key="hunter2"),
        JobContext(secrets={"STRIPE_KEY": "hunter2"}),
    ],
)
def test_secrets_show_in_no_representation(record: Any) -> None:
    shown = io.StringIO()
    Console(file=shown).print(record, [record])
    for text in (repr(record), str(record), repr([record]), shown.getvalue()):
        assert "hunter2" not in text
        assert type(record).__name__ in text
    assert b"hunter2" in msgspec.json.encode(record)
