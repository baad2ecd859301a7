"""JupyterLab beside the embedded server: both started together, both ended by one Ctrl-C."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import files, folders, health, ports
from ironflow_lab.local.finding import Local, find
from ironflow_lab.local.starting import start
from ironflow_lab.local.stopping import stop

LOG = "jupyter.log"
TOUR = Path("notebooks", "00_tour.ipynb")
_STARTING = 90.0
_PROGRESS = 5.0
_ENDING = 10.0

Say = Callable[[str], None]


def has_browser(environment: Mapping[str, str], platform: str) -> bool:
    """Return whether an opened page would be seen: not over SSH, in CI, or without a display."""
    if environment.get("BROWSER"):
        return True
    if any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "CI")):
        return False
    return platform == "darwin" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def run(*, port: int | None, server_port: int | None, browser: bool, say: Say) -> int:
    """Run server and JupyterLab until Ctrl-C, SIGTERM or JupyterLab's own end; return the status.

    Raises ServerStartError when one of them cannot be started; the other is ended then.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise ServerStartError("JupyterLab is not installed: pip install 'ironflow-lab[lab]'")
    root = folders.project_root(folders.working_directory())
    with _interruptible(), contextlib.ExitStack() as ending:
        try:
            server = _start_server(server_port, say)
            ending.callback(_stop_server, server, say)
            lab = Notebooks(root, port=port, browser=browser, log=server.data_dir / LOG, say=say)
            ending.callback(lab.stop)
            lab.until_ready()
            say(f"JupyterLab    {lab.address}")
            say("Ctrl-C here ends both." if not server.reused else "Ctrl-C here ends JupyterLab.")
            return lab.until_ended()
        except KeyboardInterrupt:
            say("\nEnding ...")
            return 0


class Notebooks:
    """A JupyterLab process in a session of its own, so that Ctrl-C reaches it only through us."""

    def __init__(self, root: Path, *, port: int | None, browser: bool, log: Path, say: Say) -> None:
        self._log = log
        self._say = say
        chosen, note = ports.choose(port, default=ports.NOTEBOOKS)
        if note:
            say(f"JupyterLab    {note}")
        self._url = f"http://127.0.0.1:{chosen}"
        token = secrets.token_urlsafe(18)
        page = f"/lab/tree/{TOUR.as_posix()}" if (root / TOUR).is_file() else "/lab"
        self.address = f"{self._url}{page}?token={token}"
        descriptor, self._log_begin = files.open_log(log)
        try:
            self._process = subprocess.Popen(
                notebook_command(root, port=chosen, page=page, browser=browser),
                cwd=root,
                # In the environment, since every user may read a command line.
                env={**os.environ, "JUPYTER_TOKEN": token},
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    def until_ready(self) -> None:
        """Wait until it answers, with a line of progress now and then.

        Raises ServerStartError when it ends or does not answer in 90 s.
        """
        begin = time.monotonic()
        spoken = begin
        while health.get(self._url, "/api", timeout=1.0)[0] == 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(timeout=0.1)
                raise ServerStartError(f"JupyterLab ended with status {status}. {self._story()}")
            now = time.monotonic()
            if now - begin > _STARTING:
                raise ServerStartError(f"JupyterLab did not answer within {_STARTING:g} s. {self._story()}")
            if now - spoken > _PROGRESS:
                spoken = now
                self._say(f"              ... {now - begin:.0f} s")

    def until_ended(self) -> int:
        """Wait for its end; return 0 if it was shut down in the browser, else 1 after saying why."""
        status = self._process.wait()
        if status == 0:
            return 0
        self._say(f"JupyterLab ended with status {status}. {self._story()}")
        return 1

    def stop(self) -> None:
        """End it and its kernels; a second Ctrl-C, or ten seconds, kills them."""
        if self._process.poll() is not None:
            return
        try:
            self._process.terminate()
            self._process.wait(timeout=_ENDING)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _story(self) -> str:
        return files.tell_end(self._log, files.tail(self._log, self._log_begin))


def notebook_command(root: Path, *, port: int, page: str, browser: bool) -> list[str]:
    """Return the command that serves `root` on a loopback port and opens `page` if wanted.

    It ends with this process even when that is killed.
    """
    command = [
        sys.executable, "-P", "-m", "ironflow_lab.local.owned", str(os.getpid()), "jupyterlab",
        f"--ServerApp.root_dir={root}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--LabApp.default_url={page}",
    ]  # fmt: skip
    if not browser:
        command.append("--no-browser")
    if os.geteuid() == 0:
        command.append("--allow-root")
    return command


def _start_server(port: int | None, say: Say) -> Local:
    say("Server        starting ...")
    server = start(port=port, owner_pid=os.getpid())
    say(f"Server        {server.url}, data in {server.data_dir}" + ("; it ran before" if server.reused else ""))
    if server.note:
        say(f"              {server.note}")
    say("JupyterLab    starting ...")
    return server


def _stop_server(server: Local, say: Say) -> None:
    if server.reused:
        say(f"The server at {server.url} ran before and goes on; `ironflow-lab stop` ends it.")
        return
    running = find(server.data_dir)
    if running is not None and running.pid == server.pid:
        stop(server.data_dir, force=True)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the body as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
