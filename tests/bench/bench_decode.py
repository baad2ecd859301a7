"""How fast pages of runs become a frame: prints one JSON line per variant.

    python tests/bench/bench_decode.py [--records 100000] [--rounds 5]

Each round runs in a fresh process. `extra_mb` is the peak resident size over that of the process
when it already holds the pages; `decode_s` is JSON to rows, `frame_s` the whole way to columns.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = 500


def pages(records: int) -> list[bytes]:
    """Return response bodies of `ListRuns` with `PAGE` runs each, about 510 bytes a run."""
    return [_page(first) for first in range(0, records, PAGE)]


def _page(first: int) -> bytes:
    runs = [_run(number) for number in range(first, first + PAGE)]
    return json.dumps({"runs": runs, "nextCursor": f"c{first}", "totalCount": 100_000}).encode()


def _run(number: int) -> dict[str, object]:
    stamp = f"2026-01-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}"
    failed = number % 10 == 0
    run: dict[str, object] = {
        "id": f"run_{number:026d}",
        "functionId": f"function-{number % 7}",
        "eventId": f"evt_{number:026d}",
        "eventName": "order.placed",
        "status": "RUN_STATUS_FAILED" if failed else "RUN_STATUS_COMPLETED",
        "attempt": number % 3 + 1,
        "maxAttempts": 25,
        "startedAt": f"{stamp}:01.{number % 1000:03d}Z",
        "endedAt": f"{stamp}:02.{number:09d}Z",
        "createdAt": f"{stamp}:00Z",
        "updatedAt": f"{stamp}:02.{number:09d}Z",
        "functionVersion": 3,
        "input": {"order": number, "customer": {"id": number * 7, "name": "Ada"}, "items": [1, 2, 3]},
    }
    if failed:
        run["error"] = {"message": f"card {number} declined", "code": "DECLINED", "retryable": False}
    else:
        run["output"] = {"charged": number / 100, "receipt": f"https://example.org/r/{number}"}
    return run


def _once(records: int, *, payloads: bool) -> None:
    from ironflow_lab.frames.collector import paused
    from ironflow_lab.frames.runs import run_frame
    from ironflow_lab.models.runs import RunRowPage
    from ironflow_lab.wire import codec

    bodies = pages(records)

    def decoded() -> Iterator[RunRowPage]:
        for body in bodies:
            yield codec.decode(body, RunRowPage)

    run_frame([codec.decode(bodies[0], RunRowPage)], payloads=payloads)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    frame = run_frame(decoded(), payloads=payloads).frame
    whole = time.perf_counter() - start
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    assert len(frame) == records, "a bench that loses rows measures nothing"
    start = time.perf_counter()
    with paused():
        for _ in decoded():
            pass
    alone = time.perf_counter() - start
    size = sum(map(len, bodies)) / 1e6
    print(json.dumps({"frame_s": whole, "decode_s": alone, "extra_kb": extra, "json_mb": size}))


def _round(records: int, *, payloads: bool) -> dict[str, float]:
    flags = ["--payloads"] if payloads else []
    command = [sys.executable, __file__, "--once", "--records", str(records), *flags]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    result: dict[str, float] = json.loads(output)
    return result


def main() -> None:
    """Measure both variants in turn and print their medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--payloads", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        _once(given.records, payloads=given.payloads)
        return
    variants: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for _ in range(given.rounds):
        for payloads, results in variants.items():
            results.append(_round(given.records, payloads=payloads))
    for payloads, results in variants.items():
        print(json.dumps(_summary(given.records, payloads, results)))


def _summary(records: int, payloads: bool, results: list[dict[str, float]]) -> dict[str, object]:
    rates = sorted(records / one["frame_s"] for one in results)
    return {
        "bench": "decode",
        "records": records,
        "payloads": payloads,
        "json_mb": round(results[0]["json_mb"], 1),
        "rows_per_s": round(statistics.median(rates)),
        "rows_per_s_range": [round(rates[0]), round(rates[-1])],
        "decode_alone_rows_per_s": round(records / statistics.median(o["decode_s"] for o in results)),
        "extra_mb": round(statistics.median(one["extra_kb"] for one in results) / 1024, 1),
    }


if __name__ == "__main__":
    main()
