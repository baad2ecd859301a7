"""What it costs to begin: CPU of imports in a fresh process, and seconds from nothing to a finished run.

    python -m tests.bench.bench_import SUBJECT

`shell` is `import ironflow_lab`; `client` our client's first call, `base` the same call with httpx and
msgspec alone, `sdk` the import of the official SDK; `start` is a kernel's first minute: `il.start()`,
a function, one run, in an empty folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench import shape

CLOCKED = """
import sys, time
began = time.process_time()
{body}
print((time.process_time() - began) * 1e3)
"""
BODIES = {
    "shell": "import ironflow_lab",
    "client": """
from ironflow_lab import Client
with Client({url!r}) as client:
    assert client.server.health().status == "ok"
assert not {{"pandas", "ipywidgets", "plotly", "aiohttp"}} & set(sys.modules)
""",
    "base": """
import httpx, msgspec
with httpx.Client(trust_env=False) as client:
    assert msgspec.json.decode(client.get({url!r} + "/health").content)["status"] == "ok"
""",
    "sdk": "import ironflow",
}
START = """
import time
began = time.perf_counter()
import ironflow_lab as il
lab = il.start(port=0)

@lab.function("first", on="first")
async def first(ctx):
    return await ctx.step.run("greet", lambda: "hello")

assert lab.emit_sync("first", {}).result == "hello"
print(time.perf_counter() - began)
il.stop()
"""


def fresh(code: str, folder: Path) -> float:
    """Return the number that a fresh process prints last."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IRONFLOW")}
    # A file, not -c: a function's source is read from it, as a notebook keeps that of a cell.
    file = folder / "subject.py"
    file.write_text(code)
    done = subprocess.run(
        [sys.executable, str(file)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(shape.ROOT), "IRONFLOW_NO_DISCOVERY": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(done.stdout.split()[-1])


def against_server(body: str, folder: Path) -> float:
    """Return the CPU of a first call to a running server."""
    port = shape.free_port()
    places = ["--port", str(port), "--data-dir", str(folder / "data")]
    server = shape.spawn([sys.executable, "-m", "ironflow_lab.cli", "serve", *places], folder / "server.log")
    try:
        shape.until(lambda: shape.listening(port), "the server", process=server)
        code = CLOCKED.format(body=body.format(url=f"http://127.0.0.1:{port}"))
        fresh(code, folder)
        return fresh(code, folder)
    finally:
        shape.kill(server)


def main() -> None:
    """Measure the subject and print its line; each is run once before, for warm files."""
    subject = sys.argv[1]
    task = shape.Task(peer=subject, workload="begin", size=shape.Size(runs=1, steps=1, flight=1), variant="")
    with shape.scratch("begin") as folder:
        if subject == "start":
            (folder / "warm").mkdir()
            fresh(START, folder / "warm")
            task.report(seconds=round(fresh(START, folder), 3))
        elif subject in ("client", "base"):
            task.report(cpu_ms=round(against_server(BODIES[subject], folder), 1))
        else:
            code = CLOCKED.format(body=BODIES[subject])
            fresh(code, folder)
            task.report(cpu_ms=round(fresh(code, folder), 2))


if __name__ == "__main__":
    main()
