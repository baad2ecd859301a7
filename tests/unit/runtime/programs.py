"""Made-up handlers, the same in both colours, and a server of a few lines that runs them to their end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

from ironflow_lab.models.workers import CompletedStep, StepResult
from ironflow_lab.runtime import execution
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.outcome import Outcome, Yielded
from tests.unit.runtime.assignments import segment_of
from tests.unit.runtime.fakes import FakeTopics, plain, tools

# What a handler does: ("run" | "sleep" | "wait" | "invoke" | "start" | "publish", name) or ("parallel" |
# "map", name, concurrency, one list of these per branch).
Op = tuple[Any, ...]

NAMES = st.sampled_from(["a", "b:c", "d.e", "ü\\", "fetch"])


_SIMPLE = st.tuples(st.sampled_from(["run", "run", "sleep", "wait", "invoke", "start", "publish"]), NAMES)


def _with_forks(inner: st.SearchStrategy[list[Op]]) -> st.SearchStrategy[list[Op]]:
    fork = st.tuples(
        st.sampled_from(["parallel", "map"]), NAMES, st.integers(0, 3), st.lists(inner, min_size=1, max_size=3)
    )
    return st.lists(st.one_of(fork, _SIMPLE), min_size=1, max_size=3)


PROGRAMS: st.SearchStrategy[list[Op]] = _with_forks(_with_forks(st.lists(_SIMPLE, max_size=2)))


class World:
    """What one run of a program leaves behind: the bodies executed, and what the server holds."""

    def __init__(self, delays: Iterator[int] | None = None) -> None:
        self.bodies: Counter[str] = Counter()
        self.rows: dict[str, CompletedStep] = {}
        self.topics = FakeTopics()
        self.segments = 0
        self._delays = delays

    async def pause(self) -> None:
        """Let others go first, a few turns or none."""
        for _ in range(next(self._delays) if self._delays is not None else 0):
            await asyncio.sleep(0)

    def body(self, place: str) -> str:
        self.bodies[place] += 1
        return place

    def take(self, results: list[StepResult], outcome: Outcome | None) -> bool:
        """Store a segment's report and end what it waits for; return whether it goes on."""
        for one in results:
            assert one.id not in self.rows, f"{one.id} was reported twice"
            self.rows[one.id] = CompletedStep(step_id=one.id, name=one.name, output=plain(one.output))
        if not isinstance(outcome, Yielded):
            return False
        wanted = outcome.wanted
        assert wanted.step_id not in self.rows
        outputs = {
            "sleep": None,
            "wait_for_event": {"id": "evt_2", "name": "e", "data": 1, "timestamp": "2026-01-02T03:04:05Z"},
            "invoke_function": wanted.step_id,
            "invoke_function_async": {"run_id": "run_02"},
        }
        output = msgspec.json.decode(msgspec.json.encode(outputs[wanted.type]))
        self.rows[wanted.step_id] = CompletedStep(step_id=wanted.step_id, name="n", output=output)
        return True

    async def finish(self, defined: DurableFunction) -> Outcome | None:
        """Execute segment after segment until the handler ends."""
        while True:
            self.segments += 1
            segment = segment_of(defined, *self.rows.values())
            if defined.is_async:
                await execution.run_async(segment, tools(self.topics))
            else:
                await asyncio.to_thread(execution.run_plain, segment, tools(self.topics))
            if not self.take(segment.collect(), segment.outcome):
                return segment.outcome


def names(ops: list[Op]) -> list[Op]:
    """Return the program with each fork's name made unique in its scope, as it must be."""
    return [
        (op[0], f"{op[1]}-{number}", op[2], [names(branch) for branch in op[3]]) if len(op) == 4 else op
        for number, op in enumerate(ops)
    ]


def looped(ops: list[Op], world: World) -> DurableFunction:
    """Return an `async def` handler that does this."""

    async def walk(step: Any, ops: list[Op], place: str) -> list[Any]:
        found: list[Any] = []
        for number, op in enumerate(ops):
            await world.pause()
            found.append(await one(step, op, f"{place}/{number}"))
        return found

    async def one(step: Any, op: Op, place: str) -> Any:
        async def body() -> str:
            await world.pause()
            return world.body(place)

        match op:
            case ("run", name):
                return await step.run(name, body)
            case ("sleep", name):
                return await step.sleep(name, 5)
            case ("wait", name):
                return (await step.wait_for_event(name, "order.approved")).data
            case ("invoke", name):
                return await step.invoke(name, {"at": place})
            case ("start", name):
                return (await step.invoke_async(name)).run_id
            case ("publish", name):
                return (await step.publish(name, place)).event_id
            case ("parallel", name, limit, branches):
                made = [_branch(walk, ops, f"{place}.{at}") for at, ops in enumerate(branches)]
                return await step.parallel(name, made, concurrency=limit)
        _, name, limit, branches = op
        return await step.map(
            name, branches, lambda ops, branch: walk(branch, ops, f"{place}.{branch.index}"), concurrency=limit
        )

    @function("f")
    async def handler(ctx: Any) -> Any:
        return await walk(ctx.step, ops, "")

    return handler


def threaded(ops: list[Op], world: World) -> DurableFunction:
    """Return a plain handler that does this."""

    def walk(step: Any, ops: list[Op], place: str) -> list[Any]:
        return [one(step, op, f"{place}/{number}") for number, op in enumerate(ops)]

    def one(step: Any, op: Op, place: str) -> Any:
        match op:
            case ("run", name):
                return step.run(name, world.body, place)
            case ("sleep", name):
                return step.sleep(name, 5)
            case ("wait", name):
                return step.wait_for_event(name, "order.approved").data
            case ("invoke", name):
                return step.invoke(name, {"at": place})
            case ("start", name):
                return step.invoke_async(name).run_id
            case ("publish", name):
                return step.publish(name, place).event_id
            case ("parallel", name, limit, branches):
                made = [_branch(walk, ops, f"{place}.{at}") for at, ops in enumerate(branches)]
                return step.parallel(name, made, concurrency=limit)
        _, name, limit, branches = op
        return step.map(
            name, branches, lambda ops, branch: walk(branch, ops, f"{place}.{branch.index}"), concurrency=limit
        )

    @function("f")
    def handler(ctx: Any) -> Any:
        return walk(ctx.step, ops, "")

    return handler


def _branch(walk: Any, ops: list[Op], place: str) -> Any:
    return lambda branch: walk(branch, ops, place)
