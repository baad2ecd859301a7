"""Compiles the server's `.proto` files into the one set of descriptors it reads at run time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path("ironflow_lab/server/protocol/pb")
TARGET = FOLDER / "descriptors.binpb"
# The path under which the files import each other; it names their package on the wire, too.
_PACKAGE = "ironflow/v1"


def compiled(root: Path) -> bytes:
    """Return a serialized `FileDescriptorSet` of all `.proto` files, in an order that can be loaded.

    Raises subprocess.CalledProcessError for a file that is wrong; protoc has then said where.
    """
    names = sorted(f"{_PACKAGE}/{path.name}" for path in (root / FOLDER).glob("*.proto"))
    with TemporaryDirectory() as folder:
        target = Path(folder, "descriptors")
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{_PACKAGE}={root / FOLDER}"]
        subprocess.run([*command, f"--descriptor_set_out={target}", *names], check=True, timeout=60)
        return target.read_bytes()
