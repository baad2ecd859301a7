"""The branches of one parallel or map: which may start, and what they come to. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, cast

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.workers import Yield
from ironflow_lab.runtime.journal import Scope

OnError = Literal["fail_fast", "collect"]

# What was passed for a branch, and which of its arguments are the steps of the branch.
Code = tuple[Callable[..., Any], int]

_ON_ERROR = ("fail_fast", "collect")


class Fork:
    """Branches by index, each with its scope; `code` gives what was passed for one.

    At most `concurrency` are under way at once (0 for all); none starts any more once one waits for
    something, or has failed where the first failure counts.
    """

    __slots__ = (
        "_collect",
        "_errors",
        "_limit",
        "_next",
        "_stopped",
        "_values",
        "_wanted",
        "code",
        "name",
        "running",
        "scopes",
    )

    def __init__(
        self, name: str, scopes: list[Scope], concurrency: int, on_error: OnError, code: Callable[[int], Code]
    ) -> None:
        self.name = name
        self.scopes = scopes
        self.code = code
        self.running = 0
        self._limit = concurrency or len(scopes)
        self._collect = on_error == "collect"
        self._next = 0
        self._stopped = False
        self._values: dict[int, Any] = {}
        self._errors: dict[int, BaseException] = {}
        self._wanted: dict[int, Yield] = {}

    def start(self) -> int | None:
        """Return the next branch that may start now, which then counts as running, or None."""
        if self._stopped or self._next >= len(self.scopes) or self.running >= self._limit:
            return None
        self._next += 1
        self.running += 1
        return self._next - 1

    def overrule(self, index: int) -> None:
        """Note that a branch has ended although its code goes on: it swallows what says so.

        Its steps still take its calls, and slow them down; a refusal would let it spin.
        """
        self.settle(index, None, None)
        self.scopes[index].over = ""

    def settle(self, index: int, value: Any, error: BaseException | None) -> None:
        """Note how a branch ended; what it waits for beats whatever its code did after that."""
        self.running -= 1
        scope = self.scopes[index]
        scope.over = f"branch {index} of {scope.id.rpartition(':')[0]} has ended; its steps cannot be used any more"
        if scope.wanted is not None:
            self._wanted[index] = scope.wanted
            self._stopped = True
        elif error is None:
            self._values[index] = value
        else:
            self._errors[index] = error
            # Not an Exception: a signal, a cancellation or an exit, which nobody collects.
            if not (self._collect and isinstance(error, Exception)):
                self._stopped = True

    def idle(self) -> Iterator[int]:
        """Yield the branches that have returned and asked nothing of their scopes."""
        return (index for index in self._values if self.scopes[index].untouched)

    def stop(self) -> None:
        """Let no further branch start."""
        self._stopped = True

    @property
    def wanted(self) -> Yield | None:
        """What the branch of the lowest index waits for, of those that do."""
        return self._wanted[min(self._wanted)] if self._wanted else None

    def results(self) -> list[Any]:
        """Return the branches' values by index; raises the error of the lowest index that counts."""
        for index in sorted(self._errors):
            if not (self._collect and isinstance(self._errors[index], Exception)):
                raise self._errors[index]
        return [self._values[at] if at in self._values else self._errors[at] for at in range(len(self.scopes))]


def check_options(name: object, concurrency: object, on_error: object) -> None:
    """Raise `DefinitionError` for options that a parallel or map does not have."""
    if type(concurrency) is not int or concurrency < 0:
        raise DefinitionError(f"{name!r:.60}: concurrency={concurrency!r:.40} must be a whole number, or 0 for all")
    if on_error not in _ON_ERROR:
        raise DefinitionError(f"{name!r:.60}: on_error={on_error!r:.40} must be 'fail_fast' or 'collect'")


def functions(name: object, branches: object) -> list[Callable[..., Any]]:
    """Return the branches as a list of functions; raises `DefinitionError`."""
    found = listed(name, branches, "functions that take a branch")
    for index, branch in enumerate(found):
        if not callable(branch):
            raise DefinitionError(
                f"branch {index} of {name!r:.60} is {type(branch).__name__} and not a function that takes a branch;"
                " write lambda branch: branch.run('charge', charge, order)"
            )
    return found


def listed(name: object, items: object, what: str = "items") -> list[Any]:
    """Return the items as a list, read once; raises `DefinitionError` for what cannot be iterated."""
    if isinstance(items, set | frozenset):
        raise DefinitionError(f"{name!r:.60} got a set, whose order changes from one execution to the next; sort it")
    if isinstance(items, str | bytes | dict) or not isinstance(items, Iterable):
        raise DefinitionError(f"{name!r:.60} takes a list of {what}, not {type(items).__name__}")
    return list(items)


def item_function(name: object, fn: object) -> Callable[..., Any]:
    """Return the function of a map; raises `DefinitionError`."""
    if not callable(fn):
        raise DefinitionError(
            f"map {name!r:.60} got {type(fn).__name__} instead of a function that takes an item and a branch;"
            " write lambda item, branch: branch.run('charge', charge, item)"
        )
    return cast("Callable[..., Any]", fn)
