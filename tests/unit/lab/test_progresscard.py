"""An emission's progress as HTML without scripts, and as what our renderer reads."""

from __future__ import annotations

import json

from ironflow_lab.lab import progresscard
from ironflow_lab.lab.progresscard import MIME, Told
from ironflow_lab.lab.tally import Tally
from ironflow_lab.models.runs import Error, Run, RunStatus

HOSTILE = "<img src=x onerror=alert(1)>"
TOLD = Told(event="order.placed", server_url="http://127.0.0.1:9123", at=5_000_000_000)


def tally(*runs: Run) -> Tally:
    counted = Tally([run.id for run in runs])
    for run in runs:
        counted.take(run)
    return counted


def test_what_the_renderer_reads() -> None:
    ended = Run(id="run_1", function_id="pay", status=RunStatus("completed"), output={"card": "4242"})
    moving = Run(id="run_2", function_id="pay", status=RunStatus("running"), input={"card": "4242"})
    bundle = progresscard.bundle(tally(ended, moving), TOLD, "plain")
    assert bundle["text/plain"] == "plain"
    assert bundle[MIME] == {
        "version": 1,
        "server_url": "http://127.0.0.1:9123",
        "event": "order.placed",
        "total": 2,
        "counts": {"completed": 1, "running": 1},
        "settled": False,
        "run_ids": ["run_1", "run_2"],
        "rows": [
            {"run_id": "run_1", "function_id": "pay", "status": "completed", "note": ""},
            {"run_id": "run_2", "function_id": "pay", "status": "running", "note": ""},
        ],
        "note": "",
        "at": 5_000,
    }
    assert "4242" not in json.dumps(bundle)
    # Who reads it in a saved notebook reads what was known then.
    assert "1 of 2 runs: 1 completed, 1 running as of 1970-01-01 00:00:05 UTC" in bundle["text/html"]


def test_the_static_form_says_how_it_ended_and_runs_nothing() -> None:
    error = Error(message=HOSTILE, code="DECLINED")
    failed = Run(id="run_1", function_id=HOSTILE, status=RunStatus("failed"), error=error)
    told = Told(event=HOSTILE, server_url="http://x", at=0, note=HOSTILE)
    html = progresscard.bundle(tally(failed), told, "")["text/html"]
    assert "1 run: 1 failed</span>" in html
    assert "DECLINED: &lt;img" in html
    assert html.count("&lt;img") == 4
    assert "<img" not in html
    assert "<script" not in html


def test_a_batch_of_ten_thousand_stays_small() -> None:
    many = Tally([f"run_{number:020}" for number in range(10_000)])
    bundle = progresscard.bundle(many, Told(event="e" * 9_999, server_url="http://x", at=0), "")
    assert len(json.dumps(bundle)) < 20_000
    assert (bundle[MIME]["total"], len(bundle[MIME]["run_ids"]), len(bundle[MIME]["rows"])) == (10_000, 200, 20)
