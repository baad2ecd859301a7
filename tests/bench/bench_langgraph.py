"""LangGraph with its SQLite checkpointer: a one-node loop, so that a step is a super-step with its checkpoint.

`async` (as shipped) lets the next step begin before the checkpoint is on disk, `sync` waits for it.
There is no engine that recovers: in W4 the application knows its threads and invokes them again.
"""

from __future__ import annotations

import operator
import os
import sqlite3
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

from tests.bench import shape


class State(TypedDict):
    """The counter and all outputs so far."""

    place: int
    steps: int
    number: int
    path: str
    outputs: Annotated[list[dict[str, int]], operator.add]


def step(state: State) -> dict[str, Any]:
    """Run one step; with a path it is one of W4."""
    place = state["place"]
    if state["path"]:
        time.sleep(shape.STEP_SECONDS)
        shape.Effects(Path(state["path"])).note(state["number"], place)
    return {"place": place + 1, "outputs": [{"i": place, "v": place * 2}]}


def compiled(path: Path) -> Any:
    """Return the graph over a database file."""
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph

    saver = SqliteSaver(sqlite3.connect(path, check_same_thread=False))
    saver.setup()
    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["place"] < state["steps"] else END)
    return graph.compile(checkpointer=saver)


def first(steps: int, *, number: int = 0, path: str = "") -> State:
    """Return the state a run begins with."""
    return State(place=0, steps=steps, number=number, path=path, outputs=[])


def thread(name: str, steps: int) -> dict[str, Any]:
    """Return the configuration of one run."""
    return {"configurable": {"thread_id": name}, "recursion_limit": steps + 10}


def measure(task: shape.Task, folder: Path) -> dict[str, float]:
    """Return the figures of W1, W2 or W3."""
    graph, size = compiled(folder / "graph.db"), task.size
    took = []

    def one(_: int) -> None:
        start = time.perf_counter()
        graph.invoke(first(size.steps), thread(str(uuid.uuid4()), size.steps), durability=task.variant)
        took.append(time.perf_counter() - start)

    one(0)
    took.clear()
    cpu, began = shape.Cpu(process=os.getpid()), time.perf_counter()
    with ThreadPoolExecutor(size.flight) as pool:
        list(pool.map(one, range(size.runs)))
    passed = time.perf_counter() - began
    if task.workload == "W1":
        return shape.latencies(took)
    if task.workload == "W3":
        return shape.per_step(size, passed)
    return {**shape.throughput(size, passed), **cpu.cores()}


def serve(database: Path, path: str, runs: int, steps: int, durability: str) -> None:
    """Be the process that is killed: invoke all threads, from where each stands."""
    graph = compiled(database)

    def one(number: int) -> None:
        settings = thread(f"run-{number}", steps)
        state = graph.get_state(settings)
        if not state.values:
            graph.invoke(first(steps, number=number, path=path), settings, durability=durability)
        elif state.next:
            graph.invoke(None, settings, durability=durability)
        Path(f"{path}.ended.{number}").touch()

    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(one, range(runs)))
    time.sleep(2 * shape.PATIENCE)


def crash(task: shape.Task, folder: Path) -> dict[str, float]:
    """Return the figures of W4."""
    effects, size = shape.Effects(folder / "effects"), task.size
    arguments = (folder / "graph.db", effects.path, size.runs, size.steps, task.variant)
    command = shape.script("bench_langgraph", "serve", *arguments)
    process = shape.spawn(command, folder / "log")
    try:
        effects.wait_for_kill_point(size)
        shape.kill(process)
        effects.killed()
        process = shape.spawn(command, folder / "log")
        return effects.recovered(size, lambda: len(list(folder.glob("effects.ended.*"))))
    finally:
        shape.kill(process)


def main() -> None:
    """Measure what the command line asks for."""
    if sys.argv[1] == "serve":
        database, path, runs, steps, durability = sys.argv[2:]
        serve(Path(database), path, int(runs), int(steps), durability)
        return
    task = shape.task("langgraph", variants=("async", "sync"))
    with shape.scratch("langgraph") as folder:
        task.report(**(crash(task, folder) if task.workload == "W4" else measure(task, folder)))


if __name__ == "__main__":
    main()
