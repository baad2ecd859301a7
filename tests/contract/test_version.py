"""The version is written in one place, and everything that tells it agrees."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import ironflow_lab
from ironflow_lab._version import __version__

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_tells_it() -> None:
    assert ironflow_lab.__version__ == __version__


def test_the_installed_metadata_tells_it() -> None:
    assert importlib.metadata.version("ironflow-lab") == __version__


def test_the_command_line_tells_it() -> None:
    command = [sys.executable, "-m", "ironflow_lab.cli", "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert __version__ in told.stdout.split()


def test_the_changelog_opens_with_it() -> None:
    newest = re.search(r"^## \[?([0-9][^]\s]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest.group(1) == __version__


def test_nothing_else_writes_it() -> None:
    """A second copy would be forgotten at the next release."""
    literal = re.compile(rf"""["']{re.escape(__version__)}["']""")
    places = {ROOT / "pyproject.toml", *(ROOT / "ironflow_lab").rglob("*.py")}
    copies = [str(path.relative_to(ROOT)) for path in places if literal.search(path.read_text())]
    assert copies == ["ironflow_lab/_version.py"]
