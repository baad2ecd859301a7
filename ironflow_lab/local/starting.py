"""Starts the server of a data folder as a process of its own, or finds the one there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import discovery, files, folders, hosting, lock, ports, record
from ironflow_lab.local.finding import Local, describe
from ironflow_lab.local.stopping import silent

LOG = "server.log"
# A machine with more to do than it can takes its time; a server that cannot start says so at once.
PATIENCE = 30.0
_PAUSE = 0.02


def start(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    port: int | None = None,
    wait: float = PATIENCE,
    owner_pid: int = 0,
    cwd: Path | None = None,
) -> Local:
    """Return the data folder's server once it answers, started if none runs.

    Without a `port` it is 9123 or the next free one. It outlives this process and ends by `stop`,
    or with process `owner_pid` if one is named. `cwd` stands in for the working directory, in whose
    tree the data folder and the discovery file are looked for. Raises ServerStartError, naming the remedy, when
    it does not answer within `wait` seconds, when the port is in use, or when the folder will not
    do.
    """
    if port is not None:
        ports.check(port)
    folder = folders.locate(folders.nearest(cwd) if cwd and data_dir is None else data_dir)
    folders.prepare(folder)
    starting = _Starting(folder, port=port, owner_pid=owner_pid, wait=wait, cwd=cwd)
    try:
        found = starting.until_ready()
    except BaseException:
        starting.abandon()
        raise
    if starting.is_mine(found):
        return describe(folder, found, reused=False)
    return _reuse(folder, found, port, cwd)


def _reuse(folder: Path, found: record.ServerRecord, port: int | None, cwd: Path | None) -> Local:
    if port not in (None, 0, found.port):
        raise ServerStartError(
            f"The server of {folder} already runs at {found.url}: leave the port out to use it, "
            f"or stop it first to have it on port {port}."
        )
    note = discovery.publish(discovery.path_here(cwd), found.url, found.token)
    return describe(folder, found, reused=True, notes=(note,) if note else ())


class _Starting:
    """One attempt at having a server for the folder: ours, or that of another who was quicker."""

    def __init__(self, folder: Path, *, port: int | None, owner_pid: int, wait: float, cwd: Path | None) -> None:
        self._folder = folder
        self._port = port
        self._owner_pid = owner_pid
        self._wait = wait
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None
        self._log_begin = 0

    def until_ready(self) -> record.ServerRecord:
        """Return the server's record once it answers; raises ServerStartError when it is late."""
        deadline = time.monotonic() + self._wait
        while True:
            found = record.answering(self._folder)
            if found is not None:
                self._let_go()
                return found
            if self._child is None and lock.holder(self._folder) is None:
                self._spawn()
            self._pause()
            if time.monotonic() >= deadline:
                raise self._late()

    def is_mine(self, found: record.ServerRecord) -> bool:
        """Return whether the server is the one this attempt started."""
        return self._child is not None and self._child.pid == found.pid

    def abandon(self) -> None:
        """End the child, if it still runs."""
        if self._child is None or self._child.poll() is not None:
            return
        self._child.terminate()
        try:
            self._child.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _spawn(self) -> None:
        try:
            descriptor, self._log_begin = files.open_log(self._folder / LOG)
        except OSError as problem:
            raise folders.unwritable(self._folder, problem) from problem
        try:
            self._child = subprocess.Popen(
                self._command(),
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    def _command(self) -> list[str]:
        # By way of a shell: a debugger that is attached to this process makes every Python it starts wait for it.
        command = ["/bin/sh", "-c", 'exec "$0" "$@"']
        # -P: a file beside the notebook must not stand in for a module of the server.
        command += [sys.executable, "-P", "-m", "ironflow_lab.cli", "serve"]
        command += ["--data-dir", str(self._folder)]
        if self._port is not None:
            command += ["--port", str(self._port)]
        if self._owner_pid:
            command += ["--owner-pid", str(self._owner_pid)]
        return command

    def _pause(self) -> None:
        """Wait a moment or until the child ends.

        Raises what it died of, unless that is another server which was quicker.
        """
        if self._child is None:
            time.sleep(_PAUSE)
            return
        try:
            status = self._child.wait(timeout=_PAUSE)
        except subprocess.TimeoutExpired:
            return
        if status != hosting.ALREADY_SERVED:
            raise self._died(status)
        self._child = None

    def _let_go(self) -> None:
        if self._child is not None:
            # Whoever starts a process has to wait for it, or it stays in the table when it ends.
            threading.Thread(target=self._child.wait, name="ironflow-server-exit", daemon=True).start()

    def _died(self, status: int) -> ServerStartError:
        lines = files.tail(self._folder / LOG, self._log_begin)
        told = [number for number, line in enumerate(lines) if line.startswith(hosting.ERROR)]
        if told:
            return ServerStartError("\n".join(lines[told[-1] :]).removeprefix(hosting.ERROR))
        how = f"with status {status}" if status >= 0 else f"by signal {-status}"
        return ServerStartError(f"The server ended {how} before it answered. {self._story()}")

    def _late(self) -> ServerStartError:
        pid = lock.holder(self._folder)
        if self._child is None and pid is not None:
            return silent(self._folder, pid)
        return ServerStartError(
            f"The server did not answer within {self._wait:g} s and was ended: allow more with wait=. {self._story()}"
        )

    def _story(self) -> str:
        path = self._folder / LOG
        return files.tell_end(path, files.tail(path, self._log_begin))
