"""The public names: sorted, importable, typed, documented, and cheap to import."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ironflow_lab

HEAVY = ("pandas", "numpy", "plotly", "ipywidgets", "IPython", "uvicorn", "httpx", "aiohttp")


def modules() -> list[str]:
    """Return the name of every public module of the package."""
    walked = pkgutil.walk_packages(ironflow_lab.__path__, "ironflow_lab.")
    names = [module.name for module in walked]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def test_the_list_is_sorted_and_without_doubles() -> None:
    assert list(ironflow_lab.__all__) == sorted(set(ironflow_lab.__all__))


@pytest.mark.parametrize("name", ironflow_lab.__all__)
def test_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(ironflow_lab, name)
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        assert inspect.getdoc(value), f"ironflow_lab.{name} has no docstring"


def test_completion_offers_every_public_name() -> None:
    assert set(ironflow_lab.__all__) <= set(dir(ironflow_lab))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ironflow_lab.no_such_name


@pytest.mark.parametrize("name", modules())
def test_module_can_be_imported_and_is_documented(name: str) -> None:
    __import__(name)
    assert sys.modules[name].__doc__, f"{name} does not say what it is for"


def test_import_loads_nothing_heavy() -> None:
    program = f"import sys, ironflow_lab; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert loaded.stdout.split() == []


def test_type_checkers_see_the_package_as_typed() -> None:
    assert any(Path(folder, "py.typed").is_file() for folder in ironflow_lab.__path__)
