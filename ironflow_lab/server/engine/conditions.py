"""Trigger expressions: CEL over one event, checked when a function is registered (conventions.md section 9).

The evaluator has no budget of its own, so what is accepted is bounded instead: short expressions whose
cost grows with the event's size and no faster. JSON numbers are doubles in an expression, as they are in
the reference; only integers that no double holds stay integers.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

from ironflow_lab.errors import InvalidArgumentError, UnimplementedError
from ironflow_lab.server.engine.records import EventState

if TYPE_CHECKING:
    import cel

VARIABLES = ("data", "event", "eventNamespace", "metadata", "name", "source", "timestamp")
LONGEST = 1_000
MOST_TOKENS = 200
MOST_PATTERNS = 3
# Beyond it an event is too dear to be looked into, and the expression does not hold.
LARGEST_DATA = 1024 * 1024
# A pattern's search costs its own size times that of the text.
LARGEST_SEARCHED = 64 * 1024
NAMESPACE = "events"

_PARTS = ("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours", "Minutes", "Seconds")
_FUNCTIONS = frozenset(
    {
        *("contains", "startsWith", "endsWith", "matches", "size"),
        *("string", "int", "uint", "double", "timestamp", "duration"),
        *(f"get{part}" for part in (*_PARTS, "Milliseconds")),
    }
)
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne"})
_QUADRATIC = frozenset({"map", "filter", "transformList", "transformMap"})
_WORDS = frozenset({"true", "false", "null", "in"})
_STRING = r"""[rRbB]{0,2}(?:'{3}(?:\\.|[^\\])*?'{3}|"{3}(?:\\.|[^\\])*?"{3}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_RAW = r"""[bB]?[rR][bB]?(?:'{3}.*?'{3}|"{3}.*?"{3}|'[^']*'|"[^"]*")"""
_TOKEN = re.compile(rf"//[^\n]*|({_RAW}|{_STRING}|[A-Za-z_]\w*|[\d.]*\d\w*|&&|\|\||[=!<>]=|\S)", re.DOTALL | re.ASCII)
_PLACE = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# All that an evaluation raises; its text may quote the event, so it goes nowhere.
_FAULTS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


class Seen:
    """An event as expressions see it; its parts are read when the first expression names them."""

    def __init__(self, event: EventState) -> None:
        self._event = event
        self._context: cel.Context | None = None
        self._known: set[str] = set()

    def holds(self, expression: str) -> bool:
        """Return whether the expression is exactly true of the event; an error in it means it is not."""
        size = len(self._event.data) + len(self._event.metadata or b"")
        try:
            program = _program(expression)
            if size > (LARGEST_SEARCHED if "matches" in program.functions() else LARGEST_DATA):
                return False
            return program.execute(self._with(program.variables())) is True
        except _FAULTS:
            return False

    def _with(self, names: list[str]) -> cel.Context:
        if self._context is None:
            self._context = _library().Context()
        for name in names:
            if name in VARIABLES and name not in self._known:
                self._context.add_variable(name, self._value(name))
                self._known.add(name)
        return self._context

    def _value(self, name: str) -> Any:
        event = self._event
        match name:
            case "data":
                return _loads(event.data)
            case "metadata":
                return _loads(event.metadata or b"{}")
            case "event":
                parts = ("data", "metadata", "name", "source", "timestamp")
                return {"id": event.id, "version": float(event.version), **{part: self._value(part) for part in parts}}
            case "timestamp":
                return _EPOCH + timedelta(microseconds=event.at // 1_000)
            case "name":
                return event.name
            case "source":
                return event.source
        return NAMESPACE


def check(expression: str) -> None:
    """Raise for an expression that cannot be a condition here, saying where and what to write instead.

    `InvalidArgumentError` for what is no CEL or gives no true or false, `UnimplementedError` for what
    would be too dear to evaluate for every event.
    """
    if not expression.strip():
        raise InvalidArgumentError("an expression must not be blank; leave it out to start on every such event")
    if len(expression) > LONGEST:
        raise InvalidArgumentError(
            f"an expression has at most {LONGEST:,} characters, and this one has {len(expression):,};"
            " decide the rest in the handler"
        )
    try:
        program = _program(expression)
    except ValueError as error:
        raise InvalidArgumentError(_spoken(str(error))) from None
    tokens = [found[1] for found in _TOKEN.finditer(expression) if found[1] is not None]
    if len(tokens) > MOST_TOKENS:
        raise InvalidArgumentError(
            f"an expression has at most {MOST_TOKENS} words and signs, and this one has {len(tokens)};"
            " decide the rest in the handler"
        )
    bound = _check_macros(tokens)
    _check_names(program, bound)
    _check_patterns(tokens)
    _check_value(program)


def _check_names(program: cel.Program, bound: set[str]) -> None:
    for name in program.variables():
        if name not in VARIABLES and name not in bound:
            raise InvalidArgumentError(f"an expression has no variable {name!r}; it sees {', '.join(VARIABLES)}")
    for name in program.functions():
        # Operators are listed too, as `_+_` and `@in`.
        if name.isidentifier() and name not in _FUNCTIONS:
            raise InvalidArgumentError(
                f"an expression has no function {name!r} here; it has contains, startsWith, endsWith, matches and size"
            )


def _check_macros(tokens: list[str]) -> set[str]:
    """Return the names that `exists` and its like bind.

    What they repeat looks at one element and at nothing else, so that all repetitions together cost no
    more than one look at the whole list.
    """
    bound: set[str] = set()
    for place in range(2, len(tokens) - 1):
        name, called = tokens[place], tokens[place - 1] == "." and tokens[place + 1] == "("
        if called and name in _QUADRATIC:
            raise UnimplementedError(
                f"an expression cannot use {name}() on this embedded server; ask with exists() or all(), or in the"
                " handler"
            )
        if called and name in _MACROS:
            bound.add(_check_macro(tokens, place))
    return bound


def _check_macro(tokens: list[str], place: int) -> str:
    name, variable = tokens[place], tokens[place + 2]
    body = tokens[place + 4 : _closing(tokens, place + 1)]
    for index, token in enumerate(body):
        before = body[index - 1] if index else ""
        if before == "." and (token in _MACROS or token == "matches"):
            raise UnimplementedError(f"an expression cannot use {token}() inside {name}() on this embedded server")
        is_name = token.isidentifier() and before != "." and body[index + 1 : index + 2] != ["("]
        if is_name and token != variable and token not in _WORDS:
            raise UnimplementedError(
                f"what {name}() asks of each element may name {variable!r} alone on this embedded server, not {token!r}"
            )
    # `data.items.exists(...)`: a list that stands in the event once.
    if not tokens[place - 2].isidentifier():
        raise UnimplementedError(f"{name}() follows a plain path here, as in data.items.{name}({variable}, ...)")
    return variable


def _closing(tokens: list[str], opening: int) -> int:
    depth = 0
    for place in range(opening, len(tokens)):
        depth += (tokens[place] in ("(", "[", "{")) - (tokens[place] in (")", "]", "}"))
        if depth == 0:
            return place
    return len(tokens)


def _check_patterns(tokens: list[str]) -> None:
    places = [place for place, token in enumerate(tokens[:-1]) if token == "matches" and tokens[place + 1] == "("]
    if len(places) > MOST_PATTERNS:
        raise InvalidArgumentError(f"an expression has at most {MOST_PATTERNS} matches(), and this one {len(places)}")
    for place in places:
        pattern, end = tokens[place + 2 : place + 3], tokens[place + 3 : place + 4]
        if end != [")"] or pattern[0][-1] not in "'\"":
            raise UnimplementedError(
                "the pattern of matches() is written out here, as in data.sku.matches('^A[0-9]+$')"
            )
        try:
            _program(f"''.matches({pattern[0]})").execute()
        except _FAULTS as error:
            raise InvalidArgumentError(f"matches({pattern[0]}): {_regex_fault(str(error))}") from None


def _check_value(program: cel.Program) -> None:
    sample = EventState(
        id="evt_0", name="a", data=b"{}", metadata=None, version=1, source="api", idempotency_key="", at=0
    )
    try:
        value = program.execute(Seen(sample)._with(program.variables()))
    except _FAULTS:
        # It needs fields that a real event has.
        return
    if not isinstance(value, bool):
        raise InvalidArgumentError(
            "an expression must give true or false, and this one gives another kind of value; compare it, as in"
            " size(data) > 0"
        )


def _spoken(message: str) -> str:
    remedy = "write CEL, such as: data.total > 100 && data.kind == 'card'"
    found = _PLACE.search(message)
    if found is None:
        return f"the expression is not CEL; {remedy}"
    line, column, fault = found.groups()
    fault = fault.partition(" expecting ")[0][:200]
    return f"the expression is not CEL at line {line}, column {column}: {fault}; {remedy}"


def _regex_fault(message: str) -> str:
    if "size limit" in message:
        return "the pattern is too large once its repetitions are written out; repeat less"
    found = re.findall(r"error: ([^.\n]+)", message)
    return "not a regular expression" + (f", {found[-1]}" if found else "")


def _loads(text: bytes) -> Any:
    return json.loads(text, parse_int=_number)


def _number(digits: str) -> int | float:
    value = float(digits)
    if abs(value) < 2**53 or len(digits) > 20:
        return value
    exact = int(digits)
    return exact if -(2**63) <= exact < 2**63 else value


@lru_cache(maxsize=1_024)
def _program(expression: str) -> cel.Program:
    program: cel.Program = _library().compile(expression)
    return program


@cache
def _library() -> Any:
    """Return the evaluator alone: its package imports a command line as well, which takes half a second."""
    package = find_spec("cel")
    assert package is not None, "common-expression-language is a dependency"
    found = PathFinder.find_spec("cel", package.submodule_search_locations)
    assert found is not None and found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module
