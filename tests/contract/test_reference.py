"""Every symbol of the Go SDK reference has a row in reference.toml, and built rows are proved."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import tomllib
import typing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
REFERENCE = ROOT.parent / "shared" / "spec" / "go-sdk-reference.txt"
LISTED = (HERE / "reference_symbols.txt").read_text().split("\n")[:-1]
ROWS: dict[str, dict[str, Any]] = tomllib.loads((HERE / "reference.toml").read_text())["symbols"]
BUILT = {symbol: row for symbol, row in ROWS.items() if row["status"] == "built"}

KINDS = {"function", "method", "attribute", "type", "option", "field", "constant", "error", "environment"}
WIRE = re.compile(
    r"""client-side | inbound\ HTTP | WebSocket\ /ws
      | [A-Za-z]+Service/[A-Za-z]+                  # a Connect procedure
      | (?:GET|POST|PUT|PATCH|DELETE)\ /api/v1/\S+  # a REST route
      | GET\ /health
      | [a-z_]+                                     # a wire code
    """,
    re.VERBOSE,
)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference is not beside this clone")
def test_the_list_is_what_the_reference_says() -> None:
    extract = import_module("tests.contract.extract_reference")
    assert extract.symbols(REFERENCE.read_text()) == LISTED


def test_every_symbol_has_a_row_and_every_row_a_symbol() -> None:
    assert sorted(ROWS) == LISTED


def test_every_row_is_well_formed() -> None:
    wrong = {symbol: fault for symbol, row in ROWS.items() if (fault := fault_of(row))}
    assert not wrong


@pytest.mark.parametrize("symbol", BUILT)
def test_built_row_names_something_importable(symbol: str) -> None:
    row = BUILT[symbol]
    if row["kind"] == "environment":
        assert any(row["ours"] in path.read_text() for path in package_files())
    else:
        resolve(row["ours"])


@pytest.mark.parametrize("symbol", BUILT)
def test_built_row_names_a_test_that_exists(symbol: str) -> None:
    path, _, name = BUILT[symbol]["test"].partition("::")
    assert name in names_in(ROOT / path), f"{path} has no {name}"


def test_nothing_is_built_before_its_name_exists() -> None:
    with pytest.raises(LookupError, match="no_such_thing"):
        resolve("errors.no_such_thing")
    with pytest.raises(LookupError, match="no_such_option"):
        resolve("errors.ApiError(no_such_option)")


def test_how_much_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n  reference: {len(BUILT)} of {len(ROWS)} symbols built")
    assert ROWS


def fault_of(row: dict[str, Any]) -> str | None:
    """Return what is wrong with a row, or None."""
    if not {"ours", "kind", "wire", "status"} <= set(row):
        return "ours, kind, wire and status are needed"
    if row["kind"] not in KINDS:
        return f"unknown kind {row['kind']}"
    if not WIRE.fullmatch(row["wire"]):
        return f"unknown wire {row['wire']}"
    if row["status"] == "built":
        return None if "test" in row else "name the test that proves it"
    if row["status"] != "planned":
        return f"unknown status {row['status']}"
    if "test" in row:
        return "a row with a test is built"
    issue = row.get("issue")
    known = isinstance(issue, int) or str(issue).startswith("later: ")
    return None if known else "say which issue builds it"


def package_files() -> list[Path]:
    """Return the Python files of the package."""
    return sorted((ROOT / "ironflow_lab").rglob("*.py"))


def resolve(ours: str) -> object:
    """Return what the dotted name below `ironflow_lab` stands for.

    Follows modules, attributes, fields of records and annotated attributes of classes, so that
    `Client.runs.get` is found without a client; `name(option)` must be a parameter of `name`.
    """
    dotted, _, option = ours.partition("(")
    found: object = import_module("ironflow_lab")
    for name in dotted.split("."):
        found = member(found, name)
    if option and option.removesuffix(")") not in inspect.signature(call(found)).parameters:
        raise LookupError(f"{dotted} has no parameter {option.removesuffix(')')}")
    return found


def member(owner: object, name: str) -> object:
    """Return `owner.name`; for a class also what an instance's `name` is declared or made to be."""
    if inspect.ismodule(owner) and not hasattr(owner, name):
        if not hasattr(owner, "__path__") or find_spec(f"{owner.__name__}.{name}") is None:
            raise LookupError(f"{owner.__name__} has no {name}")
        return import_module(f"{owner.__name__}.{name}")
    if inspect.isclass(owner) and (found := of_instance(owner, name)) is not None:
        return found
    if not hasattr(owner, name):
        raise LookupError(f"{owner!r} has no {name}")
    return getattr(owner, name)


def of_instance(owner: type, name: str) -> object:
    """Return the type of an instance's attribute, or None when the class itself has to tell."""
    declared = typing.get_type_hints(owner).get(name)
    found = inspect.getattr_static(owner, name, None)
    getter = getattr(found, "fget", None) or getattr(found, "func", None)
    if getter is not None:
        return typing.get_type_hints(getter).get("return", found)
    if declared is not None:
        return declared
    return assigned(owner).get(name) if "__init__" in vars(owner) else None


def assigned(owner: type) -> dict[str, object]:
    """Return what `__init__` assigns to `self`, by name: the type it calls, else the class itself."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner.__init__))).body  # type: ignore[misc]
    pairs = [(node.targets[0], node.value) for node in ast.walk(definition) if isinstance(node, ast.Assign)]
    found: dict[str, object] = {}
    for target, value in pairs:
        if isinstance(target, ast.Attribute):
            made = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
            maker = vars(inspect.getmodule(owner)).get(made, owner)
            found[target.attr] = maker if inspect.isclass(maker) else typing.get_type_hints(maker).get("return", owner)
    return found


def call(found: object) -> typing.Callable[..., object]:
    """Return `found` as something with a signature."""
    if not callable(found):
        raise LookupError(f"{found!r} takes no options")
    return found


def names_in(path: Path) -> set[str]:
    """Return the names of the tests in a file, without importing it."""
    if not path.is_file():
        return set()
    if path.suffix == ".ipynb":
        return {"notebook"}
    nodes = ast.walk(ast.parse(path.read_text()))
    return {
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
