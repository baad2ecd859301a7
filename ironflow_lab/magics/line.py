"""`%ironflow`: what its words do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ironflow_lab import local
from ironflow_lab.errors import DefinitionError, IronflowError
from ironflow_lab.lab import joining
from ironflow_lab.magics import forms, grammar
from ironflow_lab.magics.grammar import Asked

if TYPE_CHECKING:
    from ironflow_lab.lab.lab import Lab


class Help(str):
    """A help text, shown as it is written."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text without quotes."""
        return str(self)


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server runs; `url` is "" when it does not, `pid` 0 and `data_dir` "" when it is not the embedded one."""

    running: bool
    url: str = ""
    version: str = ""
    pid: int = 0
    data_dir: str = ""
    note: str = ""

    def __repr__(self) -> str:
        """Return one line."""
        if not self.running:
            return f"<no server {f'at {self.url}' if self.url else f'of {self.data_dir}'}: {self.note}>"
        parts = [f"version {self.version}" if self.version else "", f"process {self.pid}" if self.pid else ""]
        parts += [f"data in {self.data_dir}" if self.data_dir else "", self.note]
        return f"<server {', '.join([self.url, *filter(None, parts)])}>"


def execute(line: str, namespace: Mapping[str, Any]) -> Any:
    """Return the value of an `%ironflow` line, a `Help` where that is asked for.

    `namespace` holds the notebook's variables. Raises `DefinitionError` for what it cannot read, else what
    the function of the same meaning raises.
    """
    words = grammar.words(line)
    if not words or words[0] in (*grammar.HELP, "help"):
        return Help(forms.overview())
    verb = forms.VERBS.get(words[0])
    if verb is None:
        raise DefinitionError(f"%ironflow knows no {words[0]!r:.40}{grammar.nearest(words[0], forms.VERBS)}")
    asked = grammar.read(verb, words[1:])
    if asked.help:
        return Help(verb.describe())
    return _DEEDS[words[0]](asked, namespace)


def lab_of(asked: Asked, namespace: Mapping[str, Any]) -> Lab:
    """Return the lab to use; raises `IronflowError` when none was joined, `DefinitionError` for a name of none."""
    from ironflow_lab.lab.lab import Lab

    name = asked.options.get("lab")
    if name is None:
        found = joining.current()
        if found is None:
            raise IronflowError(
                "no lab is joined; run `lab = il.start()` for the embedded server, or `lab = il.connect(url)`"
            )
        return found
    named = namespace.get(name)
    if not isinstance(named, Lab):
        labs = [key for key, value in namespace.items() if isinstance(value, Lab) and not key.startswith("_")]
        there = f"there is {', '.join(labs)}" if labs else "make one: lab = il.start()"
        raise DefinitionError(f"--lab {name!r:.40}: no variable of this name is a lab; {there}")
    return named


def _runs(asked: Asked, namespace: Mapping[str, Any]) -> Any:
    options = {name: value for name, value in asked.options.items() if name != "lab"}
    return lab_of(asked, namespace).runs(**options)


def _run(asked: Asked, namespace: Mapping[str, Any]) -> Any:
    parts = [name for name in ("why", "steps", "timeline") if name in asked.options]
    if len(parts) > 1:
        raise DefinitionError(f"%ironflow run shows one part at a time: --{parts[0]} or --{parts[1]}")
    run = lab_of(asked, namespace).run(asked.word)
    if not parts:
        return run
    return run.why() if parts == ["why"] else getattr(run, parts[0])


def _worker(asked: Asked, namespace: Mapping[str, Any]) -> Any:
    worker = lab_of(asked, namespace).worker
    if asked.word == "drain":
        worker.drain(*([asked.options["timeout"]] if "timeout" in asked.options else []))
    elif asked.word == "stop":
        worker.stop()
    elif asked.word == "start":
        worker.start()
    return worker


def _server(asked: Asked, namespace: Mapping[str, Any]) -> Any:
    folder = asked.options.get("data_dir")
    if asked.word == "start":
        return joining.start(folder, port=asked.options.get("port"))
    if asked.word == "stop":
        ended = joining.stop(folder, force="force" in asked.options)
        return Help("the server has ended; its runs go on with the next start" if ended else "no server ran there")
    lab = joining.current() if folder is None else None
    return _embedded(folder) if lab is None else _joined(lab)


def _joined(lab: Lab) -> ServerStatus:
    try:
        health = lab.client.server.health()
    except IronflowError as error:
        return ServerStatus(running=False, url=lab.client.server_url, note=str(error))
    return ServerStatus(
        running=True, url=lab.client.server_url, version=health.version, note="; ".join(health.warnings)
    )


def _embedded(folder: str | None) -> ServerStatus:
    found = local.find(folder)
    if found is None:
        where = "this folder" if folder is None else folder
        return ServerStatus(running=False, data_dir=where, note="start it with il.start(), or %ironflow server start")
    return ServerStatus(running=True, url=found.url, pid=found.pid, data_dir=str(found.data_dir), note=found.note)


_DEEDS = {"runs": _runs, "run": _run, "worker": _worker, "server": _server}
