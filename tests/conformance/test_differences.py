"""The table of known differences is true and whole: `differences.toml`."""

from __future__ import annotations

import ast
import http.client
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.plain import Plain
from tests.conformance.test_official_messages import official_script

HERE = Path(__file__).parent
TABLE: dict[str, list[dict[str, Any]]] = tomllib.loads((HERE / "differences.toml").read_text())
KINDS = {"procedures", "options", "routes", "behaviours"}


@pytest.fixture(scope="module", autouse=True)
def only_embedded(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--server-url", default=None):
        pytest.skip("the table is about the embedded server")


def test_every_entry_says_why_and_until_when() -> None:
    assert TABLE.keys() == KINDS
    for entry in (entry for kind in TABLE.values() for entry in kind):
        assert len(entry["reason"]) > 10, entry
        number = entry["brought_by"].removeprefix("issue ")
        assert number.isdigit() or entry["brought_by"] in ("no issue yet", "kept"), entry


def test_every_scenario_exists() -> None:
    for entry in TABLE["behaviours"]:
        module, _, wanted = entry["scenario"].partition("::")
        tree = ast.parse((HERE / module).read_text())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert wanted in names, entry
        assert entry["here"] != entry["cluster"], entry


def test_every_procedure_is_there_or_listed(plain: Plain) -> None:
    """All 115 of the official descriptors: listed ones are unimplemented, the others are not."""
    official = official_script("procedures.py").split()
    assert len(official) == len(set(official)) == 115
    listed = [name for entry in TABLE["procedures"] for name in entry["names"]]
    assert len(listed) == len(set(listed))
    missing = []
    for name in official:
        answer = plain.post(name, {})
        if answer.status == 501:
            assert answer.fault == (501, "unimplemented")
            missing.append(name)
        else:
            assert answer.status in (200, 400, 404), answer
    assert sorted(missing) == sorted(listed)


@pytest.mark.parametrize("entry", TABLE["options"], ids=lambda entry: str(entry["fields"])[:50])
def test_options_are_refused_by_name(plain: Plain, name: str, entry: dict[str, Any]) -> None:
    answer = plain.post("RegisterFunction", {"id": name, **entry["fields"]})
    assert answer.fault == (501, "unimplemented")
    assert name in answer.json["message"], "the function is named"
    assert plain.post("GetFunction", {"id": name}).status == 404


@pytest.mark.parametrize("fields", [{"recording": False}, {"secrets": []}, {"cancelOn": []}, {"actorKey": ""}])
def test_an_option_that_asks_for_nothing_is_accepted(plain: Plain, name: str, fields: Any) -> None:
    assert plain.post("RegisterFunction", {"id": name, **fields}).status == 200


@pytest.mark.parametrize("route", [path for entry in TABLE["routes"] for path in entry["paths"]])
def test_missing_routes_say_so(plain: Plain, route: str) -> None:
    method, _, path = route.partition(" ")
    assert plain.send(method, path).fault in ((404, "not_found"), (501, "unimplemented"))


def test_streams_are_refused_plainly(plain: Plain) -> None:
    for kind in ("application/connect+proto", "application/connect+json"):
        answer = plain.send("POST", "/ironflow.v1.IronflowService/GetRun", b"", headers={"Content-Type": kind})
        assert answer.status == 415, answer
        assert answer.fault[1] in ("invalid_argument", "unimplemented")
        assert "application/json" in answer.json["message"]


def test_no_transport_is_promised_that_is_not_there(plain: Plain) -> None:
    found = plain.rest("GET", "/api/v1/capabilities").json
    assert "websocket" not in found["transports"]
    assert "grpc-bidirectional" not in found["transports"]
    assert found["lab"], "the extra routes are advertised"


def test_any_key_is_accepted_but_no_foreign_host(plain: Plain) -> None:
    key = {"Authorization": "Bearer ifkey_anything"}
    assert plain.post("Health", {}, headers=key).status == 200
    address = urlsplit(plain.url)
    for host in ("attacker.example", "localhost@attacker.example", "127.0.0.1.attacker.example"):
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=20)
        try:
            connection.request("GET", "/health", headers={"Host": host})
            assert connection.getresponse().status == 403, host
        finally:
            connection.close()
