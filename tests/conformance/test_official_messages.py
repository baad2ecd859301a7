"""The official SDK's own types read what we write: the golden bytes and the server's live answers.

Its decoder refuses unknown fields, and what it writes for the record it read must be what it got:
so no field is misspelt, no zero is written, and int64 and payload pairs travel as they should.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.plain import Plain
from tests.conformance.plain_worker import PlainWorker
from tests.conformance.processes import OFFICIAL, clean_environment, official_python
from tests.contract.golden.connect import CONNECT
from tests.contract.test_descriptors import RENAMED

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"

# What JSON alone carries: no message has it (rulings.md 29).
OURS = {"pauseBehavior"}

Reread = Callable[[list[tuple[str, str]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def reread() -> Reread:
    def run(messages: list[tuple[str, str]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(official_script("messages.py", json.dumps(messages)))
        return found

    return run


def official_script(name: str, given: str = "", *arguments: str) -> str:
    """Run a program of `official/` to its end and return its output."""
    done = subprocess.run(
        [official_python(), OFFICIAL / name, *arguments],
        input=given,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_golden_bytes(reread: Reread) -> None:
    messages = {name: official(json.loads((GOLDEN / f"{name}.json").read_text())) for name in CONNECT}
    answers = reread([(official_type(name), json.dumps(message)) for name, message in messages.items()])
    for (name, message), answer in zip(messages.items(), answers, strict=True):
        assert answer == {"json": message}, name


def test_other_spellings(reread: Reread) -> None:
    """What the golden tests call another spelling is one to the official types, too."""
    names = sorted({path.stem for path in (GOLDEN / "received").glob("*.json")} & CONNECT.keys())
    asked = []
    for name in names:
        message = json.loads((GOLDEN / "received" / f"{name}.json").read_text())
        for unknown in ("notKnownYet", "mode"):
            message.pop(unknown, None)
        asked.append((official_type(name), json.dumps(official(message))))
    for name, answer in zip(names, reread(asked), strict=True):
        expected = official(json.loads((GOLDEN / f"{name}.json").read_text()))
        assert drop_unset(answer["json"]) == drop_unset(expected), name


def official(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message without what is ours."""
    return {key: value for key, value in message.items() if key not in OURS}


def official_type(name: str) -> str:
    """Return the official name of a golden record's type."""
    kind = type(CONNECT[name])
    return RENAMED.get(kind, kind.__name__)


def drop_unset(message: Any) -> Any:
    """Without the explicit zeros that have presence: a time of 1970 and an Error's zero."""
    if isinstance(message, dict):
        zero = ("1970-01-01T00:00:00Z", "0", None)
        return {key: drop_unset(item) for key, item in message.items() if item not in zero}
    return [drop_unset(item) for item in message] if isinstance(message, list) else message


def test_live_answers(plain: Plain, worker: PlainWorker, reread: Reread, name: str) -> None:
    answers: list[tuple[str, Any]] = []

    def call(kind: str, procedure: str, body: dict[str, Any]) -> Any:
        found = plain.call(procedure, body)
        answers.append((kind, found))
        return found

    def note(run_id: str) -> None:
        call("Run", "GetRun", {"id": run_id})
        call("GetRunStepsResponse", "GetRunSteps", {"runId": run_id})

    retry = {"maxAttempts": 2, "initialDelayMs": 1, "onExhausted": "fail"}
    function = {"id": f"{name}-b", "triggers": [{"event": "x.*"}], "retry": retry, "metadata": {"a": 1}}
    for _ in range(2):
        call("RegisterFunctionResponse", "RegisterFunction", function)
    call("Function", "GetFunction", {"id": f"{name}-b"})
    call("ListFunctionsResponse", "ListFunctions", {"name": name, "limit": 1})
    for data in ({"a": 1}, [1, "b"], None, 0.5):
        pair = {"data" if isinstance(data, dict) else "dataValue": data}
        started = call("TriggerResponse", "Emit", {"event": f"{name}.go", **pair})
        (run_id,) = started["runIds"]
        note(run_id)
        job = worker.take(run_id)
        steps = [job.step("a", data), job.step("b", error={"message": "m", "stack": "s"})]
        worker.done(job, "progress", *steps)
        note(run_id)
        worker.sleep(job, "2001-01-01T00:00:00Z", *steps)
        again = worker.take(run_id)
        worker.sleep(again, "2101-01-01T00:00:00.123456Z")
        note(run_id)
        call("Run", "CancelRun", {"id": run_id, "reason": "enough"})
        note(run_id)
    failed, done = plain.start(f"{name}.go", {}), plain.start(f"{name}.go", {})
    worker.fail(worker.take(failed), retryable=False, retry_after_ms=5)
    worker.done(worker.take(done), "completed", output={"ok": [None]})
    sync = {"event": f"{name}.go", "timeoutMs": 1}
    call("TriggerSyncResponse", "TriggerSync", sync)
    call("TriggerSyncResponse", "TriggerSync", {"event": f"{name}.nobody"})
    for run_id in (failed, done):
        note(run_id)
    call("ListRunsResponse", "ListRuns", {"functionId": name, "limit": 3})
    call("ListRunsResponse", "ListRuns", {"functionId": f"{name}-none"})
    call("HealthResponse", "Health", {})
    read = reread([(kind, json.dumps(message)) for kind, message in answers])
    for (kind, message), answer in zip(answers, read, strict=True):
        assert answer == {"json": message}, kind
