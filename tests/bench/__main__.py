"""All measurements in interleaved rounds, and their ratios: `python -m tests.bench --rounds 4`.

A peer takes part when its interpreter is named: PEERS_PY_DBOS, PEERS_PY_LANGGRAPH, PEERS_PY_RESTATE (with
RESTATE_SERVER, its binary), PEERS_PY_IRONFLOW (the official SDK), and BENCH_PG_URL for DBOS over PostgreSQL.
The order is shuffled in every round, and only figures of one round are divided by each other: the
machine's other load moves all of them by a factor of two to five. Raw lines go to `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.shape import ROOT

OURS = ("ironflow-lab", "ironflow-lab-step")
# What a workload is judged by, and what else is worth a line.
FIGURES = {
    "W0": ("p50_ms",),
    "W1": ("p50_ms", "p99_ms"),
    "W2": ("runs_per_s",),
    "W3": ("ms_per_step", "replay_ms_per_step"),
    "W4": ("recover_s", "first_step_s", "run_twice", "lost"),
    "W6": ("state_ms", "document_ms", "wire_state_ms", "output_ms", "first_ms"),
    "W7": ("fork_ms", "fork_run_ms", "first_ms"),
    "begin": ("cpu_ms", "seconds"),
    "decode": ("rows_per_s", "decode_alone_rows_per_s", "extra_mb"),
    "runtime": ("cpu_us_run", "runs_s"),
    "scrub": ("step_p50_ms", "step_p95_ms", "fps", "interactive_ms", "saved_mb"),
    "stored": ("ratio", "few_us", "many_us"),
}
# Measured only when named: 100,000 runs have to be stored for it, and 50,000 executed.
NAMED_ONLY = ("stored",)
# Of counts and of our own parts a ratio says nothing.
RATIOS = ("p50_ms", "p99_ms", "runs_per_s", "ms_per_step", "recover_s", "first_step_s", "cpu_ms")


@dataclass(frozen=True)
class Contestant:
    """One script with its arguments, run by the interpreter that `home` names ("" is this one)."""

    label: str
    module: str
    arguments: tuple[str, ...]
    home: str = ""

    @property
    def interpreter(self) -> str:
        """The interpreter, or "" when the peer is not there."""
        return os.environ.get(f"PEERS_PY_{self.home}", "") if self.home else sys.executable


def contest(workload: str) -> list[Contestant]:
    """Return who takes part in a workload; slow peers do fewer runs of W2, which is a rate."""
    if workload == "begin":
        ours = [Contestant(name, "bench_import", (name,)) for name in ("shell", "client", "base", "start")]
        return [*ours, Contestant("sdk", "bench_import", ("sdk",), "IRONFLOW")]
    if workload == "stored":
        return [Contestant(workload, "bench_stored", ("--samples", "200"))]
    if workload in ("decode", "runtime"):
        return [Contestant(workload, f"bench_{workload}", ("--rounds", "1"))]
    if workload == "scrub":
        return [Contestant(f"{events} events", "bench_scrub", ("--events", events)) for events in ("10000", "50000")]
    if workload == "W0":
        return [Contestant("floor", "bench_floor", ("W0",))]
    return [
        Contestant(label, module, (workload, *_variant(variant), *_fewer(workload, label)), home)
        for label, module, variant, home, workloads in _ENTRANTS
        if workload in workloads
    ]


_ENTRANTS = (
    ("ironflow-lab", "bench_ironflowlab", "", "", "W1 W2 W3 W4 W6 W7"),
    ("ironflow-lab-step", "bench_ironflowlab", "step", "", "W1 W2 W3 W4"),
    (
        "official-worker",
        "bench_ironflowlab",
        "official",
        "",
        "W1 W2 W3 W4" if "PEERS_PY_IRONFLOW" in os.environ else "",
    ),
    ("floor", "bench_floor", "", "", "W1 W2 W3"),
    ("floor-full-http", "bench_floor", "full-http", "", "W1 W2 W3"),
    ("dbos", "bench_dbos", "", "DBOS", "W1 W2 W3 W4"),
    ("dbos-postgres", "bench_dbos", "postgres", "DBOS", "W1 W2 W3 W4" if "BENCH_PG_URL" in os.environ else ""),
    ("restate", "bench_restate", "", "RESTATE", "W1 W2 W3 W4"),
    ("langgraph", "bench_langgraph", "", "LANGGRAPH", "W1 W2 W3 W4"),
    ("langgraph-sync", "bench_langgraph", "sync", "LANGGRAPH", "W1 W2 W3"),
)


def _variant(name: str) -> tuple[str, ...]:
    return ("--variant", name) if name else ()


def _fewer(workload: str, label: str) -> tuple[str, ...]:
    runs = {"dbos": "100", "langgraph": "300", "langgraph-sync": "200", "dbos-postgres": "500"}
    return ("--runs", runs[label]) if workload == "W2" and label in runs else ()


def rounds(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the record of every measurement as it is made."""
    for number in range(options.rounds):
        for workload in options.only.split(","):
            entrants = [one for one in contest(workload) if one.interpreter]
            wanted = options.peers.split(",") if options.peers else [one.label for one in entrants]
            entrants = [one for one in entrants if one.label in wanted]
            random.Random(f"{number} {workload}").shuffle(entrants)
            for one in entrants:
                for record in measured(one, timeout=options.timeout):
                    yield {**record, "round": number, "workload": workload}


def measured(one: Contestant, *, timeout: float) -> list[dict[str, Any]]:
    """Return what a script printed, or one record that says why it printed nothing."""
    began = time.monotonic()
    command = [one.interpreter, "-m", f"tests.bench.{one.module}", *one.arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        trouble = done.stderr[-800:] if done.returncode or not lines else ""
    except subprocess.TimeoutExpired:
        lines, trouble = [], f"did not end in {timeout:.0f} s"
    found = lines if lines and not trouble else [{"error": trouble}]
    facts = {"wall_s": round(time.monotonic() - began, 1), "load": round(os.getloadavg()[0], 2)}
    return [{**facts, **line, "label": _label(one, line)} for line in found]


def _label(one: Contestant, line: dict[str, Any]) -> str:
    if one.label in ("runtime", "stored"):
        return str(line.get("workload", one.label))
    return f"{one.label} with payloads" if line.get("payloads") else one.label


# ---- tables


def tables(records: Sequence[dict[str, Any]]) -> str:
    """Return the figures and ratios of all rounds as text."""
    parts = []
    for workload, figures in FIGURES.items():
        found = [record for record in records if record["workload"] == workload and "error" not in record]
        if found:
            parts += [f"\n## {workload}", *(part for figure in figures for part in _table(found, figure))]
    parts += [f"ERROR {one['workload']} {one['label']}: {one['error']}" for one in records if "error" in one]
    return "\n".join(parts)


def _table(records: Sequence[dict[str, Any]], figure: str) -> list[str]:
    by_label: dict[str, dict[int, float]] = defaultdict(dict)
    for record in records:
        if figure in record:
            by_label[record["label"]][record["round"]] = record[figure]
    if not by_label:
        return []
    bases = [label for label in (*OURS, "client") if label in by_label and figure in RATIOS]
    head = f"| {figure} | " + " | ".join(["median [min-max]", *(f"{base} / this" for base in bases), "load"]) + " |"
    rows = [head, "|---" * (len(bases) + 3) + "|"]
    for label, values in by_label.items():
        ratios = [_ratio(by_label[base], values) for base in bases]
        loads = [record["load"] for record in records if record["label"] == label]
        rows.append("| " + " | ".join([label, _spread(list(values.values())), *ratios, _spread(loads)]) + " |")
    return [*rows, ""]


def _ratio(ours: dict[int, float], theirs: dict[int, float]) -> str:
    shared = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
    return _spread(shared) if shared else ""


def _spread(values: Sequence[float]) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.4g} [{least:.4g}-{most:.4g}]"


def main() -> int:
    """Measure, print tables; the status is 1 when a script of ours failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    usual = ",".join(name for name in FIGURES if name not in NAMED_ONLY)
    parser.add_argument("--only", default=usual, help=f"workloads, with commas between, also {', '.join(NAMED_ONLY)}")
    parser.add_argument("--peers", default="", help="contestants, with commas between; all by default")
    parser.add_argument("--out", type=Path, help="a file that gets one line of JSON a measurement")
    parser.add_argument("--timeout", type=float, default=400.0)
    options = parser.parse_args()
    records = []
    for record in rounds(options):
        records.append(record)
        note = record.get("error", "") or {name: record[name] for name in FIGURES[record["workload"]] if name in record}
        print(f"round {record['round']} {record['workload']} {record['label']}: {note}", file=sys.stderr, flush=True)
        if options.out is not None:
            with options.out.open("a") as sink:
                sink.write(json.dumps(record) + "\n")
    print(tables(records))
    return int(any("error" in record and record["label"] in OURS for record in records))


if __name__ == "__main__":
    sys.exit(main())
