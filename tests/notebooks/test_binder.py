"""Binder: postBuild in a fresh environment, what the wheel holds, and the server that start brings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ironflow_lab._version import __version__

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv*", ".ironflow", "__pycache__", ".*_cache", ".hypothesis", "build", "dist"),
    # What a clone does not have: the front end is built anew.
    *("node_modules", ".yarn", "built.txt", "static"),
)
# Stands in front of the machine's Node, if it has one: nothing may need it.
NO_NODE = "#!/bin/sh\necho 'the Node of the machine was used' >&2\nexit 1\n"

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

# What hatchling needs and the pinned packages do not bring.
PACKER = ("pathspec", "pluggy", "trove-classifiers", "tomlkit")


@dataclass(frozen=True)
class Binder:
    """A fresh environment with the pinned requirements, and a clean copy of the repository."""

    environment: Path
    repository: Path

    def run(self, *command: str | Path, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as Binder would: in the repository, with the environment's programs first."""
        path = f"{self.environment / 'bin'}{os.pathsep}{os.defpath}"
        outside = {name: value for name, value in os.environ.items() if not name.startswith("IRONFLOW_")}
        return subprocess.run(
            command,
            cwd=self.repository,
            env={**outside, "PATH": path, "VIRTUAL_ENV": str(self.environment), **(more or {})},
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
    shutil.rmtree(made.repository / "ironflow_lab" / "jupyter" / "labextension", ignore_errors=True)
    (made.environment / "bin" / "node").write_text(NO_NODE)
    (made.environment / "bin" / "node").chmod(0o755)
    # The pins are complete (pip check below), so nothing has to be resolved.
    quick = ("--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check")
    installed = made.run("python", "-m", "pip", "install", *quick, "-r", "binder/requirements.txt")
    assert installed.returncode == 0, installed.stderr
    return made


@pytest.fixture(scope="module")
def built(binder: Binder) -> Binder:
    """Run postBuild, with the caches that Binder has not."""
    caches = {"PIP_NO_CACHE_DIR": "0", "YARN_ENABLE_MIRROR": "true"}
    done = binder.run(binder.repository / "binder" / "postBuild", more=caches)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"ironflow-lab {__version__}" in done.stdout
    assert re.search(rf"ironflow-lab v{re.escape(__version__)} .*enabled.*OK", done.stdout)
    assert re.search(r"ironflow_lab\.jupyter .*OK", done.stdout)
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


def test_the_front_end_is_in_its_places_and_what_built_it_is_gone(built: Binder) -> None:
    (package,) = built.environment.glob("lib/python*/site-packages/ironflow_lab")
    bundle = (package / "widgets" / "static" / "scrub.js").read_text()
    assert not re.search(r"^\s*import\s|\bimport\(|\bfrom ?[\"']", bundle, re.MULTILINE), "a widget loads nothing"
    extension = built.environment / "share" / "jupyter" / "labextensions" / "ironflow-lab"
    assert list(extension.glob("static/remoteEntry.*.js"))
    assert (extension / "install.json").is_file()
    assert not (package / "jupyter" / "labextension").exists(), "it would be shipped twice"
    assert not (built.repository / "labextension" / "node_modules").exists()


def test_a_source_archive_installs_without_any_node(built: Binder, tmp_path: Path) -> None:
    quiet = ("--quiet", "--no-deps", "--disable-pip-version-check")
    packer = built.run("python", "-m", "pip", "install", *quiet, "--target", tmp_path / "packer", "hatchling", *PACKER)
    assert packer.returncode == 0, packer.stderr
    packing = {"PYTHONPATH": str(tmp_path / "packer")}
    packed = built.run("python", "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, more=packing)
    assert packed.returncode == 0, packed.stderr
    (archive,) = tmp_path.glob("ironflow_lab-*.tar.gz")
    alone = ("--no-index", "--no-build-isolation", "--wheel-dir", tmp_path)
    made = built.run("python", "-m", "pip", "wheel", *quiet, *alone, archive, more=packing)
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("ironflow_lab-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    data = f"ironflow_lab-{__version__}.data/data/"
    assert f"{data}share/jupyter/labextensions/ironflow-lab/package.json" in names
    assert f"{data}etc/jupyter/jupyter_server_config.d/ironflow_lab.json" in names
    assert "ironflow_lab/widgets/static/scrub.js" in names
    assert not [name for name in names if "node_modules" in name or name.endswith(".ts")]


def test_start_brings_a_server_that_ends_with_jupyter(built: Binder) -> None:
    start = built.repository / "binder" / "start"
    asked = built.run(start, "python", "-c", ASK)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    url, status = asked.stdout.split()
    assert status == "ok"
    ended = built.run("python", "-c", GONE, url)
    assert ended.returncode == 0, "the server outlived the process that start became"
