"""Old events in their newest form: a registry of functions from one version of an event to a later one."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from ironflow_lab.errors import DefinitionError, NonRetryableError
from ironflow_lab.runtime import faults
from ironflow_lab.wire import patterns

Upcaster = Callable[[Any], Any]
U = TypeVar("U", bound=Upcaster)


class Upcasters:
    """What brings the data of old events up to date, by event name and version (conventions.md section 8).

    `register("order.placed", 1, 2, fn)`, also as a decorator; `fn(data)` returns the data of the later
    version. Versions may be skipped. Registering a step again replaces it, for runs that begin then.
    """

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: dict[str, dict[int, tuple[int, Upcaster]]] = {}

    @overload
    def register(self, name: str, from_version: int, to_version: int, /) -> Callable[[U], U]: ...
    @overload
    def register(self, name: str, from_version: int, to_version: int, fn: U, /) -> U: ...
    def register(self, name: str, from_version: int, to_version: int, fn: U | None = None, /) -> U | Callable[[U], U]:
        """Keep `fn` for events of this name and version, and return it; without one, return a decorator.

        Raises `DefinitionError` unless both versions are whole numbers from 1 on and the second is higher.
        """
        _check(name, from_version, to_version)

        def keep(fn: Any) -> Any:
            if not callable(fn) or inspect.iscoroutinefunction(fn):
                raise DefinitionError(
                    f"the upcaster of {name!r:.80} from {from_version} to {to_version} must be a plain function of the"
                    " event's data, not a coroutine function: def upcast(data): return {...}"
                )
            # Replaced as a whole: workers read in other threads.
            self._steps[name] = {**self._steps.get(name, {}), from_version: (to_version, fn)}
            return fn

        return keep if fn is None else keep(fn)

    def latest_version(self, name: str) -> int:
        """Return the highest version that is registered for events of this name, 0 for none."""
        return _latest(self._steps.get(name, {}))

    def upcast_to_latest(self, name: str, data: Any, version: int) -> Any:
        """Return the data in the latest version; the given data is not changed.

        Version 0 counts as 1. Data without a chain, of the latest version or a later one, and redacted
        data come back as they are. Raises `NonRetryableError` where a step of the chain is missing or
        its function fails.
        """
        return self.upcast(name, data, version)[0]

    def upcast(self, name: str, data: Any, version: int) -> tuple[Any, int]:
        """Return the data and the version it has then, as `upcast_to_latest`."""
        steps = self._steps.get(name, {})
        latest, at = _latest(steps), version or 1
        if at >= latest or redacted(data):
            return data, version
        data = copy.deepcopy(data)
        while at < latest:
            if at not in steps:
                raise NonRetryableError(
                    f"event {name!r:.80} cannot be brought from version {version or 1} to {latest}: no upcaster begins"
                    f" at {at}; register one, upcasters.register({name!r:.80}, {at}, {latest}, fn), and retry the run"
                )
            to, fn = steps[at]
            try:
                data = fn(data)
            except Exception as error:
                raise NonRetryableError(
                    f"event {name!r:.80} cannot be brought from version {version or 1} to {latest}: the upcaster from"
                    f" {at} to {to} raised {faults.describe(error)}; mend it and retry the run"
                ) from error
            at = to
        return data, at

    def __contains__(self, name: object) -> bool:
        """Return whether anything is registered for events of this name."""
        return name in self._steps

    def __repr__(self) -> str:
        """Return the chains by event name."""
        chains = (
            f"{name} {', '.join(f'{at}→{to}' for at, (to, _) in sorted(steps.items()))}"
            for name, steps in sorted(self._steps.items())
        )
        return f"<upcasters: {'; '.join(chains) or 'none'}>"


def redacted(data: Any) -> bool:
    """Return whether this stands for a payload that was redacted (conventions.md section 11)."""
    return isinstance(data, Mapping) and data.get("$redacted") is True


def _latest(steps: Mapping[int, tuple[int, Upcaster]]) -> int:
    return max((to for to, _ in steps.values()), default=0)


def _check(name: Any, from_version: Any, to_version: Any) -> None:
    fault = patterns.name_fault(name) if isinstance(name, str) else "an event name must be text"
    if fault is not None:
        raise DefinitionError(f"upcasters.register({name!r:.80}, ...): {fault}")
    for version in (from_version, to_version):
        if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**31:
            raise DefinitionError(
                f"upcasters.register({name!r:.80}, ...): version {version!r:.40} must be a whole number from 1 on"
            )
    if to_version <= from_version:
        raise DefinitionError(
            f"upcasters.register({name!r:.80}, {from_version}, {to_version}): the second version must be higher than"
            " the first; data is only brought forward"
        )
