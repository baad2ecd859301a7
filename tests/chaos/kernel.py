"""A real kernel in a process of its own, driven as a notebook front end drives it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from tests.conformance.processes import ROOT, clean_environment, launch

PATIENCE = 40.0


class CellFailed(AssertionError):
    """A cell raised; the text is what the notebook shows."""


class Kernel:
    """One life of a kernel: started, it executes cells until it is killed."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._log = folder / "kernel.log"
        file, settings = write_connection_file(str(folder / f"kernel-{time.monotonic_ns()}.json"))
        command: list[str | Path] = [sys.executable, "-m", "ipykernel_launcher", "-f", file]
        here = {
            "PYTHONPATH": str(ROOT),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(folder),
            # As a notebook server tells its kernels: the worker's id must outlive the process.
            "JPY_SESSION_NAME": str(folder / "tour.ipynb"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "NO_COLOR": "1",
        }
        with self._log.open("ab") as log:
            self.process: subprocess.Popen[bytes] = launch(
                command, folder, clean_environment(**here, **environment), log
            )
        self._client = BlockingKernelClient()
        self._client.load_connection_info(settings)
        self._client.start_channels()
        try:
            # The client's own wait gives up on a kernel that is only slow: its heartbeat has one second.
            self._await(self._client.kernel_info(), "to answer")
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return self.process.pid

    def start_cell(self, code: str) -> str:
        """Begin to execute a cell and return its message id."""
        return str(self._client.execute(code))

    def cell_ended(self, message: str) -> bool:
        """Return whether a cell has ended well; raises `CellFailed` when it raised."""
        while True:
            try:
                reply = self._client.get_shell_msg(timeout=0)
            except Empty:
                return False
            if reply["parent_header"].get("msg_id") == message:
                _raise_failure(reply["content"])
                return True

    def lost_replies(self) -> int:
        """Return how often the stop button has hit the kernel's own code, whose cell then has no reply."""
        return self._log.read_text(errors="replace").count("KeyboardInterrupt caught in kernel")

    def run(self, code: str) -> None:
        """Execute a cell to its end; raises `CellFailed` when it raises."""
        self._await(self.start_cell(code), f"to end\n{code}")

    def kill(self) -> None:
        """Kill -9 and wait until the process is gone."""
        self._client.stop_channels()
        self.process.kill()
        self.process.wait()

    def _await(self, message: str, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.cell_ended(message):
            assert self.process.poll() is None, f"the kernel died by itself\n{self.story()}"
            assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for the kernel {what}\n{self.story()}"
            time.sleep(0.005)

    def story(self) -> str:
        """Return the end of what the kernel said outside its cells."""
        return f"---- kernel\n{self._log.read_text(errors='replace')[-1500:]}"


def _raise_failure(content: dict[str, Any]) -> None:
    if content["status"] != "ok":
        shown = "\n".join(content.get("traceback", [])) or content.get("evalue", "")
        raise CellFailed(f"a cell failed: {content.get('ename')}\n{shown}")


def environment_of(url: str, witness: Path) -> dict[str, str]:
    """Return what a kernel must know of its server and of the witness file."""
    return {"IRONFLOW_SERVER_URL": url, "CHAOS_WITNESS": str(witness), "HOME": os.environ.get("HOME", "/")}
