"""A module runs as itself, with its own arguments, under the watch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OWNED = [sys.executable, "-P", "-m", "ironflow_lab.local.owned"]
PROGRAM = """
import sys
print(__name__, *sys.argv[1:], flush=True)
sys.stdin.read()
"""


def test_it_runs_with_its_arguments_until_its_owner_ends(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner,
        subprocess.Popen(
            [*OWNED, str(owner.pid), "program", "--flag", "x"],
            env={"PYTHONPATH": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as owned,
    ):
        assert owned.stdout is not None
        assert owned.stderr is not None
        assert owned.stdout.readline() == "__main__ --flag x\n"
        assert owned.poll() is None
        owner.kill()
        assert owned.stderr.readline() == f"ending, since its owner, process {owner.pid}, has ended\n"
        assert owned.wait(timeout=30) == -15
