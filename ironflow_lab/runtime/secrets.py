"""The secrets of a run as its handler reads them; their values show nowhere else (worker.md section 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ironflow_lab.errors import NonRetryableError

MISSING = "SECRET_MISSING"


class Secrets:
    """The secrets a function has declared, by name; those without a value on the server are missing.

    `secrets["STRIPE_KEY"]` and `secrets.get("STRIPE_KEY")` return the value, `"STRIPE_KEY" in secrets`
    and `secrets.has("STRIPE_KEY")` whether there is one. Iterating gives the names.
    """

    __slots__ = ("_declared", "_function_id", "_values")

    def __init__(self, values: Mapping[str, str], *, function_id: str, declared: tuple[str, ...] = ()) -> None:
        self._values = values
        self._function_id = function_id
        self._declared = declared

    def get(self, name: str, /) -> str:
        """Return a secret's value; raises `NonRetryableError` when it is missing."""
        if name not in self:
            raise NonRetryableError(self._missing(name), code=MISSING)
        return self._values[name]

    def has(self, name: str, /) -> bool:
        """Return whether there is a value of this name."""
        return name in self

    def __getitem__(self, name: str) -> str:
        """Return a secret's value; raises `NonRetryableError` when it is missing."""
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a value of this name."""
        return isinstance(name, str) and name in self._values

    def __iter__(self) -> Iterator[str]:
        """Yield the names that have a value, sorted."""
        return iter(sorted(self._values))

    def __len__(self) -> int:
        """Return how many have a value."""
        return len(self._values)

    def __repr__(self) -> str:
        """Return the names."""
        return f"<secrets {', '.join(self) or 'none'}>"

    def __reduce__(self) -> str:
        """Raise `TypeError`: values are not written anywhere."""
        raise TypeError("secrets cannot be pickled or copied; read what a step needs inside the step")

    def _missing(self, name: object) -> str:
        what = f"function {self._function_id!r} has no secret {name!r:.80}"
        if not isinstance(name, str):
            return f"{what}: names are text"
        if name in self._declared:
            return (
                f"{what}: it is declared, but the server has no value for it; give it one with"
                f" lab.client.secrets.create({name!r:.80}, value), then retry the run"
            )
        return f"{what}: declare it, @function(..., secrets=[{name!r:.80}]), and run the cell again"
