"""The command line: serve, status, stop, and lab (the server with JupyterLab)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ironflow_lab._version import __version__
from ironflow_lab.errors import IronflowError, ServerStartError
from ironflow_lab.local import find, folders, hosting, lock, ports, stop
from ironflow_lab.local.stopping import silent
from ironflow_lab.wire.discovery import is_loopback

if TYPE_CHECKING:
    from ironflow_lab.local.hosting import Tenancy

_LOST_RACES = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0 done, 1 refused or not running, 2 misused."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except IronflowError as problem:
        _complain(str(problem))
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _serve(options: argparse.Namespace) -> int:
    host = _loopback(options.host)
    folder = folders.locate(options.data_dir)
    folders.prepare(folder)
    place = hosting.hold(folder, owner_pid=options.owner_pid)
    if place is None:
        running = find(folder)
        where = f"at {running.url} (process {running.pid})" if running else "(starting or ending)"
        _complain(f"A server of {folder} already runs {where}.")
        return hosting.ALREADY_SERVED
    place.watch(lambda reason: print(f"ironflow-lab: ending, since {reason}", flush=True))
    try:
        _serve_until_told(place, host, options)
    finally:
        place.leave()
    return 0


def _serve_until_told(place: Tenancy, host: str, options: argparse.Namespace) -> None:
    """Serve until SIGTERM or Ctrl-C; a port lost between look and bind is chosen anew."""
    # Imported under the lock: who loses the race for the folder has not paid for the server.
    from ironflow_lab.server.app import ServeConfig, run

    def ready(url: str) -> None:
        place.announce(url)
        print(
            f"ironflow-lab {__version__} serves {url} from {place.folder}; end it with Ctrl-C or `ironflow-lab stop`",
            *place.notes,
            sep="\n  note: ",
            flush=True,
        )

    for _ in range(_LOST_RACES):
        port, note = ports.choose(options.port, default=ports.SERVER, host=host)
        place.notes = [note] if note else []
        config = ServeConfig(
            host=host,
            port=port,
            data_dir=place.folder,
            token=place.token,
            lease_seconds=options.lease_seconds,
            on_ready=ready,
        )
        try:
            return run(config)
        except ServerStartError:
            if options.port is not None or not port or ports.is_free(port, host=host):
                raise
    raise ServerStartError("Every port tried was taken by another process: choose one with --port.")


def _status(options: argparse.Namespace) -> int:
    folder = folders.locate(options.data_dir)
    running = find(folder)
    if running is None:
        holder = lock.holder(folder)
        print(f"No server runs for {folder}." if holder is None else silent(folder, holder))
        return 1
    print(f"{running.url} (process {running.pid}), data in {folder}")
    if running.note:
        print(f"  note: {running.note}")
    return 0


def _stop(options: argparse.Namespace) -> int:
    folder = folders.locate(options.data_dir)
    ended = stop(folder, force=options.force)
    print(f"Ended the server of {folder}." if ended else f"No server runs for {folder}.")
    return 0


def _lab(options: argparse.Namespace) -> int:
    from ironflow_lab.local import workbench

    def say(line: str) -> None:
        print(line, flush=True)

    browser = options.browser and workbench.has_browser(os.environ, sys.platform)
    return workbench.run(port=options.port, server_port=options.server_port, browser=browser, say=say)


def _complain(text: str) -> None:
    # The first line says it all: whoever started us finds it in the log.
    print(hosting.ERROR + text, file=sys.stderr, flush=True)


def _loopback(host: str) -> str:
    if not is_loopback(f"http://[{host}]" if ":" in host else f"http://{host}"):
        raise ServerStartError(
            f"--host {host}: the embedded server knows no keys and listens on loopback only; "
            "leave --host out, or reach it through an SSH tunnel."
        )
    return "127.0.0.1" if host == "localhost" else host


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ironflow-lab", description="The embedded Ironflow server, and its notebooks."
    )
    parser.add_argument("--version", action="version", version=f"ironflow-lab {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _serve_options(commands.add_parser("serve", help="run the embedded server until Ctrl-C"))
    status = commands.add_parser("status", help="say where the server runs (status 1: nowhere)")
    status.set_defaults(command=_status)
    _add_folder(status)
    stopping = commands.add_parser("stop", help="end the running server")
    stopping.set_defaults(command=_stop)
    stopping.add_argument("--force", action="store_true", help="kill it if it does not end")
    _add_folder(stopping)
    _lab_options(commands.add_parser("lab", help="run the server and JupyterLab until Ctrl-C"))
    return parser


def _serve_options(serve: argparse.ArgumentParser) -> None:
    serve.set_defaults(command=_serve)
    _add_folder(serve)
    serve.add_argument("--host", default="127.0.0.1", help="a loopback address (%(default)s)")
    serve.add_argument("--port", type=_port, help=f"default {ports.SERVER}, or the next free one")
    serve.add_argument(
        "--lease-seconds",
        type=_seconds,
        default=90.0,
        help="a silent worker keeps its jobs so long",
    )
    serve.add_argument("--owner-pid", type=_pid, default=0, help="end with this process")


def _lab_options(lab: argparse.ArgumentParser) -> None:
    lab.set_defaults(command=_lab)
    lab.add_argument("--port", type=_port, help=f"JupyterLab's; default {ports.NOTEBOOKS}, or the next free one")
    lab.add_argument("--server-port", type=_port, help=f"default {ports.SERVER}, or the next free one")
    lab.add_argument("--no-browser", dest="browser", action="store_false", help="print the address")


def _add_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data-dir", help="default: nearest .ironflow, else the project root's")


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{value} is not a port: choose one from 1024 to 65535")
    return value


def _pid(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a process")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{value:g} is not a number of seconds above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
