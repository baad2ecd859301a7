"""Handlers as programs: what they do as data, mutated in one place by every kind of edit, and compiled."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import msgspec

from ironflow_lab.runtime.function import DurableFunction, function

Op = dict[str, Any]
Ops = list[Op]
ID = "orders"


class Program(msgspec.Struct, kw_only=True):
    """A handler; `plain` for a `def`, `returns` its result beside the outputs, `fails` what it raises at its end."""

    name: str
    ops: Ops
    plain: bool = False
    returns: str = "'done'"
    fails: str = ""
    retry: int = 1
    remark: str = ""
    emit: list[tuple[str, Any]] = []
    until: str | None = None
    # The operation at which its run ended, or stands: of what comes after nothing was recorded.
    last: int = 1_000


class Mutation(msgspec.Struct, kw_only=True):
    """An edit of a program; `reasons` and `steps` are what a check may say of it, none for an edit without effect."""

    kind: str
    program: Program
    reasons: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


def step(name: str, value: str = "ctx.event.data['n'] * 10") -> Op:
    return {"kind": "run", "name": name, "value": value}


def sleep(name: str, length: str = "5s") -> Op:
    return {"kind": "sleep", "name": name, "length": length}


def wait(name: str, event: str, match: str = "") -> Op:
    return {"kind": "wait", "name": name, "event": event, "match": match}


def invoke(name: str, data: str = "{'n': ctx.event.data['n']}") -> Op:
    return {"kind": "invoke", "name": name, "data": data}


def publish(name: str, data: str = "{'n': 1}") -> Op:
    return {"kind": "publish", "name": name, "data": data}


def undo(name: str) -> Op:
    return {"kind": "undo", "name": name}


def loop(count: int, *ops: Op) -> Op:
    return {"kind": "loop", "name": "", "count": count, "ops": list(ops)}


def parallel(name: str, *branches: Ops) -> Op:
    return {"kind": "parallel", "name": name, "branches": [list(branch) for branch in branches]}


def compiled(program: Program) -> DurableFunction:
    """Return the program as a durable function."""
    text = source(program)
    space: dict[str, Any] = {"refuse": _refuse, "flaky": _flaky}
    exec(compile(text, f"<program {program.name}>", "exec"), space)  # noqa: S102 - written above
    return function(ID, retry={"max_attempts": program.retry, "on_exhausted": "fail"})(space["handler"])


def source(program: Program) -> str:
    """Return the program's text."""
    start = "def" if program.plain else "async def"
    lines = [f"{start} handler(ctx):", f"    # {program.remark}", "    seen = []"]
    lines += _lines(program.ops, "    ", "ctx", plain=program.plain)
    lines.append(
        f"    raise {program.fails}" if program.fails else f"    return {{'seen': seen, 'r': {program.returns}}}"
    )
    return "\n".join(lines) + "\n"


def _lines(ops: Ops, pad: str, ctx: str, *, plain: bool) -> list[str]:
    return [line for op in ops for line in _op(op, pad, ctx, plain=plain)]


def _op(op: Op, pad: str, ctx: str, *, plain: bool) -> list[str]:
    held, name = "" if plain else "await ", op["name"]
    steps = "ctx.step" if ctx == "ctx" else ctx
    match op["kind"]:
        case "run":
            return [f"{pad}seen.append({held}{steps}.run({name!r}, lambda: {op['value']}))"]
        case "sleep":
            return [f"{pad}{held}{steps}.sleep({name!r}, {op['length']!r})"]
        case "wait":
            match = f", match={op['match']!r}" if op["match"] else ""
            return [f"{pad}seen.append(({held}{steps}.wait_for_event({name!r}, {op['event']!r}{match})).data)"]
        case "invoke":
            return [f"{pad}seen.append({held}{steps}.invoke({name!r}, {op['data']}))"]
        case "publish":
            return [f"{pad}{held}{steps}.publish({name!r}, {op['data']})"]
        case "undo":
            return [f"{pad}{steps}.compensate({name!r}, lambda: None)"]
        case "loop":
            body = _lines(op["ops"], pad + "    ", ctx, plain=plain)
            return [f"{pad}for _ in range({op['count']}):", f"{pad}    pass", *body]
    names = [f"branch_{at}_{len(pad)}" for at in range(len(op["branches"]))]
    lines = []
    for one, branch in zip(names, op["branches"], strict=True):
        lines += [f"{pad}{'def' if plain else 'async def'} {one}(b):", f"{pad}    pass"]
        lines += _lines(branch, pad + "    ", "b", plain=plain)
    return [*lines, f"{pad}{held}{steps}.parallel({name!r}, [{', '.join(names)}])"]


def _refuse(message: str) -> None:
    from ironflow_lab.errors import NonRetryableError

    raise NonRetryableError(message, code="DECLINED")


_tries: dict[str, int] = {}


def _flaky(ctx: Any, value: Any) -> Any:
    if ctx.run.attempt == 1:
        raise TimeoutError("no answer")
    return value


# ---- mutations


def mutations(program: Program) -> Iterator[Mutation]:
    """Yield the program edited in one place, in every way there is."""
    yield from _edits_without_effect(program)
    yield from _edits_of_the_end(program)
    for path in _lists(program.ops):
        ops, scope, loops = _at(program.ops, path)
        make = functools.partial(_edited, program, path)
        reached = len(ops) if path else min(len(ops), program.last + 1)
        for at, op in enumerate(ops[:reached]):
            before = ops[:at]
            if path or at < program.last or op["kind"] not in ("run", "wait"):
                yield from _edits_of_op(make, at, op, scope, before, ops, loops)
            else:
                # The step in which the run ended, or stands.
                yield from _edits_of_last(make, at, op, ops)
            whole = len(ops) == reached and not (program.until and not path)
            if at + 1 < len(ops) and _named(op) and _named(ops[at + 1]) and op["name"] != ops[at + 1]["name"]:
                both = (_label(op, scope, before), _label(ops[at + 1], scope, before))
                swapped = [*before, ops[at + 1], op, *ops[at + 2 :]]
                # What came behind the end of the run cannot be told from what is no longer there.
                how = ("reordered",) if whole else ("reordered", "missing", "new")
                yield Mutation(kind="reorder", program=make(swapped), reasons=how, steps=both)
            rest = ops[at + 1 :]
            if len(rest) > 1 and _named(op) and all(map(_named, rest)) and loops == 1 and whole:
                moved = Mutation(kind="move", program=make([*before, *rest, op]), reasons=("reordered",))
                moved.steps = (_label(op, scope, before),)
                yield moved
        for at in range(reached + (len(ops) == reached and not (program.until and not path))):
            new = [*ops[:at], step("extra"), *ops[at:]]
            yield Mutation(kind="new", program=make(new), reasons=("new",), steps=(_label(step("extra"), scope, []),))


def _edits_without_effect(program: Program) -> Iterator[Mutation]:
    yield Mutation(kind="remark", program=msgspec.structs.replace(program, remark="changed"))
    yield Mutation(kind="retry", program=msgspec.structs.replace(program, retry=program.retry + 4))
    yield Mutation(kind="body", program=msgspec.structs.replace(program, ops=_other_bodies(program.ops)))


def _edits_of_the_end(program: Program) -> Iterator[Mutation]:
    if program.last < len(program.ops):
        # What comes after was never reached.
        yield Mutation(kind="beyond", program=msgspec.structs.replace(program, returns="'another'"))
        return
    if program.fails:
        other = msgspec.structs.replace(program, fails="KeyError('other')")
        yield Mutation(kind="error", program=other, reasons=("error",), steps=("",))
        mended = msgspec.structs.replace(program, fails="")
        yield Mutation(kind="mended", program=mended, reasons=("error",), steps=("",))
        return
    output = msgspec.structs.replace(program, returns="'another'")
    yield Mutation(kind="output", program=output, reasons=("output",), steps=("",))
    raising = msgspec.structs.replace(program, fails="KeyError('total')")
    yield Mutation(kind="raises", program=raising, reasons=("error",), steps=("",))


def _edits_of_last(make: Any, at: int, op: Op, ops: Ops) -> Iterator[Mutation]:
    label, other = _label(op, "", ops[:at]), {**op, "name": "charge-other"}
    # Whether a step that failed, or has not ended, is another or the same under another name is not known.
    renamed = Mutation(kind="rename", program=make([*ops[:at], other, *ops[at + 1 :]]), reasons=("renamed", "new"))
    renamed.steps = (label, "charge-other")
    yield renamed
    following = ops[at + 1]["name"] if at + 1 < len(ops) else ""
    dropped = Mutation(kind="drop", program=make([*ops[:at], *ops[at + 1 :]]), reasons=("missing", "new"))
    dropped.steps = (label, following)
    yield dropped
    for changed in _other_inputs(op):
        edited = make([*ops[:at], changed, *ops[at + 1 :]])
        yield Mutation(kind="input", program=edited, reasons=("changed input",), steps=(label,))


def _edits_of_op(make: Any, at: int, op: Op, scope: str, before: Ops, ops: Ops, loops: int) -> Iterator[Mutation]:
    def put(*instead: Op) -> Program:
        edited: Program = make([*ops[:at], *instead, *ops[at + 1 :]])
        return edited

    kind, name = op["kind"], op["name"]
    if kind == "loop":
        inner = op["ops"][0]
        count = sum(1 for one in op["ops"] if one["name"] == inner["name"]) * op["count"]
        label = _label(inner, scope, before)
        more, fewer = {**op, "count": op["count"] + 1}, {**op, "count": op["count"] - 1}
        yield Mutation(kind="loops more", program=put(more), reasons=("new",), steps=(f"{label}:{count}",))
        yield Mutation(kind="loops less", program=put(fewer), reasons=("missing",), steps=(f"{label}:{count - 1}",))
        return
    if kind == "parallel":
        yield from _edits_of_parallel(put, op, scope)
        return
    label = _label(op, scope, before)
    if kind == "undo":
        return
    renamed = ("changed input",) if kind in ("invoke", "publish") else ("renamed",)
    other = {**op, "name": "charge-other" if kind != "invoke" else "child-other"}
    yield Mutation(kind="rename", program=put(other), reasons=renamed, steps=(label,))
    yield Mutation(kind="drop", program=put(), reasons=("missing",), steps=(label,))
    uses = (sum(1 for one in before if (one["name"], one["kind"]) == (name, kind)) + 1) * loops
    # In a loop with others the first step too many takes the output of the next round.
    between = loops > 1 and len(ops) > 1
    again = f"{label}:{1 if between else uses}"
    how = ("reordered",) if between else ("new",)
    yield Mutation(kind="duplicate", program=put(op, op), reasons=how, steps=(again,))
    for changed in _other_inputs(op):
        yield Mutation(kind="input", program=put(changed), reasons=("changed input",), steps=(label,))


def _edits_of_parallel(put: Any, op: Op, scope: str) -> Iterator[Mutation]:
    branches, name = op["branches"], f"{scope}{op['name']}"
    first = branches[0][0]["name"]
    more = put({**op, "branches": [*branches, [step("late")]]})
    yield Mutation(kind="branch added", program=more, reasons=("new",), steps=(f"{name}:{len(branches)}:late",))
    last = f"{name}:{len(branches) - 1}:{branches[-1][0]['name']}"
    yield Mutation(
        kind="branch removed", program=put({**op, "branches": branches[:-1]}), reasons=("missing",), steps=(last,)
    )
    other = put({**op, "name": "together"})
    yield Mutation(kind="parallel renamed", program=other, reasons=("renamed",), steps=(f"{name}:0:{first}",))
    yield Mutation(kind="parallel dropped", program=put(), reasons=("missing",), steps=(f"{name}:0:{first}",))


def _other_inputs(op: Op) -> Iterator[Op]:
    match op["kind"]:
        case "sleep":
            yield {**op, "length": "11m"}
        case "wait":
            yield {**op, "event": "another.event"}
            yield {**op, "match": "" if op["match"] else "data.n"}
        case "invoke":
            yield {**op, "data": "{'n': 'another'}"}
        case "run":
            # The same name for another kind of step.
            yield sleep(op["name"])


def _other_bodies(ops: Ops) -> Ops:
    found = copy.deepcopy(ops)
    for op in found:
        if op["kind"] == "run" and not op["value"].startswith("refuse"):
            op["value"] = "'a body is not executed'"
    return found


def _named(op: Op) -> bool:
    return op["kind"] not in ("loop", "undo", "parallel")


def _label(op: Op, scope: str, before: Ops) -> str:
    """Return the label of the first execution of a step."""
    name = f"publish:{op['name']}" if op["kind"] == "publish" else op["name"]
    uses = sum(1 for one in before if one["name"] == op["name"] and one["kind"] == op["kind"])
    return f"{scope}{name}" + (f":{uses}" if uses else "")


def _lists(ops: Ops, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for at, op in enumerate(ops):
        if op["kind"] == "loop":
            yield from _lists(op["ops"], (*path, (at, "ops")))
        for number, branch in enumerate(op.get("branches", [])):
            yield from _lists(branch, (*path, (at, "branches", number)))


def _at(ops: Ops, path: tuple[Any, ...]) -> tuple[Ops, str, int]:
    scope, loops = "", 1
    for at, *keys in path:
        op = ops[at]
        ops = op[keys[0]] if len(keys) == 1 else op[keys[0]][keys[1]]
        scope, loops = (scope, op["count"]) if op["kind"] == "loop" else (f"{scope}{op['name']}:{keys[1]}:", 1)
    return ops, scope, loops


def _edited(program: Program, path: tuple[Any, ...], change: Any) -> Program:
    """Return a copy with another list of operations at a path."""
    found = copy.deepcopy(program)
    ops, _, _ = _at(found.ops, path)
    ops[:] = change(ops) if callable(change) else copy.deepcopy(change)
    return found
