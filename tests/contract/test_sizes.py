"""Small pieces: no function above 60 lines, no file above 500; the medians are reported."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median, quantiles

from tests.conftest import TOLD

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FUNCTION = 60
LONGEST_FILE = 500
GENERATED = "_sync"
NESTED = """
class K:
    def a(self):
        def b(): ...
try:
    async def c(): ...
except E:
    def d(): ...
else:
    def e(): ...
finally:
    def f(): ...
with x:
    for y in z:
        def g(): ...
    else:
        def h(): ...
if x:
    while y:
        def i(): ...
else:
    match z:
        case 1:
            def j(): ...
try:
    pass
except* E:
    def k(): ...
"""


@dataclass(frozen=True)
class Function:
    """One function: where it stands and its lines, with its head and without its docstring."""

    where: str
    lines: int
    body: int


def sources(*folders: str) -> list[Path]:
    """Return the hand-written Python files below `folders`."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if GENERATED not in path.parts)


def length(path: Path) -> int:
    """Return the number of lines of a file."""
    return len(path.read_text().splitlines())


@dataclass(frozen=True)
class Seen:
    """A file without its syntax tree: all trees at once would keep the garbage collector busy for seconds."""

    speaks: bool
    functions: tuple[Function, ...]


@cache
def seen(path: Path) -> Seen:
    """Return whether a file has a docstring, and every function and method of it, the nested ones too."""
    tree = ast.parse(path.read_text())
    return Seen(ast.get_docstring(tree) is not None, tuple(functions(path, tree)))


def functions(path: Path, tree: ast.Module) -> Iterator[Function]:
    """Yield every function and method of a tree: they stand among statements, so no expression is looked into."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield measured(path, node)
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, name, ())


def measured(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    """Measure one function as style.md does: the docstring is not counted."""
    last = node.end_lineno or node.lineno
    docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    told = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return Function(
        where=f"{path.relative_to(ROOT)}:{node.lineno} {node.name}",
        lines=last - node.lineno + 1 - told,
        body=last - node.body[0].lineno + 1 - told,
    )


def test_no_function_is_long() -> None:
    every = [function for path in sources("ironflow_lab", "tests") for function in seen(path).functions]
    long = [f"{one.where}: {one.lines}" for one in every if one.lines > LONGEST_FUNCTION]
    assert not long, f"split these (at most {LONGEST_FUNCTION} lines): {long}"


def test_no_file_is_long() -> None:
    every = {path: length(path) for path in sources("ironflow_lab", "tests")}
    long = [f"{path.relative_to(ROOT)}: {n}" for path, n in every.items() if n > LONGEST_FILE]
    assert not long, f"split these (at most {LONGEST_FILE} lines): {long}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path.relative_to(ROOT)) for path in sources("ironflow_lab", "tests") if not seen(path).speaks]
    assert not silent, f"a first sentence is missing in: {silent}"


def test_no_function_is_overlooked() -> None:
    tree = ast.parse((ROOT / __file__).read_text() + NESTED)
    found = [one.where.rpartition(" ")[2] for one in functions(ROOT / "planted.py", tree)]
    every = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert sorted(found) == sorted(every)
    assert set("abcdefghijk") < set(found)


def test_a_docstring_is_not_counted() -> None:
    text = 'def long() -> None:\n    """Say.\n\n    More.\n    """\n' + "    x = 1\n" * 60
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    found = measured(ROOT / "planted.py", node)
    assert (found.lines, found.body) == (61, 60)


def test_report_the_medians(record_property: Callable[[str, object], None]) -> None:
    """Report what style.md measured of its models; nothing fails on it."""
    code, tests = sources("ironflow_lab"), sources("tests")
    bodies = [function.body for path in code for function in seen(path).functions]
    files = [length(path) for path in code]
    ninth = quantiles(bodies, n=10)[-1]
    ratio = sum(map(length, tests)) / sum(files)
    record_property(
        TOLD,
        f"function bodies: median {median(bodies):.0f} (aim 6), p90 {ninth:.0f} (aim 22);"
        f" files: median {median(files):.0f} (aim 200);"
        f" test lines to code lines {ratio:.2f} (aim 1.2)",
    )
    assert bodies
    assert files
