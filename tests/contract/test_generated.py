"""What is generated is current: the sync clients and their tests match their async sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_generated_code_is_current() -> None:
    command = [sys.executable, "-m", "ironflow_lab._codegen", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert checked.returncode == 0, f"run `make codegen`:\n{checked.stdout}{checked.stderr}"
