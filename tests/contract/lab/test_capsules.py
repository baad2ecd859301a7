"""Runs of a real server carried away: the file shows what the lab showed, where there is no server at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.history import hiding, redaction
from ironflow_lab.history.capsule import pack
from ironflow_lab.lab.run import Run
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire.message import Request
from tests.unit.history.chrometrace import check

SECRET = "hunter2-s3cret"


@pytest.fixture(scope="module")
def failed(lab: il.Lab) -> Run:
    """A run with a child, a sleep, a retried step, a null, a correction, lines of a log and a secret, that failed."""

    @lab.function("kid")
    async def kid(ctx: Any) -> Any:
        return await ctx.step.run("grow", lambda: {"age": 1})

    @lab.function("settle", on="order.placed", retry={"max_attempts": 2, "initial_delay": "10ms"} | {
        "on_exhausted": "fail"
    })  # fmt: skip
    async def settle(ctx: Any) -> Any:
        print(f"settling with {ctx.event.data['password']}")
        charged = await ctx.step.run("charge", lambda: {"api_key": SECRET, "total": 2**60 + 1})
        await ctx.step.sleep("rest", "10ms")
        await ctx.step.invoke("kid", {"n": 1})
        await ctx.step.run("nothing", lambda: None)
        return await ctx.step.run("ship", lambda: 1 / (charged["total"] - charged["total"]))

    run = lab.emit("order.placed", {"n": 7, "password": SECRET}).wait(timeout="30s").runs[0]
    assert run.status == "failed"
    return run.patch("nothing", {"now": "something"}, reason="it was empty")


@pytest.fixture(scope="module")
def exact(failed: Run, folder: Path) -> Run:
    """The same out of a file with exact values."""
    return il.open(failed.save(folder / "exact", redact=False))


@pytest.mark.parametrize("view", ["steps", "audit", "timeline", "children", "logs"])
def test_every_frame_is_the_same(failed: Run, exact: Run, view: str) -> None:
    live, carried = getattr(failed, view), getattr(exact, view)
    pd.testing.assert_frame_equal(live, carried)
    assert not live.empty
    assert carried.attrs["complete"] == live.attrs["complete"]
    assert carried.attrs["source"] == live.attrs["source"]
    assert carried.attrs["server"].startswith("capsule exact.ironflow, read from http://")


def test_every_moment_is_the_same(failed: Run, exact: Run) -> None:
    length = len(failed.audit)
    for position in range(length + 1):
        one, other = failed.at(position), exact.at(position)
        assert [one.status, one.input, one.output, one.error] == [other.status, other.input, other.output, other.error]
        pd.testing.assert_frame_equal(one.steps, other.steps)
    pd.testing.assert_frame_equal(failed.diff(0, -1), exact.diff(0, -1))


def test_what_it_says_is_the_same(failed: Run, exact: Run) -> None:
    one, other = failed.why(), exact.why()
    assert (other.fact, other.source, other.cause) == (one.fact, one.source, one.cause)
    live, carried = failed.recording(), exact.recording()
    assert (carried.run, carried.steps, carried.events, carried.code) == (live.run, live.steps, live.events, live.code)
    assert carried.code.code_hash and carried.source == "capsule"
    card, copy = str(failed).splitlines(), str(exact).splitlines()
    assert copy[: len(card)] == card
    assert copy[len(card)].startswith("  capsule exact.ironflow, saved ") and copy[len(card)].endswith("exact values")


def test_the_trace_obeys_its_format_and_is_the_same(failed: Run, exact: Run, folder: Path) -> None:
    text = failed.to_perfetto()
    assert isinstance(text, str)
    assert text == exact.to_perfetto()
    names = [event["name"] for event in check(text)["traceEvents"]]
    assert {"charge", "rest: sleeping", "ship (failed)", "kid", "starts", "Step nothing patched"} <= set(names)
    written = exact.to_perfetto(folder / "trace.json")
    assert json.loads(Path(written).read_text()) == json.loads(text)


def test_a_redacted_file_holds_no_secret_and_the_run_is_untouched(
    failed: Run, folder: Path, traffic: list[Request]
) -> None:
    path = failed.save(folder / "redacted")
    assert [one.path for one in traffic if not one.repeatable] == [], "saving only reads"
    opened = il.open(path)
    del traffic[:]
    shown = [
        opened,
        opened.steps.to_string(),
        opened.audit.to_string(),
        opened.logs.to_string(),
        opened.recording().run,
    ]
    assert not any(SECRET in str(one) for one in shown)
    assert opened.input == {"n": 7, "password": redaction.HIDDEN}
    assert opened.logs.text.iloc[0] == f"settling with {redaction.HIDDEN}"
    assert traffic == [], "and what is opened asks nobody"


def test_it_replays_on_the_code_the_run_had_and_never_on_what_was_hidden(failed: Run, exact: Run, folder: Path) -> None:
    replay = exact.replay()
    assert (replay.status, replay.same, replay.code_hash) == ("failed", True, exact.recording().code.code_hash)
    refused = il.open(failed.save(folder / "hidden")).replay()
    assert refused.status == "stopped"
    assert "$.password" in refused.reason


FRESH = """
    import sys
    seen = []
    def watch(event, given):
        if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname",
                     "subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn", "os.system", "os.mkdir"):
            seen.append(f"{event} {given[:2]}")
        if event == "open" and isinstance(given[1], str) and set(given[1]) & set("wax+"):
            seen.append(f"open {given[:2]}")
    sys.addaudithook(watch)
    sys.dont_write_bytecode = True

    import ironflow_lab as il

    async def settle(ctx):
        charged = await ctx.step.run("charge", lambda: None)
        await ctx.step.sleep("rest", "10ms")
        await ctx.step.invoke("kid", {"n": 1})
        await ctx.step.run("nothing", lambda: None)
        return await ctx.step.run("ship", lambda: None)

    run = il.open(sys.argv[1])
    views = [run, run._repr_html_(), run.steps, run.audit, run.timeline, run.children, run.logs, run.at(5), run.why(),
             run.diff(0, -1), run.to_perfetto(), run.recording(), run.blame("error"), run.compare(run)]
    assert all(map(str, views))
    assert not run.scrub().live
    replay = run.replay(settle)
    print(len(views), run.status, replay.status, replay.same, replay.error.message, sep="|")
    print(run.fork("ship", {"ship": 5}, settle).output)
    try:
        run.retry()
    except il.errors.FailedPreconditionError as error:
        print(str(error)[:29])
    print(*seen, sep="\\n")
"""


def test_a_fresh_process_with_no_server_shows_and_replays_it_and_opens_no_socket(exact: Run, tmp_path: Path) -> None:
    path = exact.save(tmp_path / "carried", redact=False)
    (tmp_path / "empty").mkdir()
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FRESH), str(path)],
        cwd=tmp_path / "empty", env={**os.environ, "IRONFLOW_SERVER_URL": "http://127.0.0.1:9"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.stderr == ""
    said, fork, refused, *seen = found.stdout.splitlines()
    assert said.split("|")[:4] == ["14", "failed", "failed", "True"]
    assert "division by zero" in said
    assert fork == "5"
    assert refused == "capsule carried.ironflow is a"
    assert seen in ([], [""])
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_run_that_waits_is_carried_as_it_stands_and_is_not_followed(lab: il.Lab, folder: Path) -> None:
    @lab.function("patient", on="patience.asked")
    async def patient(ctx: Any) -> Any:
        return (await ctx.step.wait_for_event("ok", "patience.given", timeout="1h")).data

    emission = lab.emit("patience.asked", {"n": 1})
    run = lab.run(emission.run_ids[0])
    lab._session.call(lambda client: _waits(client, run.id), timeout=30)
    opened = il.open(run.save(folder / "patient"))
    lab.emit("patience.given", {})
    lab.wait([run.id], timeout="30s")
    assert (opened.status, run.status) == ("waiting", "completed")
    assert opened.why().fact.reason == "event"
    assert "it had not ended then" in str(opened)
    assert not opened.scrub().live
    assert opened.recording().note == "the run was waiting when the capsule was saved"


async def _waits(client: Any, run_id: str) -> None:
    while (await client.runs.get(run_id)).status != "waiting":
        await client.audit.follow(run_id, wait="1s")


def test_a_run_that_was_not_recorded_says_so_in_the_file_too(lab: il.Lab, folder: Path) -> None:
    @lab.function("forgotten", on="forget.asked", recording=False)
    async def forgotten(ctx: Any) -> Any:
        return await ctx.step.run("only", lambda: {"n": 1})

    run = lab.emit("forget.asked", {"n": 1}).wait(timeout="30s").runs[0]
    opened = il.open(run.save(folder / "forgotten"))
    assert opened.timeline.attrs["source"] == "rows"
    pd.testing.assert_frame_equal(opened.timeline, run.timeline)
    assert "was not recorded" in opened.recording().note
    with pytest.raises(FailedPreconditionError, match="was not recorded"):
        opened.at(1)


def test_of_a_server_that_tells_less_it_tells_as_much(exact: Run, folder: Path) -> None:
    whole = exact._session.capsule
    assert whole is not None
    origin = msgspec.structs.replace(whole.origin, missing=("runs/audit", "runs/why"))
    less = hiding.hide(msgspec.structs.replace(whole, origin=origin, why=None))
    (folder / "less.ironflow").write_bytes(pack(less))
    opened = il.open(folder / "less.ironflow")
    assert opened.why().source == "rows"
    assert opened.timeline.attrs["source"] == "fold", "rows and events agree after hiding too"
    pd.testing.assert_frame_equal(opened.timeline, exact.timeline)


def test_it_outlives_its_server(exact: Run, server: LocalServer) -> None:
    assert server.url in exact.steps.attrs["server"]
    assert exact._session.client.server_url == "http://capsule.invalid"
