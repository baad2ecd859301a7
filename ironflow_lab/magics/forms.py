"""The forms of `%ironflow` and `%%durable`."""

from __future__ import annotations

from ironflow_lab.magics.grammar import Option, Verb
from ironflow_lab.models.runs import RunStatus

STATUSES = tuple(RunStatus.numbers.values())


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError("a whole number from 1 on, or all")
    return number


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number is wanted") from None


LAB = Option(
    name="lab", metavar="NAME", source="labs", help="the variable of the lab to use; else the one that was joined last"
)
FOLDER = Option(
    name="data-dir", metavar="DIR", help="the server's data folder; else the nearest .ironflow, or the project's"
)

RUNS = Verb(
    magic="%ironflow runs",
    help="Runs as a DataFrame, newest first.",
    twin='lab.runs(function=..., status=[...], since="2h", until=..., search=..., limit=20, payloads=False)',
    options=(
        Option(name="function", metavar="ID", source="functions", help="only the runs of this function"),
        Option(
            name="status",
            metavar="STATUS",
            many=True,
            values=STATUSES,
            help="only runs of this status; several with commas: failed,paused",
        ),
        Option(name="since", metavar="WHEN", help="created since: 2h (ago), 7d, or 2026-01-31T12:00:00Z"),
        Option(name="until", metavar="WHEN", help="created until"),
        Option(name="search", metavar="TEXT", help="only runs that contain this text"),
        Option(name="limit", metavar="N", read=_limit, help="at most so many rows, or all"),
        Option(name="payloads", help="with the columns input and output"),
        LAB,
    ),
)
RUN = Verb(
    magic="%ironflow run",
    argument="RUN_ID",
    source="runs",
    help="One run: its card, or a part of it.",
    twin='lab.run("run_...") and its .why(), .steps, .timeline',
    options=(
        Option(name="why", help="why it is not moving"),
        Option(name="steps", help="its steps as a DataFrame"),
        Option(name="timeline", help="every moment of it as a DataFrame"),
        LAB,
    ),
)
WORKER = Verb(
    magic="%ironflow worker",
    actions=("status", "drain", "stop", "start"),
    help="The worker of this process: its card; or drain it, stop it, start it again.",
    twin="lab.worker and its .drain(timeout), .stop(), .start()",
    options=(
        Option(name="timeout", metavar="TIME", only=("drain",), help="how long it may finish what is in hand: 30s"),
        LAB,
    ),
)
SERVER = Verb(
    magic="%ironflow server",
    actions=("status", "start", "stop"),
    help="The embedded server: where it runs, start it (and join it), end it.",
    twin="il.start(data_dir, port=...) and il.stop(data_dir, force=...); of a joined one lab.client.server.health()",
    options=(
        FOLDER,
        Option(name="port", metavar="N", read=_count, only=("start",), help="listen on this port"),
        Option(name="force", only=("stop",), help="kill it if it does not end"),
    ),
)
VERBS = {"runs": RUNS, "run": RUN, "worker": WORKER, "server": SERVER}

DURABLE = Verb(
    magic="%%durable",
    argument="EVENT",
    help=(
        "A cell that is the body of a durable function, started by EVENT.\n"
        "  It has `ctx`, `event` (ctx.event) and `step` (ctx.step); `await` and `return` work in it, and its last\n"
        "  expression is its output. What it assigns is its own; the other names of the notebook are seen as they\n"
        "  are when it runs. Running the cell again replaces the function for new runs."
    ),
    twin='@lab.function("my-id", on="EVENT", retry=...) before `async def my_id(ctx): ...`',
    options=(
        Option(
            name="id", metavar="ID", help="the function's id, and its Python name with underscores; else EVENT-handler"
        ),
        Option(name="filter", metavar="CEL", help="only events this is true of: 'data.total > 100'"),
        Option(name="retry", metavar="N", read=_count, help="at most so many attempts"),
        Option(name="timeout", metavar="TIME", help="how long a run may execute in all: 5m"),
        Option(name="concurrency", metavar="N", read=_count, help="so many of its runs at once"),
        Option(
            name="durability",
            metavar="HOW",
            values=("pipelined", "step"),
            help="step: each is saved before the next begins",
        ),
        Option(name="description", metavar="TEXT", help="what it is for"),
        Option(name="no-recording", help="keep no changes of its runs for time travel"),
        LAB,
    ),
)


def overview() -> str:
    """Return the help of `%ironflow` alone."""
    forms = [*VERBS.values(), DURABLE]
    width = max(len(verb.usage()) for verb in forms)
    lines = [f"  {verb.usage():<{width}}  {verb.help.splitlines()[0]}" for verb in forms]
    ending = "Each says more with --help, and gives a value: failed = %ironflow runs --status failed --since 2h"
    return "\n".join(["Runs, the worker and the server of this notebook.", "", *lines, "", ending])
