"""The code a run began with, when this process has not executed it: asked of the server, compiled from its source."""

from __future__ import annotations
import __future__

import ast
import functools
import linecache
from types import FunctionType

import msgspec

from ironflow_lab.errors import ApiError
from ironflow_lab.models.functions import Function
from ironflow_lab.models.runs import Run
from ironflow_lab.models.workers import Assignment
from ironflow_lab.runtime import codehash, sources
from ironflow_lab.runtime.function import CODE_HASH, DurableFunction
from ironflow_lab.runtime.remote import Remote, fatal, passing
from ironflow_lab.runtime.sources import Source

_FUTURES = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
_FIRST_PAGE, _PAGE, _MOST_PAGES = 5, 200, 50


def resumed(given: Assignment) -> bool:
    """Return whether this is not the run's first segment, as far as an assignment tells."""
    recorded = not isinstance(given.step_sequence_base, msgspec.UnsetType) and given.step_sequence_base > 0
    return given.execution_seq > 1 or bool(given.completed_steps) or recorded


async def began_with(remote: Remote, given: Assignment) -> str:
    """Return the hash of the code that was current when the run was created; "" when the server cannot tell.

    Raises the `ApiError` of a server that may tell later, or that refuses the key.
    """
    try:
        run = await remote.runs.get(given.run_id)
        return await _recorded(remote, run) if run.function_version else ""
    except ApiError as error:
        if passing(error) or fatal(error):
            raise
        return ""


async def _recorded(remote: Remote, run: Run) -> str:
    """Walk the function's changes, newest first: versions begin anew when a function was deleted in between."""
    before, limit, later = 0, _FIRST_PAGE, ""
    for _ in range(_MOST_PAGES):
        page = await remote.functions.history(run.function_id, limit=limit, from_version=before)
        for entry in page.entries:
            snapshot = entry.function_snapshot
            if snapshot is not None and snapshot.version == run.function_version:
                if entry.recorded_at <= run.created_at:
                    return _hash(snapshot)
                # Two changes of one moment are told apart by a later time than the clock's.
                later = later or _hash(snapshot)
        if not (page.has_more and page.entries):
            break
        before, limit = page.entries[-1].entity_version, _PAGE
    return later


def _hash(snapshot: Function) -> str:
    found = (snapshot.metadata or {}).get(CODE_HASH)
    return found if isinstance(found, str) else ""


def revive(newest: DurableFunction, source: Source) -> DurableFunction | None:
    """Return the function with the handler of an earlier version, or None when its source does not make it.

    The handler sees what the newest sees: helpers and values of the notebook as they are now. Its options
    are the newest's. Only its `def` is executed, without decorators.
    """
    handler = newest.handler
    if not source.alone or not isinstance(handler, FunctionType):
        return None
    found = compiled(source, handler)
    return None if found is None else newest.with_handler(found, source)


def compiled(source: Source, beside: FunctionType) -> FunctionType | None:
    """Return the handler that the source makes in the globals of another one; None for a damaged source."""
    node = sources.definition(source.text)
    if node is None or codehash.of_text(source.text) != source.code_hash:
        return None
    name = f"<ironflow {source.code_hash}>"
    node.decorator_list = []
    shift = max(source.line - 1, 0)
    module = ast.increment_lineno(ast.Module(body=[node], type_ignores=[]), shift)
    code = compile(module, name, "exec", beside.__code__.co_flags & _FUTURES, dont_inherit=True)
    made: dict[str, object] = {}
    try:
        exec(code, beside.__globals__, made)  # noqa: S102 - the user ran this code here or in an earlier kernel
    except Exception:  # noqa: BLE001 - its annotations may name what no longer exists
        return None
    lines = ["\n"] * shift + source.text.splitlines(keepends=True)
    # Tracebacks and debuggers show the version that runs, not the cell as it is now.
    linecache.cache[name] = (len(source.text), None, lines, name)
    found = made[node.name]
    assert isinstance(found, FunctionType)
    return found
