"""Binder: postBuild in a fresh environment, what the wheel holds, and the server that start brings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ironflow_lab._version import __version__

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", ".ironflow", "__pycache__", ".*_cache", ".hypothesis")

# Waits for the server that `start` began, asks it how it is, and says where it answered.
ASK = """
import json, time, urllib.request
from ironflow_lab.local import find, folders
deadline = time.monotonic() + 30
while (running := find(folders.locate(None))) is None and time.monotonic() < deadline:
    time.sleep(0.05)
with urllib.request.urlopen(running.url + "/health", timeout=10) as answer:
    print(running.url, json.load(answer)["status"])
"""

# Leaves as soon as nothing answers there any more, and complains after ten seconds.
GONE = """
import sys, time, urllib.error, urllib.request
deadline = time.monotonic() + 10
while time.monotonic() < deadline:
    try:
        urllib.request.urlopen(sys.argv[1] + "/health", timeout=10).close()
    except urllib.error.URLError:
        sys.exit(0)
    time.sleep(0.05)
sys.exit(1)
"""


@dataclass(frozen=True)
class Binder:
    """A fresh environment with the pinned requirements, and a clean copy of the repository."""

    environment: Path
    repository: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command as Binder would: in the repository, with the environment's programs first."""
        path = f"{self.environment / 'bin'}{os.pathsep}{os.defpath}"
        outside = {name: value for name, value in os.environ.items() if not name.startswith("IRONFLOW_")}
        return subprocess.run(
            command,
            cwd=self.repository,
            env={**outside, "PATH": path, "VIRTUAL_ENV": str(self.environment)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )


@pytest.fixture(scope="module")
def binder(tmp_path_factory: pytest.TempPathFactory) -> Binder:
    """Make what repo2docker has made when it comes to postBuild."""
    folder = tmp_path_factory.mktemp("binder")
    made = Binder(environment=folder / "environment", repository=folder / "repository")
    subprocess.run([sys.executable, "-m", "venv", made.environment], check=True)
    shutil.copytree(ROOT, made.repository, ignore=LEFT_OUT)
    # The pins are complete (pip check below), so nothing has to be resolved.
    quick = ("--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check")
    installed = made.run("python", "-m", "pip", "install", *quick, "-r", "binder/requirements.txt")
    assert installed.returncode == 0, installed.stderr
    return made


@pytest.fixture(scope="module")
def built(binder: Binder) -> Binder:
    """Run postBuild."""
    done = binder.run(binder.repository / "binder" / "postBuild")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"ironflow-lab {__version__}" in done.stdout
    return binder


def test_the_pins_are_complete(built: Binder) -> None:
    checked = built.run("python", "-m", "pip", "check")
    assert checked.returncode == 0, checked.stdout


def test_the_wheel_holds_the_package_and_not_its_tools(built: Binder) -> None:
    (package,) = built.environment.glob("lib/python*/site-packages/ironflow_lab")
    assert (package / "py.typed").is_file()
    assert list(package.glob("server/store/**/*.sql"))
    assert not (package / "_codegen").exists()
    assert not (package / "_design").exists()


def test_start_brings_a_server_that_ends_with_jupyter(built: Binder) -> None:
    start = built.repository / "binder" / "start"
    asked = built.run(start, "python", "-c", ASK)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    url, status = asked.stdout.split()
    assert status == "ok"
    ended = built.run("python", "-c", GONE, url)
    assert ended.returncode == 0, "the server outlived the process that start became"
