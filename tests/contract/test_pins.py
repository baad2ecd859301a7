"""The pinned versions: exact, complete, one per package, and free of hosts and paths."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder" / "requirements.txt"
TOOLS = ROOT / "tests" / "requirements.txt"
PARTNER = ROOT / "tests" / "conformance" / "requirements.txt"
PEERS = ROOT / "tests" / "bench" / "requirements.txt"
NODE = ROOT / "labextension" / "requirements.txt"
FILES = [pytest.param(path, id=path.parent.name) for path in (BINDER, TOOLS, PARTNER, PEERS, NODE)]
PYTHONS = ("3.11.0", "3.12.0", "3.13.0")
SYSTEMS = ("linux", "darwin")


def lines(path: Path) -> list[str]:
    """Return the requirements of a file, without comments."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def pins(path: Path, python: str, system: str) -> dict[str, str]:
    """Return name and version of all that is pinned for one Python on one system."""
    place = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": system,
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": "x86_64",
    }
    found = [Requirement(line) for line in lines(path)]
    here = [one for one in found if one.marker is None or one.marker.evaluate(place)]
    assert len({one.name for one in here}) == len(here), "one version for each package"
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}


def wanted() -> list[Requirement]:
    """Return what pyproject.toml asks for at run time, with JupyterLab and the nested loop."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for group in (project["dependencies"], *extras) for text in group]


@pytest.mark.parametrize("path", FILES)
def test_every_line_is_an_exact_version(path: Path) -> None:
    loose = [line for line in lines(path) if not re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", line)]
    assert not loose


@pytest.mark.parametrize("path", FILES)
def test_no_host_and_no_path_is_written(path: Path) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|^/|file:", path.read_text(), re.MULTILINE)


def test_the_lock_of_the_front_end_names_no_host() -> None:
    locked = (ROOT / "labextension" / "yarn.lock").read_text()
    assert "typescript@npm:5." in locked
    assert "http" not in locked


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_within_its_range(python: str, system: str) -> None:
    pinned = pins(BINDER, python, system)
    for one in wanted():
        name = canonicalize_name(one.name)
        assert name in pinned, f"{name} is not in binder/requirements.txt: run make pins"
        assert one.specifier.contains(pinned[name]), f"{name}=={pinned[name]} is outside {one.specifier}"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_tools_do_not_move_what_the_notebooks_use(python: str) -> None:
    runtime, tools = pins(BINDER, python, "linux"), pins(TOOLS, python, "linux")
    moved = {name: (runtime[name], tools[name]) for name in runtime.keys() & tools.keys()}
    assert not {name: pair for name, pair in moved.items() if pair[0] != pair[1]}


def test_binder_runs_a_supported_python() -> None:
    version = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(version)
