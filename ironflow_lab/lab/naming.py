"""What a lab in a namespace calls things: `connect(namespace="me")`."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from ironflow_lab.errors import DefinitionError
from ironflow_lab.runtime import namespaces
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.options import LONGEST_ID
from ironflow_lab.wire import patterns


class Naming(msgspec.Struct, frozen=True):
    """The names of one lab; with the namespace "" they are those of the server."""

    namespace: str = ""

    def event(self, name: Any) -> Any:
        """Return an event's name or pattern as the server knows it; what is no text stays as it is."""
        return namespaces.inside(self.namespace, name) if isinstance(name, str) else name

    def function(self, function: str | DurableFunction) -> str:
        """Return a function's id as the server knows it."""
        return namespaces.id_of(self.namespace, function)

    def owns(self, function_id: str) -> bool:
        """Return whether the function of this id is in the namespace."""
        return not self.namespace or function_id.startswith(f"{self.namespace}.")

    def placed(self, function: DurableFunction) -> DurableFunction:
        """Return the function with the id and the events it has in this namespace; raises `DefinitionError`."""
        if not self.namespace or function.namespace == self.namespace:
            return function
        if function.namespace:
            raise DefinitionError(
                f"{function.id!r} is in the namespace {function.namespace!r}; serve the function that"
                " ironflow_lab.function made, which is in none"
            )
        found = copy.copy(function)
        found.namespace = self.namespace
        found.id = self._fitting(function.id, LONGEST_ID)
        found.triggers = tuple(
            msgspec.structs.replace(one, event=self._fitting(one.event, patterns.LONGEST)) if one.event else one
            for one in function.triggers
        )
        found.cancel_on = tuple(
            msgspec.structs.replace(one, event=self._fitting(one.event, patterns.LONGEST)) for one in function.cancel_on
        )
        return found

    def _fitting(self, name: str, longest: int) -> str:
        found: str = self.event(name)
        if len(found) > longest:
            raise DefinitionError(f"{found!r:.80} has {len(found)} characters, the limit is {longest}")
        return found
