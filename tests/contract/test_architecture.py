"""Who may import whom: the contracts hold, and each of them catches a planted violation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")

# The order of the design, lowest first; siblings share a line.
ORDER = [
    ["errors", "clock", "_version"],
    ["models"],
    ["wire"],
    ["history", "server"],
    ["client", "kernel"],
    ["local"],
    ["runtime", "jupyter"],
    ["debug"],
    ["frames"],
    ["plots"],
    ["widgets", "report"],
    ["lab"],
    ["magics", "cli"],
    ["testing"],
]
UPWARD = [(low, high) for below, above in pairwise(ORDER) for low in below for high in above]
SIBLINGS = [(row[0], row[1]) for row in ORDER if len(row) > 1]

# Importing module, what it must not import, and the contract that says so.
FENCED = [
    ("wire", "httpx", "fence-http"),
    ("server.protocol", "websockets", "fence-http"),
    ("lab", "aiohttp", "fence-http"),
    ("runtime", "httpx_aiohttp", "fence-http"),
    ("client", "pyqwest", "fence-bidi"),
    ("client", "sqlite3", "fence-sqlite"),
    ("server.engine", "sqlite3", "fence-sqlite"),
    ("server.store", "uvicorn", "fence-asgi"),
    ("local", "uvicorn", "fence-asgi"),
    ("runtime", "httptools", "fence-asgi"),
    ("client", "uvloop", "fence-asgi"),
    ("wire", "google", "fence-protobuf"),
    ("client", "google", "fence-protobuf"),
    ("server.store", "cel", "fence-cel"),
    ("wire", "cel", "fence-cel"),
    ("server.store", "google", "fence-protobuf"),
    ("lab", "IPython", "fence-ipython"),
    ("runtime", "ipykernel", "fence-ipython"),
    ("client", "tornado", "fence-jupyter"),
    ("lab", "jupyter_server", "fence-jupyter"),
    ("client", "pandas", "fence-frames"),
    ("debug", "numpy", "fence-frames"),
    ("server.store", "pandas", "fence-frames"),
    ("lab", "ipywidgets", "fence-widgets"),
    ("kernel", "anywidget", "fence-widgets"),
    ("server.engine", "time", "pure"),
    ("server.engine", "asyncio", "pure"),
    ("wire", "random", "pure"),
    ("models", "uuid", "pure"),
    ("lab", "ironflow_lab.server.app", "server-doors"),
    ("local", "ironflow_lab.server.store", "server-doors"),
    ("server.protocol", "ironflow_lab.server.store.target", "server-order"),
    ("server.store", "ironflow_lab.server.protocol.target", "server-order"),
    ("server.engine", "ironflow_lab.server.store.target", "server-order"),
    ("server.engine", "ironflow_lab.server.protocol.target", "server-order"),
    ("server.store", "ironflow_lab.server.app", "server-order"),
    ("cli", "ironflow_lab._codegen.target", "codegen"),
]

# What the design allows and a fence drawn too tight would refuse.
ALLOWED = [
    ("client", "httpx"),
    ("client", "aiohttp"),
    ("jupyter", "httpx"),
    ("jupyter", "tornado"),
    ("jupyter", "jupyter_server"),
    ("server.store", "sqlite3"),
    ("server.protocol", "httptools"),
    ("server.protocol", "google"),
    ("kernel", "IPython"),
    ("frames", "pandas"),
    ("report", "numpy"),
    ("widgets", "ipywidgets"),
    ("lab", "pandas"),
    ("cli", "ironflow_lab.server.engine.target"),
    ("testing", "ironflow_lab.server.store.target"),
    ("server.protocol", "ironflow_lab.server.engine.target"),
    ("server.store", "ironflow_lab.server.engine.target"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree in `folder`, without a cache."""
    return subprocess.run(
        [LINTER, "--no-cache", "--config", folder / "pyproject.toml"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


class Tree:
    """A copy of the package in which violations can be planted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(ROOT / "pyproject.toml", folder)
        ignore = shutil.ignore_patterns("__pycache__", "static", "labextension")
        shutil.copytree(ROOT / "ironflow_lab", folder / "ironflow_lab", ignore=ignore)

    def package(self, name: str) -> Path:
        """Return the folder of package `name`, made when the repository has none (yet)."""
        module = self.folder.joinpath("ironflow_lab", *name.split(".")).with_suffix(".py")
        folder = module.with_suffix("")
        folder.mkdir(exist_ok=True)
        if module.exists():
            module.rename(folder / "__init__.py")
        (folder / "__init__.py").touch()
        (folder / "target.py").touch()
        return folder

    def plant(self, package: str, module: str, imported: str) -> str:
        """Write a module that imports `imported`; return the arrow a report would show."""
        (self.package(package) / f"{module}.py").write_text(f"import {imported}\n")
        return f"ironflow_lab.{package}.{module} -> {imported}"


def planted_name(kind: str, imported: str) -> str:
    """Name the planted module after what it imports, so that every arrow is unique."""
    return f"{kind}_{imported.replace('.', '_')}"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on one tree that carries every violation of this module at once."""
    tree = Tree(tmp_path_factory.mktemp("broken"))
    for row in ORDER:
        for name in row:
            tree.package(name)
    tree.package("_codegen")
    for part in ("engine", "protocol", "store", "app"):
        tree.package(f"server.{part}")
    for low, high in [*UPWARD, *SIBLINGS]:
        tree.plant(low, planted_name("upward", high), f"ironflow_lab.{high}.target")
    for importer, imported, _ in FENCED:
        tree.plant(importer, planted_name("fenced", imported), imported)
    for importer, imported in ALLOWED:
        tree.plant(importer, planted_name("allowed", imported), imported)
    tree.package("unlisted")
    tree.package("server.unlisted")
    report = lint(tree.folder)
    assert report.returncode == 1, report.stdout + report.stderr
    return report.stdout


def test_every_contract_holds() -> None:
    report = lint(ROOT)
    assert report.returncode == 0, report.stdout + report.stderr


@pytest.mark.parametrize(("low", "high"), [*UPWARD, *SIBLINGS])
def test_import_upward_or_sideways_is_caught(broken: str, low: str, high: str) -> None:
    planted = planted_name("upward", high)
    assert f"ironflow_lab.{low}.{planted} -> ironflow_lab.{high}.target (l.1)" in broken


@pytest.mark.parametrize(("importer", "imported", "contract"), FENCED)
def test_fence_catches_a_planted_import(broken: str, importer: str, imported: str, contract: str) -> None:
    arrow = f"ironflow_lab.{importer}.{planted_name('fenced', imported)} -> {imported} (l.1)"
    assert arrow in section(broken, contract)


@pytest.mark.parametrize(("importer", "imported"), ALLOWED)
def test_fence_lets_through_what_the_design_allows(broken: str, importer: str, imported: str) -> None:
    assert f"ironflow_lab.{importer}.{planted_name('allowed', imported)} " not in broken


@pytest.mark.parametrize("package", ["unlisted", "server.unlisted"])
def test_package_outside_the_order_is_caught(broken: str, package: str) -> None:
    assert f"- ironflow_lab.{package}\n" in broken


def section(report: str, contract: str) -> str:
    """Return the part of a report that explains why `contract` is broken: name, rule, text."""
    _, _, explanation = report.partition("\nBroken contracts\n")
    parts = re.split(r"\n(\S.*)\n-{3,}\n", explanation)
    titles, texts = parts[1::2], parts[2::2]
    return dict(zip(titles, texts, strict=True)).get(contract_names()[contract], "")


def contract_names() -> dict[str, str]:
    """Map each contract's id to its name, as pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["id"]: contract["name"] for contract in settings["contracts"]}
