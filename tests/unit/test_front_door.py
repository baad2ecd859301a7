"""`import ironflow_lab`: a sorted list of names, each real, and nothing loaded until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ironflow_lab


def loaded_after(code: str) -> set[str]:
    """Return the modules a fresh interpreter has loaded after the code."""
    script = f"import sys; before = set(sys.modules); {code}; print('\\n'.join(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


def test_the_list_is_sorted_and_every_name_exists() -> None:
    assert sorted(ironflow_lab.__all__) == ironflow_lab.__all__
    for name in ironflow_lab.__all__:
        assert getattr(ironflow_lab, name) is not None
    assert set(ironflow_lab.__all__) <= set(dir(ironflow_lab))


def test_importing_loads_nothing_but_itself() -> None:
    assert {name.partition(".")[0] for name in loaded_after("import ironflow_lab")} <= {"ironflow_lab", "__future__"}
    assert not {name for name in loaded_after("import ironflow_lab") if name.startswith("ironflow_lab.")}


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import ironflow_lab as il; il.Client", {"pandas", "plotly", "aiohttp", "asyncio"}),
        ("import ironflow_lab as il; il.function", {"pandas", "plotly", "httpx", "aiohttp"}),
        ("import ironflow_lab as il; il.start, il.Lab", {"pandas", "numpy", "plotly", "aiohttp", "IPython"}),
        ("import ironflow_lab as il; il.errors.IronflowError", {"pandas", "plotly", "httpx", "msgspec"}),
    ],
)
def test_a_name_loads_only_what_it_needs(code: str, heavy: set[str]) -> None:
    assert not heavy & loaded_after(code)


def test_the_lab_half_never_loads_the_server() -> None:
    names = loaded_after("import ironflow_lab as il; [getattr(il, name) for name in il.__all__]")
    assert "ironflow_lab.lab.lab" in names
    assert not {name for name in names if name.startswith("ironflow_lab.server")}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ironflow_lab.nonsense  # noqa: B018 - reading it is the test
