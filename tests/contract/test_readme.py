"""The README tells the truth: its first notebook runs, and the files it points to exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ironflow_lab import local

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PATHS = re.findall(r"`((?:ironflow_lab|notebooks|tests|binder)/[\w./]*)`", README)

# What the reader of the example would see in the last cells.
SEEN = """
print(emission.result["greeting"], *lab.steps(emission.run_ids[0])["status"])
"""


def test_the_first_notebook_runs(tmp_path: Path) -> None:
    (tmp_path / ".ironflow").mkdir(mode=0o700)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", EXAMPLES[0] + SEEN],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        local.stop(tmp_path / ".ironflow", force=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "Hello Ada completed completed"


@pytest.mark.parametrize("path", PATHS)
def test_a_file_it_points_to_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_phase_it_names_is_one() -> None:
    named = re.findall(r"^\| (`[a-z`, ]+`) \|", README.partition("## Tests")[2], re.MULTILINE)
    phases = re.findall(r"^PHASES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"\w+", " ".join(named)) == phases[0].split()
