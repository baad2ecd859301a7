"""When two pieces of code are the same."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from ironflow_lab.runtime import codehash


def compiled(source: str) -> Callable[..., Any]:
    """Return `handler` of code whose source cannot be found, as in a %%time cell."""
    names: dict[str, Any] = {}
    exec(textwrap.dedent(source), names)  # noqa: S102 - as a notebook cell is executed
    found: Callable[..., Any] = names["handler"]
    return found


def test_it_is_sixteen_hex_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", codehash.of(compiled))


def test_comments_blank_lines_and_indentation_do_not_count() -> None:
    def one() -> Callable[..., Any]:
        def handler(ctx: Any) -> int:
            return 1 + 1

        return handler

    def two() -> Callable[..., Any]:
        if True:

            def handler(ctx: Any) -> int:
                # a comment

                return 1 + 1

        return handler

    assert codehash.of(one()) == codehash.of(two())


def test_changed_code_counts() -> None:
    def one() -> Callable[..., Any]:
        def handler(ctx: Any) -> int:
            return 1

        return handler

    def two() -> Callable[..., Any]:
        def handler(ctx: Any) -> int:
            return 2

        return handler

    assert codehash.of(one()) != codehash.of(two())


def test_without_source_the_bytecode_counts() -> None:
    first = compiled("def handler(ctx):\n    return [n for n in (1, 2)]\n")
    same = compiled("def handler(ctx):\n\n\n    return [n for n in (1, 2)]\n")
    inner = compiled("def handler(ctx):\n    return [n + 1 for n in (1, 2)]\n")
    assert codehash.of(first) == codehash.of(same)
    assert codehash.of(first) != codehash.of(inner)


def test_without_source_the_hash_is_the_same_in_every_process() -> None:
    program = (
        "from ironflow_lab.runtime import codehash; names = {};"
        'exec(\'def handler(ctx):\\n    return ctx in {"a", "b", "c", "d"}\', names);'
        "print(codehash.of(names['handler']))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_a_callable_without_code_has_a_hash() -> None:
    class Handler:
        def __call__(self, ctx: Any) -> int:
            return 1

    assert codehash.of(Handler()) == codehash.of(Handler())
