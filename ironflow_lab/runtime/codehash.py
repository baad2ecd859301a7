"""The fingerprint of a handler's code: a changed one is a new version of the function (worker.md 2)."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable
from types import CodeType
from typing import Any


def of(handler: Callable[..., Any]) -> str:
    """Return the first 16 hex digits of SHA-256 over the handler's code.

    Over the syntax tree where the source can be found, so that comments, blank lines and the place
    in the file do not count; else over the bytecode, which differs between Python versions.
    """
    try:
        return of_text(inspect.getsource(handler))
    except (OSError, TypeError, SyntaxError):
        return _digest(_bytecode(handler))


def of_text(text: str) -> str:
    """Return the hash of a handler with this source; raises `SyntaxError`."""
    return _digest(ast.dump(ast.parse(textwrap.dedent(text))))


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _bytecode(handler: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(handler), "__code__", None)
    if not isinstance(code, CodeType):
        return f"{getattr(handler, '__module__', '')}.{getattr(handler, '__qualname__', repr(type(handler)))}"
    return f"{sys.version_info[:2]} {_code(code)}"


def _code(code: CodeType) -> str:
    return f"{code.co_code.hex()} {code.co_names} {[_constant(item) for item in code.co_consts]}"


def _constant(item: Any) -> str:
    if isinstance(item, CodeType):
        return _code(item)
    # The order of a set of strings differs from process to process.
    return repr(sorted(map(repr, item))) if isinstance(item, frozenset) else repr(item)
