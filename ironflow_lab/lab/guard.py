"""Nothing changes on a server that is not local unless the user has said so (design D10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ironflow_lab.errors import GuardError
from ironflow_lab.wire.discovery import is_loopback


class Guard:
    """Whether changes are refused: by default on every server that is not on this machine."""

    def __init__(self, server_url: str, *, on: bool | None = None) -> None:
        self._server = server_url
        self.on = not is_loopback(server_url) if on is None else on
        self._allowed: ContextVar[bool] = ContextVar("ironflow_lab_allowed", default=False)
        self._taking_over: ContextVar[bool] = ContextVar("ironflow_lab_taking_over", default=False)

    @property
    def takes_over(self) -> bool:
        """Whether functions of other owners may be replaced here and now."""
        return self._taking_over.get()

    def check(self, plan: str) -> None:
        """Return if the change may be made; raises `GuardError` that shows the plan and the remedy."""
        if self.on and not self._allowed.get():
            raise GuardError(
                f"this would {plan} on {self._server}. Nothing was done. To do it, wrap the call in"
                " `with lab.allow():`, or connect with guard=False to allow every change."
            )

    @contextmanager
    def allow(self, *, take_over: bool = False) -> Iterator[None]:
        """Let the changes inside a `with` block happen; tasks started before it stay guarded.

        With `take_over` functions that belong to another owner may be replaced as well.
        """
        before = self._allowed.set(True)
        taking = self._taking_over.set(take_over or self._taking_over.get())
        try:
            yield
        finally:
            self._taking_over.reset(taking)
            self._allowed.reset(before)
