"""Executes every notebook with nbval: `python -m tests.notebooks.run [pytest arguments]`.

A failed run of each of their functions is then opened as a capsule, in a kernel without a server.

The notebooks run as copies beside a data folder of their own, so that neither the developer's runs
nor an earlier test are seen; the server that they start is ended afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.notebooks import carried

ROOT = Path(__file__).resolve().parents[2]
NBVAL = ("-p", "nbval", "-p", "restarting", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=60")


def main(arguments: list[str]) -> int:
    """Run all notebooks; return pytest's exit code."""
    with tempfile.TemporaryDirectory(prefix="notebooks-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "notebooks", folder, dirs_exist_ok=True)
        data = folder / ".ironflow"
        data.mkdir(mode=0o700)
        away = folder / "carried"
        away.mkdir()
        try:
            code = executed(folder, arguments)
            saved = carried.save(folder, away)
        finally:
            stop = (sys.executable, "-m", "ironflow_lab.cli", "stop", "--force", "--data-dir", data)
            subprocess.run(stop, check=False, timeout=60)
        apart = Path(shutil.move(away, tempfile.mkdtemp(prefix="carried-", dir=folder.parent)))
        try:
            carried.look(apart, saved)
        finally:
            shutil.rmtree(apart.parent)
        print(f"opened without a server: a failed run of {', '.join(sorted(saved))}")
        return code


def executed(folder: Path, arguments: list[str]) -> int:
    """Run pytest on the notebooks in `folder` with the repository's settings."""
    settings = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider")
    command = (sys.executable, "-m", "pytest", *settings, *NBVAL, "--durations=10", str(folder), *arguments)
    # For the plugin of ours.
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
