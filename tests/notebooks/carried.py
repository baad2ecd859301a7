"""The notebooks' failed runs, carried away: saved while their server runs, opened in a fresh kernel without one."""

from __future__ import annotations

import os
from pathlib import Path

from jupyter_client.manager import start_new_kernel

import ironflow_lab as il
from ironflow_lab import local

# In every way there is, in a kernel that knows nothing of the notebook that the run is of.
LOOK = """
import pathlib
import ironflow_lab as il

for path in sorted(pathlib.Path().glob("*.ironflow")):
    run = il.open(path)
    assert run.status == "failed" and run.error.message, run
    assert run.why().cause and run.why().can, run
    assert len(run.timeline) and len(run.audit) == len(run.timeline) and len(run.steps) <= len(run.audit), run
    assert "failed" in run._repr_html_() and run.at(-1).status and len(run.diff(1, -1)), run
    assert run.compare(run).same and str(run.blame("error")), run
    assert run.scrub() is not None and run.to_perfetto(), run
    print(run.function_id)
assert not pathlib.Path(".ironflow").exists(), "a server was begun"
"""


def save(server: Path, folder: Path) -> set[str]:
    """Save a failed run of each function that has one to `folder`; return the functions."""
    lab = il.connect(local.start(cwd=server).url)
    failed = lab.runs(status="failed", limit=None)
    found: dict[str, str] = dict(zip(failed["function_id"], failed["run_id"], strict=True))
    for function, run in found.items():
        lab.run(run).save(folder / function)
    return set(found)


def look(folder: Path, functions: set[str]) -> None:
    """Open all that was saved, in one kernel; raises when something of them cannot be seen."""
    manager, client = start_new_kernel(cwd=str(folder), env={**os.environ, "IRONFLOW_SERVER_URL": ""})
    seen: list[str] = []
    try:

        def hear(message: dict[str, object]) -> None:
            content = message["content"]
            assert isinstance(content, dict)
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(content["traceback"]))
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                seen.extend(content["text"].split())

        client.execute_interactive(LOOK, timeout=60, output_hook=hear)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert functions, "no notebook has a failed run"
    assert set(seen) == functions, f"opened {seen}, saved {functions}"
