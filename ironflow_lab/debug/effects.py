"""Which audit events are effects, and how each is said without the data it carries."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ironflow_lab.debug.places import LIBRARIES
from ironflow_lab.history.redaction import clip

LONGEST_NAME = 100
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Not of the run: code, data of libraries, and what the system tells of itself.
_PREFIXES = tuple(f"{prefix}/" for prefix in (sys.prefix, sys.base_prefix) if prefix not in ("/", "/usr"))
_NOT_NOTED = (*LIBRARIES, *_PREFIXES, "/usr/share/zoneinfo/", "/proc/", "/sys/", "/dev/")
_CODE = (".py", ".pyc", ".pyi", ".so", ".pth")

Words = Callable[[tuple[Any, ...]], str]


def shown(value: object) -> str:
    """Return a name of the code's, such as a path or a host, fit to show."""
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return repr(clip(str(value), limit=LONGEST_NAME))


def address(value: object) -> str:
    """Return a socket's address as host and port, or as a path."""
    if isinstance(value, tuple) and len(value) >= 2:
        return shown(f"{_text(value[0])}:{_text(value[1])}")
    return shown(value)


def file_read(args: tuple[Any, ...]) -> str:
    """Return the file that an `open` reads, fit to show; "" for what is no data of the user's."""
    path = args[0] if args else None
    if not isinstance(path, str | bytes | os.PathLike):
        return ""
    file = Path(os.fsdecode(path)).absolute()
    name = str(file)
    return "" if name.endswith(_CODE) or name.startswith(_NOT_NOTED) or file.is_dir() else shown(name)


def _text(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)


def _at(args: tuple[Any, ...], index: int) -> Any:
    return args[index] if len(args) > index else ""


def _plain(words: str) -> Words:
    return lambda _: words


def _named(words: str, index: int = 0) -> Words:
    return lambda args: f"{words} {shown(_at(args, index))}"


def _open(args: tuple[Any, ...]) -> str:
    path, mode, flags = _at(args, 0), _at(args, 1), _at(args, 2)
    writes = bool(flags & _WRITES) if isinstance(flags, int) else False
    writes = writes or (isinstance(mode, str) and any(letter in mode for letter in "wax+"))
    if not writes or isinstance(path, int) or path in (os.devnull, os.devnull.encode()):
        return ""
    return f"write the file {shown(path)}"


def _database(args: tuple[Any, ...]) -> str:
    name = _at(args, 0)
    if isinstance(name, str) and (name in ("", ":memory:") or name.startswith("file::memory:")):
        return ""
    return f"open the database {shown(name)}"


def _url(args: tuple[Any, ...]) -> str:
    parts = urlsplit(_text(_at(args, 0)))
    return "ask " + shown(f"{parts.scheme}://{parts.hostname or '?'}")


def _kill(args: tuple[Any, ...]) -> str:
    return f"send signal {_at(args, 1)} to {_at(args, 0)}" if _at(args, 1) else ""


def _command(args: tuple[Any, ...]) -> str:
    text = _at(args, 0)
    words = _text(text).split(maxsplit=1) if isinstance(text, str | bytes) else []
    return f"run {shown(words[0] if words else '')}"


def _process(args: tuple[Any, ...]) -> str:
    name = _at(args, 0)
    if not name:
        name = next(iter(_at(args, 1) or ("",)), "") if isinstance(_at(args, 1), list | tuple) else ""
    return f"run {shown(name)}"


def _looked_up(args: tuple[Any, ...]) -> str:
    return f"look up {shown(_text(_at(args, 0)))}"


def _connection(args: tuple[Any, ...]) -> str:
    return f"connect to {shown(f'{_text(_at(args, 1))}:{_at(args, 2)}')}"


_SEND = _plain("send over a connection")
_THREAD = _plain("start a thread")
_LIBRARY = _plain("call into a C library")

WATCHED: dict[str, Words] = {
    "open": _open,
    "socket.connect": lambda args: f"connect to {address(_at(args, 1))}",
    "socket.bind": lambda args: f"listen at {address(_at(args, 1))}",
    "socket.sendto": lambda args: f"send to {address(_at(args, 1))}",
    "socket.sendmsg": lambda args: f"send to {address(_at(args, 1))}" if _at(args, 1) else "send over a connection",
    "socket.getaddrinfo": _looked_up, "socket.gethostbyname": _looked_up, "socket.gethostbyaddr": _looked_up,
    "socket.getnameinfo": _plain("look up a host"), "socket.sethostname": _plain("rename the host"),
    "http.client.connect": _connection, "http.client.send": _SEND, "urllib.Request": _url,
    "smtplib.connect": _connection, "smtplib.send": _SEND, "ftplib.connect": _connection, "ftplib.sendcmd": _SEND,
    "imaplib.open": _connection, "imaplib.send": _SEND, "poplib.connect": _connection, "poplib.putline": _SEND,
    "subprocess.Popen": _process, "os.system": _command, "os.exec": _process, "os.posix_spawn": _process,
    "os.spawn": lambda args: f"run {shown(_at(args, 1))}", "pty.spawn": _plain("run a program"),
    "os.fork": _plain("fork"), "os.forkpty": _plain("fork"), "webbrowser.open": _plain("open a browser"),
    "os.kill": _kill, "os.killpg": _kill, "signal.pthread_kill": _kill,
    "_thread.start_new_thread": _THREAD, "_thread.start_joinable_thread": _THREAD,
    "os.remove": _named("remove"), "os.rmdir": _named("remove"), "os.rename": _named("rename"),
    "os.mkdir": _named("make the folder"), "os.link": _named("link", 1), "os.symlink": _named("link", 1),
    "os.truncate": _named("truncate"), "os.chmod": _named("change the mode of"),
    "os.chown": _named("change the owner of"), "os.chflags": _named("change"), "os.utime": _named("touch"),
    "os.setxattr": _named("change"), "os.removexattr": _named("change"),
    "os.chdir": _named("change the working directory to"),
    "os.putenv": _named("set the environment variable"), "os.unsetenv": _named("unset the environment variable"),
    "resource.setrlimit": _plain("change a limit of the process"),
    "resource.prlimit": _plain("change a limit of a process"),
    "sqlite3.connect": _database, "syslog.syslog": _plain("write to the system's log"),
    "ctypes.dlopen": _LIBRARY, "ctypes.dlsym": _LIBRARY, "ctypes.dlsym/handle": _LIBRARY,
    "ctypes.call_function": _LIBRARY,
}  # fmt: skip
# A module may do these while it is imported.
PART_OF_IMPORTING = frozenset({"ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle", "os.putenv", "os.unsetenv"})
