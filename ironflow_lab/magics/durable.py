"""`%%durable`: a cell that is the body of a durable function."""

from __future__ import annotations
import __future__

import functools
import keyword
import linecache
import re
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from ironflow_lab.errors import DefinitionError
from ironflow_lab.magics import body, forms, grammar
from ironflow_lab.magics.grammar import Asked
from ironflow_lab.magics.line import Help, lab_of
from ironflow_lab.models.functions import Trigger
from ironflow_lab.runtime.function import DurableFunction

# What `from __future__ import ...` in a cell changes for the cells after it.
_FUTURES = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


def define(line: str, cell: str, shell: Any) -> DurableFunction | Help:
    """Define, register and return the function of a cell, under its id's Python name in the notebook.

    Raises `DefinitionError`, for a syntax error with the cell's own line, and what `lab.function` raises.
    """
    asked = grammar.read(forms.DURABLE, grammar.words(line))
    if asked.help:
        return Help(forms.DURABLE.describe())
    lab = lab_of(asked, shell.user_ns)
    function_id = asked.options.get("id") or default_id(asked.word)
    name, options = python_name(function_id), _options(asked)
    raw, first = _cell(line, cell, shell)
    file = shell.compile.cache(cell, shell.execution_count, raw_code=raw)
    try:
        written = body.write(cell, name=name, decorator=_decorator(function_id, options), first=first, file=file)
        code = body.compiled(written, file, shell.compile.flags & _FUTURES)
    except SyntaxError as error:
        raise DefinitionError(_syntax(error)) from error
    linecache.cache[file] = (sum(map(len, written.lines)), None, written.lines, file)
    defined = lab.function(function_id, **options)(FunctionType(code, shell.user_ns, name))
    shell.user_ns[name] = defined
    return defined


def _syntax(error: SyntaxError) -> str:
    """Return a syntax error as a notebook shows one: the line of the cell and where in it."""
    at = (error.text or "").rstrip()
    mark = "" if not at or not error.offset else "\n    " + " " * (error.offset - 1) + "^"
    return f"line {error.lineno} of the cell: {error.msg}" + (f"\n    {at}{mark}" if at else "")


def default_id(event: str) -> str:
    """Return the id of an event's function, as `handler` chooses it: "order-placed-handler"."""
    words = re.sub(r"[^0-9A-Za-z]+", "-", event).strip("-")
    if not words or "*" in event or ">" in event:
        raise DefinitionError(f"%%durable {event!r:.60}: an event pattern gives no id; add --id my-function")
    return f"{words}-handler"


def python_name(function_id: str) -> str:
    """Return the variable an id is kept in: "process-order" is `process_order`."""
    name = re.sub(r"\W", "_", function_id)
    return f"_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name


def _options(asked: Asked) -> dict[str, Any]:
    given = {
        name: value for name, value in asked.options.items() if name not in ("id", "lab", "filter", "no_recording")
    }
    condition = asked.options.get("filter")
    on = asked.word if condition is None else Trigger(event=asked.word, expression=condition)
    return {"on": on, **given, **({"recording": False} if "no_recording" in asked.options else {})}


def _decorator(function_id: str, options: Mapping[str, Any]) -> str:
    told = {name: _spelled(value) for name, value in options.items()}
    return f"@lab.function({', '.join([repr(function_id), *(f'{name}={text}' for name, text in told.items())])})"


def _spelled(value: Any) -> str:
    if isinstance(value, Trigger):
        return f"il.Trigger(event={value.event!r}, expression={value.expression!r})"
    return repr(value)


def _cell(line: str, cell: str, shell: Any) -> tuple[str, int]:
    """Return the whole cell as the front end has it, and the line of the magic, counted from 1."""
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    raw = (request.get("content") or {}).get("code") if isinstance(request, dict) else None
    if not isinstance(raw, str) or not raw.rstrip().endswith(cell.rstrip()):
        raw = f"%%durable {line}\n{cell}"
    return raw, 1 + raw[: raw.find("%%durable")].count("\n")
