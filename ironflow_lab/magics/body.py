"""The body of a `%%durable` cell as the source of a function whose lines are the cell's. Pure."""

from __future__ import annotations

import ast
import io
import tokenize
from types import CodeType

import msgspec

from ironflow_lab.errors import DefinitionError

_INDENT = "    "
_PRELUDE = "event, step = ctx.event, ctx.step"
_COMPOUND = (
    ast.AsyncFor,
    ast.AsyncFunctionDef,
    ast.AsyncWith,
    ast.ClassDef,
    ast.For,
    ast.FunctionDef,
    ast.If,
    ast.Match,
    ast.Try,
    ast.TryStar,
    ast.While,
    ast.With,
)
_OPENING = ("FSTRING_START", "TSTRING_START")
_CLOSING = ("FSTRING_END", "TSTRING_END")


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A function as it is compiled.

    `lines` are what its file is said to hold, one for each line of the cell: the decorator and the head
    are together where the magic is, the prelude is where the body begins, so that all keep their numbers.
    """

    name: str
    lines: list[str]
    tree: ast.Module


def write(body: str, *, name: str, decorator: str, first: int, file: str) -> Written:
    """Return the `async def` with this body; `first` is the line of the magic in its cell, counted from 1.

    The last expression is returned. Raises `SyntaxError` with the cell's own line, and `DefinitionError`
    when there is nothing in the body.
    """
    parsed = _parse(body, first, file)
    if not parsed.body:
        raise DefinitionError("the %%durable cell has no body; write what the function does below its first line")
    lines = _indented(_returning(body, parsed.body[-1]))
    head = f"{decorator}\nasync def {name}(ctx):\n"
    lines[0] = _begun(lines[0], parsed.body[0])
    tree = ast.parse("".join([head, *lines]), file)
    function = tree.body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    function.decorator_list = []
    # The head has two lines and is said to be on one; the body's first may be two as well.
    ast.increment_lineno(tree, first - 1 - lines[0].count("\n"))
    function.lineno = function.args.args[0].lineno = function.args.args[0].end_lineno = first
    return Written(name=name, lines=["\n"] * (first - 1) + [head, *lines], tree=tree)


def compiled(written: Written, file: str, flags: int) -> CodeType:
    """Return the function's code, without its decorator; raises `SyntaxError` with the cell's own line."""
    try:
        module = compile(written.tree, file, "exec", flags=flags, dont_inherit=True)
    except SyntaxError as error:
        if error.text is None and error.lineno is not None and error.lineno <= len(written.lines):
            error.text = written.lines[error.lineno - 1]
        raise
    return next(one for one in module.co_consts if isinstance(one, CodeType) and one.co_name == written.name)


def _parse(body: str, first: int, file: str) -> ast.Module:
    try:
        return ast.parse(body, file)
    except SyntaxError as error:
        if error.lineno is not None:
            error.lineno += first
        raise


def _returning(body: str, last: ast.stmt) -> str:
    """Return the body with `return` before its last expression, when it ends with one."""
    if not isinstance(last, ast.Expr) or isinstance(last.value, ast.Yield | ast.YieldFrom):
        return body
    lines = body.splitlines(keepends=True)
    encoded, at = lines[last.lineno - 1].encode(), last.col_offset
    lines[last.lineno - 1] = (encoded[:at] + b"return " + encoded[at:]).decode()
    return "".join(lines)


def _begun(line: str, statement: ast.stmt) -> str:
    """Return the first line of the body with the prelude before it, on the same line where that can be."""
    rest = line.strip()
    if rest and not rest.startswith("#") and isinstance(statement, _COMPOUND):
        return f"{_INDENT}{_PRELUDE}\n{line}"
    between = "  " if rest.startswith("#") else "; "
    return f"{_INDENT}{_PRELUDE}{between}{line.lstrip()}" if rest else f"{_INDENT}{_PRELUDE}\n"


def _indented(body: str) -> list[str]:
    """Return the lines of the body indented, but for the inside of texts of several lines."""
    inside = _inside_texts(body)
    lines = body.splitlines(keepends=True)
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return [line if number in inside or not line.strip() else _INDENT + line for number, line in enumerate(lines, 1)]


def _inside_texts(body: str) -> set[int]:
    found: set[int] = set()
    opened: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(body).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "STRING":
            found.update(range(token.start[0] + 1, token.end[0] + 1))
        elif kind in _OPENING:
            opened.append(token.start[0])
        elif kind in _CLOSING:
            found.update(range(opened.pop() + 1, token.end[0] + 1))
    return found
