"""Whose a function is, between processes that share a server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError
from ironflow_lab.runtime.enrolment import OWNER
from ironflow_lab.testing import LocalServer

Script = Callable[..., "subprocess.Popen[str]"]

OTHER = """
    import sys
    sys.argv = ["other.py"]
    import ironflow_lab as il
    lab = il.connect({url!r})

    @lab.function("shared")
    def shared(ctx):
        return "theirs"

    print("ready", flush=True)
    lab.worker.run()
"""


def define(lab: il.Lab) -> None:
    @lab.function("shared")
    def shared(ctx: Any) -> str:
        return "ours"


def test_a_function_of_a_live_notebook_is_not_taken_over(
    lab: il.Lab, server: LocalServer, folder: Path, script: Script
) -> None:
    other = script(folder, OTHER.format(url=server.url))
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(DefinitionError, match=r"'shared' belongs to another notebook or script that is running"):
            define(lab)
        assert lab.invoke("shared", timeout="10s") == "theirs"
        # Its owner in the registration says nothing of the script.
        metadata = lab.client.functions.get("shared").metadata
        assert metadata is not None
        assert "other" not in metadata[OWNER]
    finally:
        other.kill()
        other.communicate()
    # On a local server it is there for the next, who may go on with it.
    define(lab)
    assert lab.invoke("shared", timeout="10s") == "ours"


def test_on_a_guarded_server_it_is_not_even_then(lab: il.Lab, server: LocalServer) -> None:
    lab.client.functions.register(il.function("foreign")(lambda ctx: None).request())
    guarded = il.connect(server.url, guard=True)
    with guarded.allow(), pytest.raises(DefinitionError, match=r"was not registered by a lab.*allow\(take_over=True\)"):
        guarded.function("foreign")(lambda ctx: "ours")
    assert (lab.client.functions.get("foreign").metadata or {}).get(OWNER) is None
    with guarded.allow(take_over=True):
        guarded.function("foreign")(lambda ctx: "ours")
    assert lab.invoke("foreign", timeout="10s") == "ours"
    with guarded.allow():
        guarded.function("foreign")(lambda ctx: "ours again")
    assert lab.invoke("foreign", timeout="10s") == "ours again"
    guarded.close()
