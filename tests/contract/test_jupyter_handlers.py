"""The handlers in a real Jupyter server: who may ask, what they answer, and a server that goes and returns."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from ironflow_lab import local
from ironflow_lab.client import Client
from ironflow_lab.local import lock, ports
from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger
from ironflow_lab.models.workers import Assignment, JobFault, JobUpdate, RegisterRequest
from tests.contract.notebook_server import ROUTES, Answer, Listener, NotebookServer, started
from tests.unit.history.reader import Reader

KEY = "key-of-the-engine"
READS = ("status", "runs", "statuses", "runs/run_1/chunk", "runs/run_1/value")
SHIP = RegisterFunctionRequest(id="ship", triggers=(Trigger(event="ship.asked"),), recording=True)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookServer]:
    """A Jupyter server; what it was asked to start has to end with it."""
    root = tmp_path_factory.mktemp("shown").resolve()
    for folder in ("here", "started", "held"):
        (root / folder / ".ironflow").mkdir(parents=True, mode=0o700)
    # A file that a killed server left: without it whatever listens at the default address would be found.
    discovered(root / "started", f"http://127.0.0.1:{ports.next_free(9500)}")
    server = started(root, tmp_path_factory.mktemp("home"))
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)
    until(lambda: lock.holder(root / "started" / ".ironflow") is None)


@pytest.fixture(scope="module")
def engine(jupyter: NotebookServer) -> Iterator[local.Local]:
    """The embedded server of the folder `here`; its discovery file says a key."""
    folder = jupyter.root / "here"
    running = local.start(cwd=folder, port=0)
    with_key(folder)
    yield running
    local.stop(folder / ".ironflow", force=True)


@pytest.fixture
def client(engine: local.Local) -> Iterator[Client]:
    """A client of that server, with a worker."""
    with Client(engine.url, "", "") as made:
        made.functions.register(SHIP)
        made.workers.register("w-1", RegisterRequest(worker_id="w-1", function_ids=("ship",)))
        yield made


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    deadline = monotonic() + 30
    while not condition():
        assert monotonic() < deadline
        sleep(0.02)


def with_key(folder: Path) -> None:
    """Have the discovery file of a folder name a key."""
    path = folder / ".ironflow" / "engine.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), "api_key": KEY}))


def started_run(client: Client, **data: Any) -> tuple[str, Assignment]:
    """Begin a run and take it as a worker."""
    (run_id,) = client.events.emit("ship.asked", data).run_ids
    (job,) = client.workers.poll("w-1", available=1).jobs
    assert job.run_id == run_id
    return run_id, job


def finish(client: Client, job: Assignment, output: object) -> None:
    """Complete a run."""
    done = JobUpdate(status="completed", output=output, execution_seq=job.execution_seq, lease_token=job.lease_token)
    client.workers.update("w-1", job.job_id, done)


def fault(answer: Answer) -> tuple[int, str]:
    """The status and the code of a refusal."""
    assert answer.json["message"]
    return answer.status, answer.json["code"]


@pytest.mark.parametrize("route", READS)
def test_no_route_answers_without_the_token(jupyter: NotebookServer, route: str) -> None:
    assert jupyter.send("GET", ROUTES + route, token="").status == 403
    assert jupyter.send("GET", ROUTES + route, token="wrong").status == 403
    assert jupyter.send("POST", ROUTES + route, b"").status == 405


def test_starting_needs_the_user_too(jupyter: NotebookServer) -> None:
    assert jupyter.send("POST", f"{ROUTES}start?folder=started", b"", token="").status == 403
    assert jupyter.send("GET", f"{ROUTES}start").status == 405
    assert lock.holder(jupyter.root / "started" / ".ironflow") is None


def test_a_page_of_another_site_cannot_start_anything(jupyter: NotebookServer) -> None:
    page = jupyter.send("GET", "/tree?token=the-token-of-jupyter", token="")
    seen = jupyter.send("GET", "/login", token="", Cookie=cookie(page))
    cookies = "; ".join(filter(None, (cookie(page), cookie(seen))))
    assert jupyter.send("GET", f"{ROUTES}status", token="", Cookie=cookies, Referer=f"{jupyter.url}/lab").status == 200
    refused = jupyter.send("POST", f"{ROUTES}start?folder=started", b"", token="", Cookie=cookies, Referer=jupyter.url)
    assert refused.status == 403
    assert "_xsrf" in refused.body.decode()
    assert lock.holder(jupyter.root / "started" / ".ironflow") is None


def cookie(answer: Answer) -> str:
    """What a browser sends back."""
    return "; ".join(one.partition(";")[0] for one in answer.cookies)


@pytest.mark.parametrize(
    "path",
    ["health", "runs/run_1", "runs/run_1/steps", "api/v1/runs", "ironflow.v1.IronflowService/ListRuns", "status/x"],
)
def test_what_is_not_listed_is_not_there(jupyter: NotebookServer, path: str) -> None:
    assert jupyter.send("GET", ROUTES + path).status == 404
    assert jupyter.send("POST", ROUTES + path, b"{}").status in (403, 404, 405)


@pytest.mark.parametrize("run_id", ["..", "%2e%2e", "a%2Fb", "a/b", "x" * 129, "-x", "%00", "a%20b"])
def test_an_id_that_could_mean_something_else_is_not_there(jupyter: NotebookServer, run_id: str) -> None:
    assert jupyter.send("GET", f"{ROUTES}runs/{run_id}/chunk").status in (400, 404)


@pytest.mark.parametrize(
    ("route", "query"),
    [
        ("runs", {"limit": "-1"}),
        ("runs", {"limit": "201"}),
        ("runs", {"limit": "many"}),
        ("runs", {"status": "done"}),
        ("runs", {"function": "f" * 201}),
        ("statuses", {"runs": ",".join(f"run_{number}" for number in range(201))}),
        ("statuses", {"runs": "run_1,../run_2"}),
        ("statuses", {"runs": "r" * 130}),
        ("runs/run_1/chunk", {"after": "x"}),
        ("runs/run_1/chunk", {"wait": "21"}),
        ("runs/run_1/chunk", {"cursor": "c" * 201}),
        ("runs/run_1/value", {"key": "k" * 201}),
        ("status", {"folder": "../.."}),
        ("status", {"folder": "f" * 801}),
    ],
)
def test_arguments_are_checked_here(jupyter: NotebookServer, route: str, query: dict[str, str]) -> None:
    assert fault(jupyter.get(route, **query)) == (400, "invalid_argument")


def test_a_body_that_no_start_needs_is_refused(jupyter: NotebookServer) -> None:
    assert fault(jupyter.send("POST", f"{ROUTES}start?folder=started", b"x" * 5_000)) == (400, "invalid_argument")


def test_the_server_of_a_folder_is_started_once_and_said(jupyter: NotebookServer) -> None:
    before = jupyter.get("status", folder="started").json
    assert (before["found"], before["startable"]) == (False, True)
    assert fault(jupyter.get("runs", folder="started")) == (502, "unavailable")
    answers: list[Answer] = []
    both = [threading.Thread(target=lambda: answers.append(jupyter.post("start", folder="started"))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    running = local.find(jupyter.root / "started" / ".ironflow")
    assert running is not None
    assert [(one.status, one.json["found"], one.json["url"]) for one in answers] == [(200, True, running.url)] * 2
    assert f"it ends with process {jupyter.process.pid}" in running.note
    # Where a kernel of that folder, or of one below it, looks for a server.
    (jupyter.root / "started" / "deeper").mkdir()
    assert jupyter.get("status", folder="started/deeper").json == jupyter.get("status", folder="started").json


def test_the_newest_runs_without_their_payloads(jupyter: NotebookServer, client: Client) -> None:
    first, job = started_run(client, card="4242")
    finish(client, job, {"card": "4242"})
    second, job = started_run(client, card="4242")
    answer = jupyter.get("runs", folder="here", limit=2)
    assert [(run["id"], run["status"]) for run in answer.json["runs"]] == [(second, "running"), (first, "completed")]
    assert b"4242" not in answer.body
    assert "no-store" in answer.headers
    assert [run["id"] for run in jupyter.get("runs", folder="here", status="running").json["runs"]] == [second]
    assert jupyter.get("runs", folder="here", function="other").json["runs"] == []
    finish(client, job, None)


def test_how_named_runs_stand(jupyter: NotebookServer, engine: local.Local, client: Client) -> None:
    first, job = started_run(client, card="4242")
    broken = JobUpdate(
        status="failed",
        error=JobFault(message="no funds\nsecret line", retryable=False),
        execution_seq=job.execution_seq,
        lease_token=job.lease_token,
    )
    client.workers.update("w-1", job.job_id, broken)
    second, job = started_run(client, card="4242")
    query: dict[str, str | int] = {"folder": "here", "server": f"{engine.url}/"}
    for extra in ((), [f"run_{number}" for number in range(9)]):
        answer = jupyter.get("statuses", runs=",".join((first, second, second, "run_never", *extra)), **query)
        found = {run["id"]: (run["function_id"], run["status"], run["error"]) for run in answer.json["runs"]}
        assert found == {first: ("ship", "failed", "no funds"), second: ("ship", "running", "")}
        assert answer.json["unknown"] == ["run_never", *extra]
        assert b"4242" not in answer.body
    assert jupyter.get("statuses", runs="", **query).json == {"runs": [], "unknown": []}
    # What a saved notebook says of another server is not to be mixed with this one's runs.
    elsewhere = jupyter.get("statuses", folder="here", server="http://127.0.0.1:1", runs=first)
    assert fault(elsewhere) == (409, "failed_precondition")
    finish(client, job, None)


def test_a_history_grows_in_the_tab_as_it_happens(jupyter: NotebookServer, client: Client) -> None:
    run_id, job = started_run(client, password="hunter2", text="x" * 100_000)
    first = jupyter.get(f"runs/{run_id}/chunk", folder="here").json
    reader = Reader().take(first["chunk"])
    document = reader.document(len(reader.events))
    assert (document["run"]["status"], first["ended"]) == ("running", False)

    held: list[Answer] = []
    query: dict[str, str | int] = {"folder": "here", "after": len(reader.events), "cursor": first["cursor"], "wait": 20}
    tab = threading.Thread(target=lambda: held.append(jupyter.get(f"runs/{run_id}/chunk", **query)))
    began = monotonic()
    tab.start()
    finish(client, job, {"ok": True})
    tab.join()
    # The request was held and then answered by the event, not by the end of the wait.
    assert monotonic() - began < 15
    last = held[0].json
    reader.take(last["chunk"])
    assert last["ended"]
    assert last["chunk"]["meta"]["source"] == "fold"
    assert reader.document(len(reader.events))["run"]["output"] == {"ok": True}

    asked = document["run"]["input"]
    value = jupyter.get(f"runs/{run_id}/value", folder="here", key=asked["key"]).json["json"]
    assert msgspec.json.decode(value) == {"password": "[redacted]", "text": "x" * 100_000}
    assert fault(jupyter.get(f"runs/{run_id}/value", folder="here", key="0")) == (404, "not_found")
    assert fault(jupyter.get("runs/run_never/chunk", folder="here")) == (404, "not_found")
    assert not [answer for answer in jupyter.answers if b"hunter2" in answer.body]


def test_a_run_that_was_not_recorded_is_shown_from_its_rows(jupyter: NotebookServer, client: Client) -> None:
    client.functions.register(RegisterFunctionRequest(id="plain", triggers=(Trigger(event="plain.asked"),)))
    (run_id,) = client.events.emit("plain.asked", {"n": 1}).run_ids
    chunk = jupyter.get(f"runs/{run_id}/chunk", folder="here").json["chunk"]
    assert (chunk["meta"]["source"], chunk["meta"]["recording"]) == ("rows", "")
    reader = Reader().take(chunk)
    assert reader.document(len(reader.events))["run"]["input"] == {"n": 1}


def test_a_tab_goes_on_where_it_was_when_the_server_returns(
    jupyter: NotebookServer, engine: local.Local, client: Client
) -> None:
    run_id, job = started_run(client)
    first = jupyter.get(f"runs/{run_id}/chunk", folder="here").json
    length = len(Reader().take(first["chunk"]).events)
    query: dict[str, str | int] = {"folder": "here", "after": length, "cursor": first["cursor"]}
    os.kill(engine.pid, signal.SIGKILL)
    until(lambda: lock.holder(engine.data_dir) is None)
    gone = jupyter.get("status", folder="here").json
    assert (gone["found"], gone["startable"]) == (False, True)
    assert fault(jupyter.get(f"runs/{run_id}/chunk", **query)) == (502, "unavailable")

    port = int(engine.url.rpartition(":")[2])
    again = local.start(cwd=jupyter.root / "here", port=port)
    with_key(jupyter.root / "here")
    assert again.url == engine.url
    assert jupyter.get("status", folder="here").json["found"]
    finish(client, job, "done")
    last = jupyter.get(f"runs/{run_id}/chunk", **query).json
    assert (last["cursor"], last["chunk"]["first"], last["ended"]) == (first["cursor"], length, True)


def test_the_engine_hears_the_key_and_the_browser_never(jupyter: NotebookServer) -> None:
    with Listener() as listener:
        discovered(jupyter.root / "held", listener.url)
        status = jupyter.get("status", folder="held").json
        assert (status["found"], status["url"]) == (True, listener.url)
        assert listener.keys == [f"Bearer {KEY}"]
    assert len(jupyter.answers) > 10
    assert not [answer for answer in jupyter.answers if KEY in answer.headers or KEY.encode() in answer.body]


def test_a_browser_that_leaves_takes_its_question_back(jupyter: NotebookServer) -> None:
    with Listener() as listener:
        discovered(jupyter.root / "held", listener.url)
        path = f"{ROUTES}runs/run_held/chunk?{urlencode({'folder': 'held', 'wait': 20})}"
        with jupyter.asking(path):
            assert listener.held.wait(30)
            assert not listener.left.is_set()
        assert listener.left.wait(30)


def discovered(folder: Path, url: str) -> None:
    """Have a folder lead to a server, with a key."""
    content = {"version": 1, "url": url, "api_key": KEY}
    (folder / ".ironflow" / "engine.json").write_bytes(msgspec.json.encode(content))
