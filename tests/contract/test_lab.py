"""A lab against a real server: what a notebook does, from joining to outcomes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    DefinitionError,
    FailedPreconditionError,
    GuardError,
    IronflowError,
    NotFoundError,
    RunFailedError,
    UnavailableError,
    WaitTimeoutError,
)
from ironflow_lab.frames import schema
from ironflow_lab.lab import loading
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire import connect

SECRET = "hunter2-s3cret"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory whose data folder is not the repository's."""
    before, place = Path.cwd(), tmp_path_factory.mktemp("lab")
    (place / ".ironflow").mkdir()
    os.chdir(place)
    yield place
    os.chdir(before)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(scope="module")
def lab(server: LocalServer) -> Iterator[il.Lab]:
    joined = il.connect(server.url)
    yield joined
    joined.worker.stop()
    joined.close()


@pytest.fixture(scope="module")
def orders(lab: il.Lab) -> il.Lab:
    """The lab with a function that charges, sleeps a moment, and fails for some."""

    @lab.function("settle", on="order.placed", retry={"max_attempts": 3, "initial_delay": "20ms"})
    async def settle(ctx: Any) -> Any:
        number = ctx.event.data["n"]
        charged = await ctx.step.run("charge", charge, number, ctx.run.attempt)
        await ctx.step.sleep("rest", "20ms")
        return {"n": number, "charged": charged}

    return lab


def charge(number: int, attempt: int) -> int:
    if number % 5 == 4:
        raise il.NonRetryableError(f"card {number} declined", code="DECLINED")
    if number % 5 == 3 and attempt == 1:
        raise TimeoutError("no answer")
    return number * 100


# ---- joining


def test_it_says_what_it_joined(lab: il.Lab, server: LocalServer) -> None:
    text = repr(lab)
    for part in (server.url, "version", "environment default"):
        assert part in text
    assert "without" not in text, "the embedded server lacks nothing a lab wants"
    assert "guarded" not in text


def test_the_key_shows_nowhere(server: LocalServer) -> None:
    joined = il.connect(server.url, api_key=SECRET)
    shown = [repr(joined), repr(joined.client), repr(joined.aio), repr(vars(joined)), joined._repr_html_()]
    joined.close()
    assert SECRET not in "".join(shown)


def test_no_server_there_is_one_error_with_the_remedy() -> None:
    with pytest.raises(UnavailableError, match=r"il\.start\(\)"):
        il.connect("http://127.0.0.1:1")


def test_the_environment_variable_is_used(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRONFLOW_SERVER_URL", server.url)
    joined = il.connect()
    assert joined.client.server_url == server.url
    joined.close()


# ---- functions and events


def test_a_function_runs_and_gives_its_result(orders: il.Lab) -> None:
    emission = orders.emit("order.placed", {"n": 1})
    assert emission.result == {"n": 1, "charged": 100}
    assert emission.status == "completed"
    assert emission.event_id.startswith("evt_")


def test_a_plain_function_too_and_it_can_be_called_as_it_is(lab: il.Lab) -> None:
    @lab.function(on="plain.asked")
    def plain_one(ctx: Any) -> Any:
        return ctx.step.run("double", lambda: ctx.event.data * 2)

    assert plain_one.id == "plain-one"
    assert lab.emit("plain.asked", 21).result == 42


def test_defining_again_replaces_it_for_new_runs(lab: il.Lab) -> None:
    for answer in ("first", "second"):

        @lab.function("swap", on="swap.asked")
        async def swap(ctx: Any, answer: str = answer) -> Any:
            return answer

        assert lab.emit_sync("swap.asked").result == answer


def test_joining_again_keeps_the_worker_and_its_functions(orders: il.Lab, server: LocalServer) -> None:
    again = il.connect(server.url)
    assert again.worker.status().worker_id == orders.worker.status().worker_id
    assert "settle" in {function.id for function in again.worker.status().functions}
    again.close()
    assert orders.emit("order.placed", {"n": 2}).result == {"n": 2, "charged": 200}


def test_functions_made_without_a_lab_can_be_served(lab: il.Lab) -> None:
    @il.function("apart", on="apart.asked")
    async def apart(ctx: Any) -> Any:
        return "served"

    lab.serve(apart)
    assert lab.emit("apart.asked").result == "served"


def test_failure_is_an_error_with_code_and_run(orders: il.Lab) -> None:
    with pytest.raises(RunFailedError, match="DECLINED: card 4 declined") as failed:
        _ = orders.emit("order.placed", {"n": 4}).result
    assert "run_" in str(failed.value)


def test_a_paused_run_ends_the_wait_and_is_no_result(lab: il.Lab) -> None:
    @lab.function("pauses", on="pause.asked", retry={"max_attempts": 1, "on_exhausted": "pause"})
    async def pauses(ctx: Any) -> Any:
        raise ConnectionError("down")

    emission = lab.emit("pause.asked").wait(timeout="10s")
    assert emission.status == "paused"
    with pytest.raises(RunFailedError, match=r"is paused.*until it is resumed"):
        _ = emission.result
    assert "paused" in str(emission.runs[0])


def test_an_event_nobody_listens_to_has_no_result(lab: il.Lab) -> None:
    emission = lab.emit("nobody.listens", {"a": 1})
    assert emission.run_ids == ()
    assert len(emission.frame()) == 1
    with pytest.raises(IronflowError, match=r"@lab\.function\(\.\.\., on='nobody\.listens'\)"):
        _ = emission.result


def test_the_same_idempotency_key_gives_the_same_run(orders: il.Lab) -> None:
    first, second = (orders.emit("order.placed", {"n": 1}, idempotency_key="once") for _ in range(2))
    assert first.run_ids == second.run_ids
    assert first.event_id == second.event_id


def test_emit_sync_returns_when_the_run_has_ended(orders: il.Lab) -> None:
    emission = orders.emit_sync("order.placed", {"n": 3})
    assert emission.frame()["status"].tolist() == ["completed"]
    assert emission.frame()["attempts"].tolist() == [2]
    assert emission.result == {"n": 3, "charged": 300}


def test_emit_sync_that_is_late_names_the_run_that_goes_on(lab: il.Lab) -> None:
    @lab.function("slow", on="slow.asked")
    async def slow(ctx: Any) -> Any:
        await ctx.step.sleep("long", "1h")

    with pytest.raises(WaitTimeoutError, match=r"lab\.wait\('run_"):
        lab.emit_sync("slow.asked", timeout="100ms")
    emission = lab.emit("slow.asked")
    with pytest.raises(WaitTimeoutError, match=r"1 run of 1 had not ended .* They go on"):
        emission.wait(timeout="100ms")
    run = emission.runs[0]
    assert "asleep in 'long' until" in run._repr_html_()
    assert run.cancel(reason="enough").status == "cancelled"
    assert "cancelled: enough" in repr(run)
    with pytest.raises(FailedPreconditionError):
        lab.cancel(run.id)


async def test_every_verb_works_inside_a_running_loop(orders: il.Lab) -> None:
    assert orders.emit_sync("order.placed", {"n": 1}).result == {"n": 1, "charged": 100}
    assert len(orders.wait(orders.emit("order.placed", {"n": 2}))) == 1
    assert len(orders.runs(limit=2)) == 2
    assert orders.aio is orders.aio
    assert (await orders.aio.server.health()).status
    await orders.aio.aclose()


def test_each_loop_has_its_own_awaited_client(lab: il.Lab) -> None:
    async def health() -> str:
        client = lab.aio
        status = (await client.server.health()).status
        await client.aclose()
        return status

    assert asyncio.run(health()) == asyncio.run(health())


# ---- many events


def test_outcomes_are_joined_to_the_rows(orders: il.Lab) -> None:
    frame = pd.DataFrame({"n": range(40), "note": ["x"] * 40}, index=[f"row {n}" for n in range(40)])
    emission = orders.emit_frame("order.placed", frame)
    joined = emission.wait(timeout="30s").frame()
    assert joined.index.tolist() == frame.index.tolist()
    assert joined["n"].tolist() == list(range(40))
    for row in joined.itertuples():
        expected = "failed" if row.n % 5 == 4 else "completed"
        assert row.status == expected
        assert row.attempts == (2 if row.n % 5 == 3 else 1)
        assert (row.output is pd.NA) if expected == "failed" else (row.output == {"n": row.n, "charged": row.n * 100})
    assert joined["duration"].notna().all()
    assert joined.attrs["complete"] is True
    assert list(joined.ironflow.failures().data[0].x) == [8]
    assert repr(emission).endswith("40 runs: 32 completed, 8 failed>")


def test_waiting_works_without_the_servers_hold(orders: il.Lab) -> None:
    session = orders._session
    held, session.holds = session.holds, False
    try:
        frame = pd.DataFrame({"n": range(45)})
        assert len(orders.emit_frame("order.placed", frame).wait(timeout="30s").frame()) == 45
        assert orders.wait(orders.emit("order.placed", {"n": 0}), timeout="30s")[0].status == "completed"
    finally:
        session.holds = held


def test_a_named_batch_is_never_doubled_and_may_grow(orders: il.Lab) -> None:
    frame = pd.DataFrame({"n": [100, 101, 101, 102]})
    part = orders.emit_frame("order.placed", frame.head(2), key="batch of May")
    whole = orders.emit_frame("order.placed", frame, key="batch of May")
    again = orders.emit_frame("order.placed", frame.iloc[::-1], key="batch of May")
    assert whole.event_ids[:2] == part.event_ids
    assert len(set(whole.event_ids)) == 4, "equal rows are two bills"
    assert sorted(again.event_ids) == sorted(whole.event_ids)


def test_a_complete_batch_without_a_name_is_sent_anew(orders: il.Lab) -> None:
    frame = pd.DataFrame({"n": [200, 201]})
    first, second = (orders.emit_frame("order.placed", frame) for _ in range(2))
    assert not set(first.event_ids) & set(second.event_ids)


def test_a_refused_row_stops_no_other_and_the_rest_is_not_doubled(orders: il.Lab) -> None:
    frame = pd.DataFrame({"n": [300, 301, 302], "note": ["a", "x" * 40_000_000, "b"]})
    first = orders.emit_frame("order.placed", frame)
    joined = first.frame()
    assert joined["emit_error"].isna().tolist() == [True, False, True]
    assert joined["run_id"].isna().tolist() == [False, True, False]
    assert "1 refused" in repr(first)
    again = orders.emit_frame("order.placed", frame)
    assert again.event_ids == first.event_ids


def test_refused_altogether_is_an_error_and_not_a_frame(orders: il.Lab) -> None:
    with pytest.raises(IronflowError):
        orders.emit_frame("order.*", pd.DataFrame({"n": [1]}))


def test_no_rows_are_no_events(orders: il.Lab) -> None:
    emission = orders.emit_frame("order.placed", pd.DataFrame({"n": pd.Series([], dtype="int64")}))
    assert emission.wait().frame().columns.tolist()[0] == "n"
    assert len(emission.frame()) == 0


@pytest.mark.parametrize("key", ["", " ", "k" * 300, 5])
def test_a_bad_batch_name_is_refused_before_anything_is_sent(orders: il.Lab, key: Any) -> None:
    with pytest.raises(DefinitionError, match="names the batch"):
        orders.emit_frame("order.placed", pd.DataFrame({"n": [1]}), key=key)


# ---- frames


def test_runs_are_read_with_filters_and_say_where_they_came_from(orders: il.Lab, server: LocalServer) -> None:
    orders.emit_frame("order.placed", pd.DataFrame({"n": [4, 9]})).wait()
    frame = orders.runs(function="settle", status=["failed"], since="1h", payloads=True, limit=1)
    assert frame["status"].tolist() == ["failed"]
    assert frame["error_code"].tolist() == ["DECLINED"]
    assert frame.ironflow.expand("input", "n")["input.n"].dtype == "Int64"
    assert frame.attrs["server"] == server.url
    assert frame.attrs["query"] == {"function_id": "settle", "statuses": ["failed"], "since": "1h", "limit": 1}
    assert frame.attrs["complete"] is False
    assert "of" in frame.attrs["truncated"]
    json.dumps(frame.attrs)


def test_dtypes_do_not_depend_on_what_is_there(orders: il.Lab) -> None:
    some, none = orders.runs(payloads=True), orders.runs(function="unheard-of", payloads=True)
    assert len(none) == 0
    assert (some.dtypes == none.dtypes).all()
    assert [column.name for column in schema.RUNS + schema.RUN_PAYLOADS] == list(none.columns)
    assert (orders.steps(some).dtypes == orders.steps(none).dtypes).all()


def test_cut_by_the_default_limit_is_said_aloud(orders: il.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    orders.emit_frame("order.placed", pd.DataFrame({"n": [1, 2]})).wait()
    monkeypatch.setattr(loading, "DEFAULT_LIMIT", 1)
    with pytest.warns(UserWarning, match=r"the first 1 of .*limit=None for all"):
        orders.runs(limit=1)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "all"])
def test_a_bad_limit_is_refused(orders: il.Lab, limit: Any) -> None:
    with pytest.raises(DefinitionError, match="limit"):
        orders.runs(limit=limit)


def test_steps_by_any_handle_are_the_same_run_by_run(orders: il.Lab) -> None:
    emission = orders.emit_frame("order.placed", pd.DataFrame({"n": [0, 3, 1]})).wait()
    by_emission = orders.steps(emission)
    for handle in (list(emission.run_ids), emission.runs, emission.frame(), emission.frame()["run_id"]):
        pd.testing.assert_frame_equal(orders.steps(handle), by_emission)
    assert by_emission["run_id"].drop_duplicates().tolist() == list(emission.run_ids)
    assert by_emission["name"].tolist() == ["charge", "rest"] * 3
    assert by_emission["status"].tolist() == ["completed"] * 6
    assert by_emission["output"].tolist() == [0, None, 300, None, 100, None]
    one = orders.steps(emission.run_ids[1], payloads=False)
    assert "output" not in one.columns
    assert one["attempt"].tolist()[0] == 2


def test_steps_of_an_unknown_run_are_an_error(orders: il.Lab) -> None:
    with pytest.raises(NotFoundError):
        orders.steps("run_that_never_was")
    with pytest.raises(DefinitionError, match="run_id"):
        orders.steps(pd.DataFrame({"a": [1]}))


def test_functions_are_a_frame(orders: il.Lab) -> None:
    frame = orders.functions().set_index("function_id")
    assert frame.loc["settle", "triggers"] == [{"event": "order.placed"}]
    assert frame.loc["settle", "max_attempts"] == 3
    assert frame.loc["settle", "mode"] == "pull"


# ---- one run


def test_a_run_reads_the_server_until_it_has_ended(orders: il.Lab) -> None:
    run = orders.emit("order.placed", {"n": 3, "password": SECRET, "note": "<script>alert(1)</script>"}).runs[0]
    orders.wait(run)
    assert run.status == "completed"
    assert run.attempts == 2
    assert run.output == {"n": 3, "charged": 300}
    assert run.input["password"] == SECRET
    assert run.error is None
    assert run.steps["name"].tolist() == ["charge", "rest"]
    for shown in (run._repr_html_(), str(run), repr(run)):
        assert SECRET not in shown
        assert "<script>" not in shown
        assert "settle" in shown
        assert "2 of 3" in shown
    assert orders.run(run).id == orders.run(run.id).id == run.id


def test_an_unknown_run_is_an_error(lab: il.Lab) -> None:
    with pytest.raises(NotFoundError, match="run_that_never_was"):
        lab.run("run_that_never_was")
    with pytest.raises(NotFoundError, match="run_that_never_was"):
        lab.wait("run_that_never_was", timeout="5s")


def test_waiting_for_nothing_returns_at_once(lab: il.Lab) -> None:
    assert lab.wait([]) == []


def test_a_card_of_a_server_that_is_gone_still_shows_what_is_known(folder: Path) -> None:
    with LocalServer() as passing:
        joined = il.connect(passing.url)
        run = joined.emit("nobody.listens").frame()
        assert len(run) == 1

        @joined.function("sleeper", on="sleep.asked")
        async def sleeper(ctx: Any) -> Any:
            await ctx.step.sleep("long", "1h")

        handle = joined.emit("sleep.asked").runs[0]
        joined.worker.stop()
    html = handle._repr_html_()
    assert "sleeper" in html
    assert "not up to date" in html
    joined.close()


# ---- the worker's card


def test_the_worker_shows_what_it_serves_and_keeps_output_by_run(lab: il.Lab) -> None:
    @lab.function("talks", on="talk.asked")
    async def talks(ctx: Any) -> Any:
        ctx.logger.info("spoken by %s", ctx.run.id)

    run_id = lab.emit_sync("talk.asked").run_ids[0]
    assert f"spoken by {run_id}" in lab.worker.logs(run_id)
    assert "talk.asked" in lab.worker._repr_html_()
    assert lab.worker.status().state == "running"


def test_a_stopped_worker_starts_again(orders: il.Lab) -> None:
    orders.worker.drain(timeout="5s")
    assert "stopped" in repr(orders.worker)
    orders.worker.start()
    assert orders.emit("order.placed", {"n": 5}).result == {"n": 5, "charged": 500}


def test_without_a_function_there_is_no_worker(folder: Path) -> None:
    with LocalServer() as other:
        joined = il.connect(other.url)
        assert "not started" in repr(joined.worker)
        with pytest.raises(IronflowError, match=r"@lab\.function"):
            joined.worker.status()
        joined.close()


# ---- safety


CHANGES: list[Callable[[il.Lab], Any]] = [
    lambda lab: lab.emit("order.placed", {}),
    lambda lab: lab.emit_sync("order.placed", {}),
    lambda lab: lab.emit_frame("order.placed", pd.DataFrame({"n": [1]})),
    lambda lab: lab.function("guarded", on="x.y")(lambda ctx: None),
    lambda lab: lab.worker.start(),
    lambda lab: lab.cancel(lab.runs(limit=1)["run_id"].iloc[0]),
]


def traffic(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the procedures that are called from now on."""
    called: list[str] = []
    write = connect.request

    def noted(procedure: str, *given: Any, **options: Any) -> Any:
        called.append(procedure)
        return write(procedure, *given, **options)

    monkeypatch.setattr(connect, "request", noted)
    return called


@pytest.mark.parametrize("change", CHANGES)
def test_a_guarded_lab_changes_nothing(
    change: Callable[[il.Lab], Any], orders: il.Lab, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders.emit("order.placed", {"n": 1}).wait()
    guarded = il.connect(server.url, guard=True)
    called = traffic(monkeypatch)
    with pytest.raises(GuardError, match=r"with lab\.allow\(\):"):
        change(guarded)
    assert set(called) <= connect.REPEATABLE
    guarded.close()


def test_allowed_changes_happen(orders: il.Lab, server: LocalServer) -> None:
    guarded = il.connect(server.url, guard=True)
    assert "guarded" in repr(guarded)
    with guarded.allow():
        assert guarded.emit("order.placed", {"n": 1}).result == {"n": 1, "charged": 100}
    guarded.close()


def test_reading_calls_nothing_that_changes(orders: il.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    emission = orders.emit_frame("order.placed", pd.DataFrame({"n": range(40)}))
    called = traffic(monkeypatch)
    emission.wait()
    frame = orders.runs(payloads=True, limit=50)
    orders.steps(frame.head(3))
    orders.functions()
    run = orders.run(frame["run_id"].iloc[0])
    _ = (run.status, run.steps, run.refresh(), repr(run), str(run), run._repr_html_())
    _ = (emission.frame(), emission.runs, emission.status, repr(emission), orders.wait(emission))
    _ = (repr(orders), repr(orders.worker), orders.worker._repr_html_())
    frame.ironflow.failures()
    frame.ironflow.latency()
    assert called
    assert set(called) <= connect.REPEATABLE


# ---- processes of their own


def run_script(folder: Path, code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("verb", ["emission.wait()", "lab.wait(emission)", "emission.result", "lab.emit_sync('s.s')"])
def test_the_stop_button_ends_a_wait_and_nothing_else(verb: str, server: LocalServer, tmp_path: Path) -> None:
    script = run_script(
        tmp_path,
        f"""
        import signal, threading
        import ironflow_lab as il
        from ironflow_lab.runtime.threads import LoopThread
        lab = il.connect({server.url!r})

        @lab.function("sleeps-{verb[:3]}", on="s.s")
        async def sleeps(ctx):
            await ctx.step.sleep("long", "1h")

        @lab.function("quick-{verb[:3]}", on="q.q")
        async def quick(ctx):
            return "still here"

        emission = lab.emit("s.s")
        real = LoopThread._wait

        def wait(self, future, deadline):
            # Pressed when the wait has begun.
            threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
            LoopThread._wait = real
            return real(self, future, deadline)

        LoopThread._wait = wait
        try:
            {verb}
        except KeyboardInterrupt:
            print("stopped", lab.run(emission.run_ids[0]).status, lab.emit("q.q").result)
        """,
    )
    output, errors = script.communicate(timeout=60)
    assert output.strip() in ("stopped waiting still here", "stopped running still here"), errors
    assert script.returncode == 0
    assert errors == ""


def test_a_batch_interrupted_with_its_kernel_is_continued_by_another(
    orders: il.Lab, server: LocalServer, folder: Path
) -> None:
    code = f"""
        import os
        import pandas as pd
        import ironflow_lab as il
        from ironflow_lab.lab import sending
        real = sending._emit

        async def emit(client, batch, position):
            if position == 20:
                os.kill(os.getpid(), 9)
            return await real(client, batch, position)

        if os.environ["DIE"] == "yes":
            sending._emit = emit
        lab = il.connect({server.url!r})
        emission = lab.emit_frame("kernel.died", pd.DataFrame({{"n": range(30)}}))
        print(*emission.event_ids)
        """

    def seen() -> int:
        return orders.client.runs.list(limit=1).total_count

    died = run_script(folder, code, DIE="yes")
    died.communicate(timeout=60)
    assert died.returncode == -9

    @orders.function("counts", on="kernel.died")
    async def counts(ctx: Any) -> Any:
        return None

    before = seen()
    output, errors = run_script(folder, code, DIE="no").communicate(timeout=60)
    assert errors == ""
    assert len(set(output.split())) == 30
    started = seen() - before
    assert 10 <= started < 30, "rows accepted before the kill started nothing new: the function came later"


def test_the_embedded_server_at_another_port_gets_the_functions_again(tmp_path: Path) -> None:
    script = run_script(
        tmp_path,
        """
        import ironflow_lab as il
        lab = il.start("data", port=0)

        @lab.function("stays", on="stay.asked")
        async def stays(ctx):
            return lab.client.server_url

        first = lab.emit("stay.asked").result
        assert il.stop("data")
        lab = il.start("data", port=0)
        second = lab.emit("stay.asked").result
        print(first == second, second == lab.client.server_url, len(lab.runs()))
        assert il.stop("data")
        """,
    )
    output, errors = script.communicate(timeout=60)
    assert output.split()[1:] == ["True", "2"], errors


@pytest.mark.parametrize("patch", ["", "nest_asyncio2", "nest_asyncio"])
def test_the_library_works_under_either_patch_and_under_none(patch: str, server: LocalServer, tmp_path: Path) -> None:
    if patch:
        pytest.importorskip(patch)
    script = run_script(
        tmp_path,
        f"""
        import asyncio
        import ironflow_lab as il

        async def main():
            patch = {patch!r}
            if patch:
                __import__(patch).apply()
            lab = il.connect({server.url!r})

            @lab.function("nested", on="nested.asked")
            async def nested(ctx):
                return await ctx.step.run("double", lambda: ctx.event.data * 2)

            print(lab.emit_sync("nested.asked", 4).result, len(lab.runs(limit=1)))
            async with lab.aio as client:
                print((await client.server.health()).status)

        asyncio.run(main())
        """,
    )
    output, errors = script.communicate(timeout=60)
    assert output.split() == ["8", "1", "ok"], errors
