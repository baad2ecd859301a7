"""The magics: what their lines mean, what can follow in them, and a cell that is a function."""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import textwrap
import traceback
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import ironflow_lab
from ironflow_lab.errors import DefinitionError, IronflowError, NotFoundError, WaitTimeoutError
from ironflow_lab.lab import joining, known
from ironflow_lab.lab.lab import Lab
from ironflow_lab.lab.naming import Naming
from ironflow_lab.magics import completion, durable, forms, line
from ironflow_lab.models.functions import Trigger
from ironflow_lab.runtime import codehash
from ironflow_lab.runtime.function import DurableFunction, function


class Recorder(Lab):
    """A lab that notes what it is asked for and joins no server."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.card = SimpleNamespace(
            **{verb: self._note(verb) for verb in ("start", "drain", "stop")}, status=self._note("status")
        )

    def _note(self, verb: str) -> Any:
        def note(*words: Any, **options: Any) -> str:
            self.asked.append((verb, {**options, **({"words": words} if words else {})}))
            return verb

        return note

    def __repr__(self) -> str:
        return "<recorder>"

    def runs(self, **options: Any) -> Any:
        return self._note("runs")(**options)

    def run(self, run_id: Any) -> Any:
        if run_id == "run_0":
            raise NotFoundError("no run 'run_0'")
        return SimpleNamespace(id=run_id, why=lambda: f"why {run_id}", steps=f"steps {run_id}", timeline="timeline")

    @property
    def worker(self) -> Any:
        return self.card

    def function(self, id: Any = None, **options: Any) -> Any:
        self.asked.append(("function", {"id": id, **options}))
        return function(id, **options)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The lab that was joined last."""
    made = Recorder()
    monkeypatch.setattr(joining, "_last", [made])
    return made


@pytest.fixture(scope="module")
def ipython() -> Iterator[InteractiveShell]:
    """One shell of this process, without a history on disk."""
    made: Any = InteractiveShell
    shell = made(config=Config(HistoryManager={"enabled": False, "hist_file": ":memory:"}))
    yield shell
    shell.restore_sys_module_state()


@pytest.fixture
def shell(ipython: InteractiveShell) -> Iterator[Any]:
    """The shell with the magics, its variables forgotten at the end."""
    before = set(ipython.user_ns)
    ironflow_lab.load_ipython_extension(ipython)
    yield ipython
    ironflow_lab.unload_ipython_extension(ipython)
    for name in set(ipython.user_ns) - before:
        del ipython.user_ns[name]


# ---- lines


@pytest.mark.parametrize("text", ["", "--help", "-h", "help"])
def test_alone_it_lists_every_form_and_needs_no_lab(text: str) -> None:
    found = line.execute(text, {})
    assert isinstance(found, line.Help)
    for verb in [*forms.VERBS.values(), forms.DURABLE]:
        assert verb.usage() in found


@pytest.mark.parametrize("verb", [*forms.VERBS, "durable"])
def test_every_form_has_help_with_its_options_and_its_twin(verb: str) -> None:
    form = forms.DURABLE if verb == "durable" else forms.VERBS[verb]
    found = form.describe() if verb == "durable" else line.execute(f"{verb} --help", {})
    for option in form.options:
        assert f"--{option.name}" in found
    assert f"The same in Python: {form.twin}" in found


def test_options_become_the_arguments_of_the_function(lab: Recorder) -> None:
    line.execute("runs --status failed,paused --status=waiting --function 'process order' --since 2h --limit 20", {})
    line.execute("runs --payloads --limit all --search x", {})
    line.execute("runs", {})
    assert lab.asked == [
        (
            "runs",
            {"status": ["failed", "paused", "waiting"], "function": "process order", "since": "2h", "limit": 20},
        ),
        ("runs", {"payloads": True, "limit": None, "search": "x"}),
        ("runs", {}),
    ]


def test_the_options_of_runs_are_those_of_the_function() -> None:
    given = {option.name for option in forms.RUNS.options} - {"lab"}
    assert given == set(inspect.signature(Lab.runs).parameters) - {"self"}


def test_one_run_and_its_parts(lab: Recorder) -> None:
    assert line.execute("run run_1", {}).id == "run_1"
    assert line.execute("run run_1 --why", {}) == "why run_1"
    assert line.execute("run --steps run_1", {}) == "steps run_1"
    assert line.execute("run run_1 --timeline", {}) == "timeline"
    with pytest.raises(NotFoundError):
        line.execute("run run_0", {})


def test_the_worker_is_shown_and_told(lab: Recorder) -> None:
    for text in ("worker", "worker status", "worker drain --timeout 5s", "worker drain", "worker stop", "worker start"):
        assert line.execute(text, {}) is lab.card
    assert lab.asked == [("drain", {"words": ("5s",)}), ("drain", {}), ("stop", {}), ("start", {})]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rnus", "did you mean runs?"),
        ("zzz", "it has runs, run, worker, server"),
        ("runs --stauts failed", "no option '--stauts'; did you mean --status?"),
        ("runs --status fialed", "'fialed' is unknown; did you mean failed?"),
        ("runs --status", "--status needs a value: --status STATUS"),
        ("runs --status --limit 2", "--status needs a value"),
        ("runs --limit none", "a whole number from 1 on, or all"),
        ("runs --limit 0", "a whole number from 1 on, or all"),
        ("runs --limit 1 --limit 2", "given twice"),
        ("runs --payloads=yes", "takes no value"),
        ("runs failed", "'failed' is one word too many"),
        ("run", "%ironflow run needs RUN_ID"),
        ("run a b", "'b' is one word too many"),
        ("run a --why --steps", "one part at a time"),
        ("worker drian", "no action 'drian'; did you mean drain?"),
        ("worker stop --timeout 3s", "--timeout is for drain only"),
        ("server --force", "--force is for stop only"),
        ("server start --port x", "a whole number is wanted"),
        ("runs --search 'open", "a quotation is not closed"),
        ("runs --lab nothing", "no variable of this name is a lab; there is lab"),
        ("runs --lab text", "there is lab"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_nearest_word(lab: Recorder, text: str, told: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        line.execute(text, {"lab": lab, "text": "no lab"})
    assert told in str(caught.value)
    assert lab.asked == []


def test_without_a_lab_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_last", [])
    with pytest.raises(IronflowError, match=r"il\.start\(\)"):
        line.execute("runs", {})


def test_a_lab_can_be_named(lab: Recorder) -> None:
    other = Recorder()
    line.execute("runs --lab other", {"other": other})
    assert (lab.asked, len(other.asked)) == ([], 1)


def test_the_server_is_started_and_stopped_by_the_functions_of_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def note(verb: str, found: Any) -> Any:
        def noted(*given: Any, **options: Any) -> Any:
            asked.append((verb, given, options))
            return found

        return noted

    monkeypatch.setattr(joining, "start", note("start", "lab"))
    monkeypatch.setattr(joining, "stop", note("stop", True))
    assert line.execute("server start --data-dir d --port 0", {}) == "lab"
    assert "has ended" in line.execute("server stop --force", {})
    assert asked == [("start", ("d",), {"port": 0}), ("stop", (None,), {"force": True})]


def test_the_status_of_a_server_is_one_line() -> None:
    here = line.ServerStatus(running=True, url="http://x", version="1", pid=7, data_dir="d", note="n")
    assert repr(here) == "<server http://x, version 1, process 7, data in d, n>"
    assert repr(line.ServerStatus(running=False, data_dir="d", note="start it")) == "<no server of d: start it>"


# ---- completion


@pytest.mark.parametrize(
    ("text", "token", "offered"),
    [
        ("%ironflow ", "", ["runs", "run", "worker", "server", "help"]),
        ("failed = %ironflow ru", "ru", ["runs", "run", "worker", "server", "help"]),
        ("%ironflow runs --status ", "", list(forms.STATUSES)),
        ("%ironflow runs --status failed,", "failed,", [f"failed,{one}" for one in forms.STATUSES if one != "failed"]),
        ("%ironflow runs --status=fa", "--status=fa", [f"--status={one}" for one in forms.STATUSES]),
        ("%ironflow runs --since ", "", []),
        ("%ironflow worker ", "", ["status", "drain", "stop", "start"]),
        ("%ironflow worker drain --", "--", ["--timeout", "--lab", "--help"]),
        ("%ironflow run ", "", ["run_1", "run_2"]),
        ("%ironflow run run_1 ", "", ["--why", "--steps", "--timeline", "--lab"]),
        ("%ironflow runs --function or", "or", ["order"]),
        ("%ironflow runs --lab ", "", ["mine"]),
        ("%ironflow nonsense --", "--", []),
        ("%%durable order.placed --durability ", "", ["pipelined", "step"]),
        ("%ironflow", "", []),
        ("x = 5; y", "", []),
        ('"%ironflow runs ', "", []),
    ],
)
def test_what_can_follow(
    lab: Recorder, monkeypatch: pytest.MonkeyPatch, text: str, token: str, offered: list[str]
) -> None:
    monkeypatch.setattr(known, "run_ids", lambda lab: ("run_1", "run_2"))
    monkeypatch.setattr(known, "function_ids", lambda lab: ("order",))
    assert completion.offers(text, {"mine": lab, "_hidden": lab, "n": 5}) == (token, offered)


def test_ids_are_offered_at_once_or_not_at_all() -> None:
    asked: list[dict[str, Any]] = []

    def call(work: Any, **options: Any) -> Any:
        asked.append(options)
        raise WaitTimeoutError("too late")

    lab: Any = SimpleNamespace(_session=SimpleNamespace(call=call, naming=Naming("me")))
    assert (known.run_ids(lab), known.function_ids(lab)) == ((), ())
    assert asked == [{"timeout": known.PATIENCE, "patient": False}] * 2
    assert known.PATIENCE < 0.3


def test_the_shell_offers_ours_alone(shell: Any, lab: Recorder) -> None:
    def completed(text: str) -> list[str]:
        with provisionalcompleter():
            return [one.text for one in shell.Completer.completions(text, len(text))]

    assert completed("%ironflow w") == ["worker"]
    assert completed("x = %ironflow runs --pay") == ["--payloads"]
    assert completed("%ironf") == ["%ironflow"]
    assert "print" in completed("prin")


# ---- loading


def test_loading_twice_is_harmless_and_unloading_takes_everything_away(ipython: InteractiveShell) -> None:
    before = list(ipython.Completer.custom_matchers)
    for _ in range(2):
        ironflow_lab.load_ipython_extension(ipython)
    assert len(ipython.Completer.custom_matchers) == len(before) + 1
    assert {"ironflow", "durable"} <= set(ipython.magics_manager.magics["line"])
    for _ in range(2):
        ironflow_lab.unload_ipython_extension(ipython)
    assert ipython.Completer.custom_matchers == before
    assert not {"ironflow", "durable"} & {
        *ipython.magics_manager.magics["line"],
        *ipython.magics_manager.magics["cell"],
    }


def test_a_line_gives_a_value_and_help_is_printed(
    shell: Any, lab: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("found = %ironflow runs --limit 3").raise_error()
    assert shell.user_ns["found"] == "runs"
    assert shell.run_cell("%ironflow runs --help").result is None
    assert "--status STATUS" in capsys.readouterr().out


# ---- %%durable


def context(**data: Any) -> Any:
    """Return a context whose steps run their bodies."""

    async def run(name: str, body: Any, *args: Any) -> Any:
        return body(*args)

    return SimpleNamespace(event=SimpleNamespace(data=data, name="e"), step=SimpleNamespace(run=run))


def defined(shell: Any, text: str, head: str = "%%durable order.placed") -> DurableFunction:
    """Run a cell and return the function it defines."""
    found = shell.run_cell(f"{head}\n{text}")
    found.raise_error()
    assert isinstance(found.result, DurableFunction)
    return found.result


BODIES = {
    "expression": ("5 + 1", 6),
    "return": ("if event.data['n']:\n    return 'early'\n'late'", "early"),
    "nothing": ("x = 1", None),
    "await": ("await step.run('a', abs, -3)", 3),
    "two on a line": ("x = 4; x * 2", 8),
    "parentheses": ("(\n  [1,\n2]\n)", [1, 2]),
    "comment first": ("# what it does\n\nn = 7\nn", 7),
    "blank first": ("\n\nn = 7\nn  # trailing", 7),
    "block first": ("for one in range(3):\n    last = one\nlast", 2),
    "decorator first": ("@staticmethod\ndef f():\n    return 9\nf()", 9),
    "class first": ("class A:\n    x = 3\nA.x", 3),
    "text of lines": ("text = '''one\n  two\nthree'''\ntext", "one\n  two\nthree"),
    "text first and last": ('"""a\nb"""', "a\nb"),
    "f-text of lines": ("n = 2\nf'''{n}\n  {\n n}\n'''", "2\n  2\n"),
    "continued": ("1 + \\\n  2", 3),
    "text continued": ("x = 'a\\\nb'\nx", "ab"),
    "other letters": ("größe = 'ß'; größe * 2", "ßß"),
    "context": ("ctx.event.data['n'], scale", (1, 10)),
    "comprehension": ("[await step.run('x', abs, -n) for n in range(3)]", [0, 1, 2]),
    "own names": ("event = 5\nevent", 5),
    "match": ("match event.data:\n    case {'n': n}:\n        found = n\nfound", 1),
    "tabs": ("if True:\n\treturn 4", 4),
    "annotated": ("x: int = 5\nx", 5),
    "no newline and a semicolon": ("x = 3; x;", 3),
}


@pytest.mark.parametrize("name", list(BODIES))
def test_a_cell_is_the_body_of_a_function(shell: Any, lab: Recorder, name: str) -> None:
    text, expected = BODIES[name]
    shell.user_ns["scale"] = 10
    made = defined(shell, text)
    assert asyncio.run(made(context(n=1))) == expected
    # Its source makes the same function again, as a run that goes on with it needs.
    source = inspect.getsource(made.handler)
    again = ast.parse(source).body
    assert len(again) == 1
    assert isinstance(again[0], ast.AsyncFunctionDef)
    again[0].decorator_list = []
    names: dict[str, Any] = {"scale": 10}
    exec(compile(ast.Module(again, []), "again", "exec"), names)  # noqa: S102 - the test is about this source
    assert asyncio.run(names["order_placed_handler"](context(n=1))) == expected
    assert codehash.of(made.handler) == made.code_hash


@pytest.mark.parametrize("name", list(BODIES))
@pytest.mark.parametrize("before", ["", "\n\n"])
def test_its_lines_are_those_of_the_cell(
    shell: Any, lab: Recorder, monkeypatch: pytest.MonkeyPatch, name: str, before: str
) -> None:
    cell = f"{before}%%durable order.placed\n{BODIES[name][0]}"
    monkeypatch.setattr(shell, "get_parent", lambda: {"content": {"code": cell}}, raising=False)
    code = durable.define("order.placed", BODIES[name][0], shell)
    assert isinstance(code, DurableFunction)
    assert code.handler.__code__.co_firstlineno == 1 + len(before)
    kept, written = linecache.getlines(code.handler.__code__.co_filename), cell.splitlines()
    assert len(kept) == len(written)
    for ours, theirs in zip(kept[1 + len(before) :], written[1 + len(before) :], strict=True):
        assert theirs.strip() in ours.replace("return ", "") or theirs.strip() in ours


def test_an_error_is_at_the_line_of_the_cell(shell: Any, lab: Recorder) -> None:
    made = defined(shell, "x = 1\n\nfor _ in [1]:\n    raise ValueError('here')")
    with pytest.raises(ValueError, match="here") as caught:
        asyncio.run(made(context()))
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.lineno, last.line) == (5, "raise ValueError('here')")


@pytest.mark.parametrize(
    ("text", "number"),
    [("x = (\n", 2), ("x = 1\n\ny = = 2", 4), ("x = 1\nbreak", 3), ("x = 1\n  y = 2", 3), ("if x:\npass", 3)],
)
def test_a_syntax_error_is_at_the_line_of_the_cell(shell: Any, lab: Recorder, text: str, number: int) -> None:
    with pytest.raises(DefinitionError, match=f"line {number} of the cell: ") as caught:
        durable.define("order.placed", text, shell)
    assert "\n    " in str(caught.value)
    assert "order_placed_handler" not in shell.user_ns


def test_options_and_names(shell: Any, lab: Recorder) -> None:
    made = defined(
        shell,
        "1",
        "%%durable order.placed --id ship-it --retry 3 --timeout 5m --concurrency 2 --filter 'data.n > 1'"
        " --durability step --no-recording --description 'what it does'",
    )
    assert shell.user_ns["ship_it"] is made
    assert (made.id, made.handler.__name__, made.description) == ("ship-it", "ship_it", "what it does")
    assert (made.retry and made.retry.max_attempts, made.timeout_ms, made.durability) == (3, 300_000, "step")
    assert made.triggers == (Trigger(event="order.placed", expression="data.n > 1"),)
    assert lab.asked[0][1]["recording"] is False
    assert inspect.getsource(made.handler).startswith("@lab.function('ship-it', on=il.Trigger(event='order.placed',")


@pytest.mark.parametrize(
    ("head", "body", "told"),
    [
        ("", "1", "%%durable needs EVENT"),
        ("order.*", "1", "add --id my-function"),
        ("order.placed", "# nothing\n", "has no body"),
        ("order.placed --rerty 3", "1", "did you mean --retry?"),
        ("order.placed --retry x", "1", "a whole number is wanted"),
        ("order.placed", "yield 1", "contains `yield`"),
    ],
)
def test_what_makes_no_function_is_refused(shell: Any, lab: Recorder, head: str, body: str, told: str) -> None:
    before = set(shell.user_ns)
    with pytest.raises(DefinitionError) as caught:
        durable.define(head, body, shell)
    assert told in str(caught.value)
    assert set(shell.user_ns) == before


def test_a_function_that_is_not_registered_is_not_defined(
    shell: Any, lab: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(id: Any = None, **options: Any) -> Any:
        raise IronflowError("guarded")

    monkeypatch.setattr(lab, "function", refuse)
    with pytest.raises(IronflowError, match="guarded"):
        durable.define("order.placed", "1", shell)
    assert "order_placed_handler" not in shell.user_ns


def test_the_names_of_the_notebook_are_seen_as_they_are_when_it_runs(shell: Any, lab: Recorder) -> None:
    made = defined(shell, "rate * 2")
    shell.user_ns["rate"] = 21
    assert asyncio.run(made(context())) == 42


@pytest.mark.parametrize(("id", "name"), [("a-b", "a_b"), ("2nd", "_2nd"), ("class", "_class"), ("me.a-b", "me_a_b")])
def test_an_id_is_kept_in_a_variable_of_its_name(id: str, name: str) -> None:
    assert durable.python_name(id) == name


def test_the_help_of_the_cell_magic_needs_no_body(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_line_magic("durable", "")
    assert "%%durable EVENT [options]" in textwrap.dedent(capsys.readouterr().out)
