"""One segment's memory: which steps are done, what ids the next ones get, and what the run waits for.

Pure: no clock, no loop, no network. Whoever uses it from several threads holds a lock.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import CodeType
from typing import Any

from ironflow_lab.errors import DefinitionError, NonRetryableError
from ironflow_lab.models.workers import CompletedStep, Yield
from ironflow_lab.wire import stepid

LONGEST_NAME = 200
PUBLISH = "publish:"
COMPENSATE = "compensate:"


class Scope:
    """A place where steps are numbered: the handler itself, or one branch of a parallel.

    `id` begins the ids of its steps, `path` is its place in the handler (the same on every
    execution), `busy` counts the bodies in flight here and in the branches below, `wanted` is what
    this scope waits for (the first wins), `over` says why it takes no further steps, `places` where
    the names of its steps were used first.
    """

    __slots__ = ("_calls", "_groups", "_uses", "busy", "id", "over", "parent", "path", "places", "wanted")

    def __init__(self, id: str, parent: Scope | None = None, path: tuple[int, ...] = ()) -> None:
        self.id = id
        self.parent = parent
        self.path = path
        self.busy = 0
        self.wanted: Yield | None = None
        self.over = ""
        self.places: dict[str, tuple[CodeType, int]] = {}
        self._uses: dict[str, int] = {}
        self._groups: set[str] = set()
        self._calls = 0

    def claim(self, name: str, prefix: str = "") -> str:
        """Return the id of the next step of this name; raises `DefinitionError` for a bad name.

        The count of uses grows whether or not the step is done already: that is what makes the
        same code ask for the same ids on every execution (worker.md 9.1).
        """
        self._check_open()
        if type(name) is not str:
            check_name(name)
        key = prefix + name if prefix else name
        index = self._uses.get(key)
        if index is None:
            check_name(name)
            index = 0
        self._uses[key] = index + 1
        return stepid.step_id(self.id, key, index)

    def branch(self, name: str, count: int) -> list[Scope]:
        """Return the scopes of that many branches; raises `DefinitionError` when the name was used before.

        A second use would give its steps the ids of the first: the name itself is not counted.
        """
        self._check_open()
        check_name(name)
        if name in self._groups:
            raise DefinitionError(
                f"parallel or map {name!r:.60} was used before in this handler or branch; give each a name of"
                " its own, in a loop for example f'batch-{number}'"
            )
        self._groups.add(name)
        place, prefix = self.next(), f"{self.id}:{stepid.escape(name)}"
        return [Scope(f"{prefix}:{index}", self, (*place, index)) for index in range(count)]

    def next(self) -> tuple[int, ...]:
        """Return the place of the next thing in this scope whose order matters."""
        self._check_open()
        self._calls += 1
        return (*self.path, self._calls)

    def enter(self) -> None:
        """Count a body that begins here."""
        scope: Scope | None = self
        while scope is not None:
            scope.busy += 1
            scope = scope.parent

    def leave(self) -> None:
        """Count a body of this scope that ended."""
        scope: Scope | None = self
        while scope is not None:
            scope.busy -= 1
            scope = scope.parent

    def _check_open(self) -> None:
        if self.over:
            raise NonRetryableError(self.over, code="SCOPE_OVER")

    @property
    def untouched(self) -> bool:
        """Whether nothing was asked of this scope."""
        return not (self._uses or self._groups or self._calls)

    @property
    def waiting(self) -> bool:
        """Whether this scope, or one around it, waits for something."""
        scope: Scope | None = self
        while scope is not None:
            if scope.wanted is not None:
                return True
            scope = scope.parent
        return False


class Journal:
    """The steps of one run as one execution of its handler sees them.

    `root` is the handler's own scope; what it waits for ends the segment. `closed` says that nothing
    that still happens counts, `pausing` that no further step may begin for now, `ended` that the
    handler has come to its end.
    """

    __slots__ = ("_failed", "_memo", "closed", "ended", "pausing", "root")

    def __init__(self, run_id: str, completed: Iterable[CompletedStep] = ()) -> None:
        steps = tuple(completed)
        self._memo = {step.step_id: step for step in steps if step.status != "failed"}
        # Sent for invokes only; a plain step that failed is not, and runs again.
        self._failed = {step.step_id: step for step in steps if step.status == "failed"}
        self.root = Scope(run_id)
        self.closed = False
        self.pausing = False
        self.ended = False

    @property
    def yielded(self) -> Yield | None:
        """What the run waits for, once the handler has asked for it."""
        return self.root.wanted

    def recall(self, step_id: str) -> CompletedStep | None:
        """Return the step's record when it is done, or None when it must run."""
        return self._memo.get(step_id)

    def settled(self, step_id: str) -> CompletedStep | None:
        """Return the step's record when it is done or has failed for good, as an invoke may."""
        return self._memo.get(step_id) or self._failed.get(step_id)

    def ending(self, scope: Scope) -> bool:
        """Whether no further step may start in this scope."""
        return self.closed or scope.waiting

    def suspend(self, scope: Scope, wanted: Yield) -> None:
        """Note what the scope waits for, unless it waits already."""
        if not self.ending(scope):
            scope.wanted = wanted


def check_name(name: Any, what: str = "step") -> None:
    """Raise `DefinitionError` unless this can name a step."""
    if not (isinstance(name, str) and name):
        raise DefinitionError(f"{name!r:.60} is not a {what} name; write step.run('charge', charge, ...)")
    if name != name.strip() or not name.isprintable():
        raise DefinitionError(f"the {what} name {name!r:.60} has blanks around it or control characters")
    if len(name) > LONGEST_NAME:
        raise DefinitionError(f"the {what} name {name[:40]!r}… has {len(name)} characters, the limit is {LONGEST_NAME}")
    if name.startswith((COMPENSATE, PUBLISH)):
        raise DefinitionError(f"{what} names beginning with {COMPENSATE} or {PUBLISH} are reserved: {name!r:.60}")


def no_function(name: str, given: object) -> DefinitionError:
    """Return the error of a step that was given something else than a function; a coroutine is ended."""
    if inspect.iscoroutine(given):
        given.close()
    return DefinitionError(
        f"step {name!r:.60} got {type(given).__name__} instead of a function; pass the function and its arguments"
        " apart: step.run('charge', charge, order)"
    )
