"""What a tab is told: everything once, then what came since; and the view it is told from."""

from __future__ import annotations

import asyncio

import pytest

from ironflow_lab.errors import NotFoundError, UnavailableError
from ironflow_lab.history.pack import Chunk
from ironflow_lab.jupyter.upstream import Upstream
from ironflow_lab.jupyter.views import Answer, Views
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Run, RunStatus, Step, StepStatus, StepType
from ironflow_lab.wire.stepid import step_id
from tests.unit.history.reader import Reader
from tests.unit.history.stories import RUN, T0, Story
from tests.unit.jupyter.engine import Engine

FOLLOW = "runs/audit"


def running() -> Story:
    """A run in its first step."""
    return Story().created(0).moved(1, "running", "claimed").started(2, "charge")


def engine_of(story: Story, *extras: str, status: str = "running", **row: object) -> Engine:
    """A server that has recorded this story."""
    engine = Engine(*extras)
    engine.trail = story.events
    engine.runs[RUN] = Run(id=RUN, function_id="pay", status=RunStatus(status), input={"n": 1}, **row)  # type: ignore[arg-type]
    return engine


def told(answer: Answer) -> Chunk:
    """The chunk of an answer that has one."""
    assert answer.chunk is not None
    return answer.chunk


async def opened(views: Views, upstream: Upstream) -> Answer:
    """The first answer to a new tab."""
    return await views.chunk(upstream, RUN, after=0, cursor="", wait=0)


@pytest.mark.parametrize("extras", [(FOLLOW,), ()])
async def test_everything_first_and_then_what_came_since(extras: tuple[str, ...]) -> None:
    story = running()
    views, engine = Views(), engine_of(story, *extras)
    engine.page = 2
    upstream, reader = engine.upstream(), Reader()
    first = await opened(views, upstream)
    reader.take(told(first).jsonable())
    assert (told(first).first, len(reader.events), first.ended) == (0, 3, False)

    assert await views.chunk(upstream, RUN, after=3, cursor=first.cursor, wait=0) == Answer(
        cursor=first.cursor, chunk=None, ended=False
    )
    story.completed(3, "charge", "ok")
    second = await views.chunk(upstream, RUN, after=3, cursor=first.cursor, wait=0)
    assert (second.cursor, told(second).first) == (first.cursor, 3)
    document = reader.take(told(second).jsonable()).document(4)
    assert (document["steps"][0]["status"], document["steps"][0]["output"]) == ("completed", "ok")
    assert engine.asked.count("capabilities") == 1


@pytest.mark.parametrize(("output", "source"), [(1, "fold"), (2, "incomplete")])
async def test_the_end_of_a_run_is_compared_with_its_rows(output: int, source: str) -> None:
    story = Story().created(0).moved(1, "running", "claimed")
    views, engine = Views(), engine_of(story, FOLLOW)
    upstream = engine.upstream()
    first = await opened(views, upstream)
    assert told(first).meta["source"] == "fold"
    story.moved(2, "completed", "completed", output=1)
    engine.runs[RUN] = Run(id=RUN, function_id="pay", status=RunStatus("completed"), input={"n": 1}, output=output)
    last = await views.chunk(upstream, RUN, after=2, cursor=first.cursor, wait=0)
    assert (last.ended, told(last).meta["ended"], told(last).meta["source"]) == (True, True, source)
    assert told(await opened(views, upstream)).meta["source"] == source


async def test_a_tab_that_missed_something_gets_everything_again() -> None:
    story = running()
    views, upstream = Views(), engine_of(story, FOLLOW).upstream()
    first = await opened(views, upstream)
    for after, cursor in ((2, first.cursor), (3, "unknown")):
        again = await views.chunk(upstream, RUN, after=after, cursor=cursor, wait=0)
        assert told(again).first == 0
        assert again.cursor not in (first.cursor, cursor)


async def test_a_view_belongs_to_one_server_and_one_run() -> None:
    views, engine = Views(), engine_of(running(), FOLLOW)
    upstream = engine.upstream()
    first = await opened(views, upstream)
    elsewhere = engine_of(Story().created(0), FOLLOW).upstream("http://127.0.0.1:9124")
    other = await views.chunk(elsewhere, RUN, after=3, cursor=first.cursor, wait=0)
    assert (told(other).first, len(told(other).events)) == (0, 16)
    assert told(other).meta["server"] == "http://127.0.0.1:9124"
    engine.runs["run_2"] = Run(id="run_2")
    with pytest.raises(NotFoundError):
        await views.chunk(upstream, "run_3", after=3, cursor=first.cursor, wait=0)


async def test_two_tabs_of_one_run_do_not_take_from_each_other() -> None:
    story = running()
    views, upstream = Views(), engine_of(story, FOLLOW).upstream()
    one, two = await opened(views, upstream), await opened(views, upstream)
    story.completed(3, "charge", "ok")
    for tab in (one, two):
        assert told(await views.chunk(upstream, RUN, after=3, cursor=tab.cursor, wait=0)).first == 3


async def test_two_requests_of_one_tab_take_turns() -> None:
    story = running()
    views, upstream = Views(), engine_of(story, FOLLOW).upstream()
    tab = await opened(views, upstream)
    story.completed(3, "charge", "ok")
    asked = (views.chunk(upstream, RUN, after=3, cursor=tab.cursor, wait=0) for _ in range(2))
    answers = await asyncio.gather(*asked)
    assert sorted(told(answer).first for answer in answers) == [0, 3]


async def test_the_least_used_view_is_forgotten() -> None:
    views, upstream = Views(), engine_of(running(), FOLLOW).upstream()
    first, second = await opened(views, upstream), await opened(views, upstream)
    await views.chunk(upstream, RUN, after=3, cursor=first.cursor, wait=0)
    for _ in range(31):
        await opened(views, upstream)
    assert (await views.chunk(upstream, RUN, after=3, cursor=first.cursor, wait=0)).chunk is None
    assert (await views.chunk(upstream, RUN, after=3, cursor=second.cursor, wait=0)).chunk is not None


async def test_a_run_that_was_not_recorded_is_rebuilt_from_its_rows_when_they_change() -> None:
    engine = engine_of(Story(), FOLLOW, created_at=Instant(T0), started_at=Instant(T0 + 1))
    engine.steps = (
        Step(
            id="s-1", step_id=step_id(RUN, "charge", 0), status=StepStatus("running"), step_type=StepType("invoke"),
            started_at=Instant(T0 + 2), attempt=1,
        ),
    )  # fmt: skip
    views, upstream = Views(), engine.upstream()
    first = await opened(views, upstream)
    meta = told(first).meta
    assert (meta["source"], meta["recording"]) == ("rows", "")
    assert "not recorded" in meta["note"]
    length = len(told(first).events) // 16
    unchanged = await views.chunk(upstream, RUN, after=length, cursor=first.cursor, wait=20)
    assert unchanged.chunk is None

    (step,) = engine.steps
    engine.steps = (Step(id=step.id, step_id=step.step_id, status=StepStatus("completed"), output=1, attempt=1),)
    changed = await views.chunk(upstream, RUN, after=length, cursor=first.cursor, wait=20)
    assert told(changed).first == 0
    document = Reader().take(told(changed).jsonable()).document(len(told(changed).events) // 16)
    assert document["steps"][0]["status"] == "completed"


async def test_values_that_stayed_behind_are_found_in_any_view_of_the_run() -> None:
    story = running().completed(3, "charge", ["x" * 100] * 1_000)
    views, engine = Views(), engine_of(story, FOLLOW)
    upstream = engine.upstream()
    chunk = told(await opened(views, upstream))
    key = Reader().take(chunk.jsonable()).document(4)["steps"][0]["output"]["key"]
    assert len(await views.value(upstream, RUN, key)) > 100_000
    # After this process was started again there is no view, and the run is read again.
    assert await Views().value(upstream, RUN, key) == await views.value(upstream, RUN, key)
    with pytest.raises(NotFoundError, match="no such value"):
        await views.value(upstream, RUN, "0")


async def test_an_outage_is_an_error_and_leaves_the_view_as_it_was() -> None:
    story = running()
    views, engine = Views(), engine_of(story, FOLLOW)
    upstream = engine.upstream()
    first = await opened(views, upstream)
    engine.down = True
    with pytest.raises(UnavailableError):
        await views.chunk(upstream, RUN, after=3, cursor=first.cursor, wait=0)
    engine.down = False
    story.completed(3, "charge", "ok")
    assert told(await views.chunk(upstream, RUN, after=3, cursor=first.cursor, wait=0)).first == 3
