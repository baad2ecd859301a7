"""Finds a free loopback port, and says so when it is not the one that was expected."""

from __future__ import annotations

import errno
import socket

from ironflow_lab.errors import ServerStartError

SERVER = 9123
NOTEBOOKS = 8888
_TRIED = 100


def choose(wanted: int | None, *, default: int, host: str = "127.0.0.1", flag: str = "--port") -> tuple[int, str]:
    """Return a port and a note: the wanted one, else the default or the next free one above it.

    The note is "" unless the default was in use. Raises ServerStartError when `wanted` is in use,
    naming a free one for `flag`.
    """
    if wanted is not None:
        check(wanted)
        if wanted and not is_free(wanted, host=host):
            free = next_free(wanted + 1, host=host)
            raise ServerStartError(f"Port {wanted} is in use: choose another, such as {flag} {free}, or leave it out.")
        return wanted, ""
    port = next_free(default, host=host)
    return port, "" if port == default else f"port {default} is in use, so this is {port}"


def next_free(first: int, *, host: str = "127.0.0.1") -> int:
    """Return the first free port of the hundred from `first` on, or else one the system chooses."""
    for port in range(first, min(first + _TRIED, 65536)):
        if is_free(port, host=host):
            return port
    with _probe(host) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    return int(port)


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen there now; raises ServerStartError when it may not."""
    with _probe(host) as probe:
        try:
            probe.bind((host, port))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                return False
            raise ServerStartError(
                f"Port {port} on {host} cannot be used ({problem.strerror}): choose one from 1024 to 65535."
            ) from problem
    return True


def check(port: int) -> None:
    """Raise ServerStartError unless the number can be a port (0 lets the system choose)."""
    if not 0 <= port <= 65535:
        raise ServerStartError(f"{port!r} is not a port: choose one from 1024 to 65535.")


def _probe(host: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # As servers do: connections that just ended there are no hindrance.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe
