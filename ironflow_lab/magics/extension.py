"""Putting the magics into an IPython shell, and taking them out."""

from __future__ import annotations

from typing import Any

from ironflow_lab.magics import forms
from ironflow_lab.magics.completion import IDENTIFIER, matcher
from ironflow_lab.magics.durable import define
from ironflow_lab.magics.line import Help, execute


def load(shell: Any) -> None:
    """Register the magics with a shell; loading them again changes nothing."""

    def ironflow(line: str) -> Any:
        return _shown(execute(line, shell.user_ns))

    def durable(line: str, cell: str | None = None) -> Any:
        if cell is None:
            return _shown(Help(forms.DURABLE.describe()))
        return _shown(define(line, cell, shell))

    ironflow.__doc__ = forms.overview()
    durable.__doc__ = forms.DURABLE.describe()
    shell.register_magic_function(ironflow, "line", "ironflow")
    shell.register_magic_function(durable, "line_cell", "durable")
    _forget(shell)
    if hasattr(shell.Completer, "custom_matchers"):
        shell.Completer.custom_matchers.append(matcher(shell.user_ns))


def unload(shell: Any) -> None:
    """Take the magics out of a shell; functions they defined stay."""
    for kind, name in (("line", "ironflow"), ("line", "durable"), ("cell", "durable")):
        shell.magics_manager.magics[kind].pop(name, None)
    _forget(shell)


def _forget(shell: Any) -> None:
    matchers = getattr(shell.Completer, "custom_matchers", [])
    matchers[:] = [one for one in matchers if getattr(one, "matcher_identifier", "") != IDENTIFIER]


def _shown(value: Any) -> Any:
    if not isinstance(value, Help):
        return value
    print(value)  # noqa: T201 - a help text belongs below the cell
    return None
