"""Named statements out of the `.sql` files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_MARK = "-- name: "


@cache
def load(file: str) -> dict[str, str]:
    """Return the statements of `sql/<file>.sql` by name."""
    text = files(__package__).joinpath("sql", file + ".sql").read_text("utf-8")
    found: dict[str, str] = {}
    for part in text.split(_MARK)[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = body.strip().removesuffix(";")
    return found


@cache
def load_all(prefix: str) -> dict[str, str]:
    """Return the statements of every `sql/<prefix>*.sql` by name; a name may stand in one file only."""
    found: dict[str, str] = {}
    for entry in sorted(files(__package__).joinpath("sql").iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith(prefix) and entry.name.endswith(".sql"):
            statements = load(entry.name.removesuffix(".sql"))
            assert not found.keys() & statements.keys(), entry.name
            found |= statements
    return found


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Return the numbered migrations in order, as number and script."""
    folder = files(__package__).joinpath("migrations")
    scripts = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return tuple((int(entry.name.split("_")[0]), entry.read_text("utf-8")) for entry in scripts)
