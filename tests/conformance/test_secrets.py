"""Secrets: kept by anybody's REST client, told to nobody but the workers of functions that declare them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.plain import Answer, Plain, instant
from tests.conformance.plain_worker import PlainWorker
from tests.conformance.processes import ROOT, clean_environment
from tests.conformance.test_official_messages import official_script

ROUTE = "/api/v1/secrets"
HERE = {"X-Ironflow-Environment-ID": "env_default"}
VALUE = "sk_live_1234"


def asked(plain: Plain, method: str, name: str = "", body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    path = f"{ROUTE}/{name}" if name else ROUTE
    raw = None if body is None else json.dumps(body).encode()
    return plain.send(method, path, raw, headers={"Content-Type": "application/json", **(headers or HERE)})


def kept(plain: Plain, name: str, value: str = VALUE, **fields: str) -> dict[str, Any]:
    answer = asked(plain, "POST", body={"name": name, "value": value, **fields})
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json
    return found


def test_a_secret_s_life(plain: Plain, name: str) -> None:
    answers = [asked(plain, "POST", body={"name": name, "value": VALUE, "description": "d"})]
    made = answers[0].json
    assert made == {**made, "name": name, "revision": 1, "description": "d"}
    assert instant(made["created_at"]) == instant(made["updated_at"])
    answers.append(asked(plain, "GET", name))
    assert answers[-1].json == made
    answers.append(asked(plain, "PUT", name, {"value": VALUE}))
    renewed = answers[-1].json
    assert renewed == {**made, "revision": 2, "updated_at": renewed["updated_at"]}
    assert instant(renewed["updated_at"]) > instant(made["updated_at"])
    answers.append(asked(plain, "PATCH", name, {"name": f"{name}-2", "description": None}))
    renamed = answers[-1].json
    assert renamed == {**renewed, "name": f"{name}-2", "updated_at": renamed["updated_at"]}
    answers.append(asked(plain, "GET"))
    assert renamed in answers[-1].json
    assert [secret["name"] for secret in answers[-1].json] == sorted(secret["name"] for secret in answers[-1].json)
    answers.append(asked(plain, "GET", name))
    assert answers[-1].fault == (404, "not_found")
    answers.append(asked(plain, "DELETE", f"{name}-2"))
    assert answers[-1].status in (200, 204)
    assert asked(plain, "DELETE", f"{name}-2").fault == (404, "not_found")
    assert not [answer for answer in answers if VALUE.encode() in answer.body]


@pytest.mark.parametrize(
    ("method", "part", "body", "fault"),
    [
        ("POST", "", {"name": "", "value": VALUE}, (400, "invalid_argument")),
        ("POST", "", {"value": VALUE}, (400, "invalid_argument")),
        ("POST", "", {"name": "one", "value": ""}, (400, "invalid_argument")),
        ("POST", "", {"name": "one", "value": [VALUE]}, (400, "invalid_argument")),
        ("POST", "", VALUE, (400, "invalid_argument")),
        ("PUT", "nobody", {"value": VALUE}, (404, "not_found")),
        ("PATCH", "nobody", {"name": "somebody"}, (404, "not_found")),
        ("DELETE", "nobody", None, (404, "not_found")),
    ],
)
def test_refusals_do_not_repeat_the_value(
    plain: Plain, method: str, part: str, body: Any, fault: tuple[int, str]
) -> None:
    answer = asked(plain, method, part, body)
    assert answer.fault == fault
    assert VALUE.encode() not in answer.body


def test_a_name_is_taken_once(plain: Plain, name: str) -> None:
    kept(plain, name)
    kept(plain, f"{name}-2")
    assert asked(plain, "POST", body={"name": name, "value": "v"}).fault == (409, "already_exists")
    assert asked(plain, "PATCH", name, {"name": f"{name}-2"}).fault == (409, "already_exists")
    assert asked(plain, "GET", name).json["revision"] == 1


def test_the_environment_has_to_be_named(plain: Plain, name: str) -> None:
    """By either header; `current` is that of the key."""
    assert plain.rest("GET", ROUTE).fault == (400, "invalid_argument")
    assert plain.rest("POST", ROUTE, {"name": name, "value": VALUE}).fault == (400, "invalid_argument")
    kept(plain, name)
    for headers in ({"X-Ironflow-Environment": "current"}, {**HERE, "X-Ironflow-Environment": "elsewhere"}):
        assert asked(plain, "GET", name, headers=headers).status == 200


def test_jobs_bring_those_declared_as_they_are_then(plain: Plain, name: str) -> None:
    declared = [f"{name}-a", f"{name}-b"]
    plain.call("RegisterFunction", {"id": name, "triggers": [{"event": f"{name}.go"}], "secrets": declared})
    worker = PlainWorker(plain, f"{name}-worker", (name,)).register()
    assert "secrets" not in plain.call("GetFunction", {"id": name})

    def brought() -> dict[str, str]:
        run_id = plain.start(f"{name}.go", {})
        job = worker.take(run_id)
        worker.done(job, "completed")
        found: dict[str, str] = job.raw["context"]["secrets"]
        return found

    assert brought() == {}
    kept(plain, declared[0], "1")
    kept(plain, f"{name}-c", "not declared")
    assert brought() == {declared[0]: "1"}
    asked(plain, "PUT", declared[0], {"value": "2"})
    kept(plain, declared[1], "3")
    assert brought() == dict(zip(declared, "23", strict=True))


def test_a_function_without_secrets_gets_no_context(plain: Plain, worker: PlainWorker, name: str) -> None:
    job = worker.take(plain.start(f"{name}.go", {}))
    assert "context" not in job.raw
    worker.done(job, "completed")


def test_the_official_rest_client(plain: Plain, name: str) -> None:
    here = {"x_ironflow_environment_id": "env_default"}
    calls: list[tuple[str, list[Any], dict[str, str]]] = [
        ("secrets_create", [{"name": name, "value": VALUE, "description": "d"}], here),
        ("secrets_create", [{"name": name, "value": VALUE}], here),
        ("secrets_get", [name], here),
        ("secrets_update", [name, {"value": VALUE}], here),
        ("secrets_patch", [name, {"name": f"{name}-2", "description": None}], here),
        ("secrets_list", [], here),
        ("secrets_delete", [f"{name}-2"], here),
        ("secrets_get", [name], here),
        ("secrets_list", [], {"x_ironflow_environment_id": "elsewhere"}),
    ]
    text = official_script("rest.py", json.dumps(calls), plain.url)
    assert VALUE not in text
    made, taken, found, renewed, renamed, every, gone, unknown, elsewhere = json.loads(text)
    assert made["answer"] == found["answer"] == {**made["answer"], "name": name, "revision": 1, "description": "d"}
    assert (taken["status"], taken["code"]) == (409, "already_exists")
    assert renewed["answer"]["revision"] == renamed["answer"]["revision"] == 2
    assert renamed["answer"]["name"] == f"{name}-2"
    assert renamed["answer"] in every["answer"]
    assert gone["answer"] in ({}, None)
    for refused in (unknown, elsewhere):
        assert (refused["status"], refused["code"]) == (404, "not_found")


def test_a_declared_name_must_be_one(plain: Plain, name: str) -> None:
    answer = plain.post("RegisterFunction", {"id": name, "secrets": ["a b"]})
    assert answer.fault == (400, "invalid_argument")
    assert name in answer.json["message"]


def test_limits(plain: Plain, name: str) -> None:
    """64 KiB of value, 2,000 characters of description."""
    kept(plain, name, "x" * 65_536, description="d" * 2_000)
    assert asked(plain, "PUT", name, {"value": "é" * 32_769}).fault == (400, "invalid_argument")
    assert asked(plain, "PATCH", name, {"description": "d" * 2_001}).fault == (400, "invalid_argument")


def test_a_key_for_encryption_is_not_taken_in_vain(tmp_path: Path) -> None:
    """Only of the embedded server: it cannot encrypt, so it does not start where that is asked for."""
    command = [sys.executable, "-m", "ironflow_lab.cli", "serve", "--port", "0", "--data-dir", "data"]
    environment = clean_environment(PYTHONPATH=str(ROOT), IRONFLOW_MASTER_KEY="a1" * 32)
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "IRONFLOW_MASTER_KEY is set, and this embedded server cannot encrypt" in done.stderr
    assert "a1a1" not in done.stderr + done.stdout
