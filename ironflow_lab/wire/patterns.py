"""Event-name patterns: `*` is exactly one dot-separated token, a last `>` one or more (engine.md 3)."""

from __future__ import annotations

LONGEST = 255


def matches(pattern: str, name: str) -> bool:
    """Return whether the event name matches the pattern."""
    if pattern == name:
        return True
    if "*" not in pattern and ">" not in pattern:
        return False
    wanted, given = pattern.split("."), name.split(".")
    if wanted[-1] == ">":
        return len(given) >= len(wanted) and _same(wanted[:-1], given)
    return len(given) == len(wanted) and _same(wanted, given)


def fault(pattern: str) -> str | None:
    """Return what is wrong with a pattern, or None."""
    if not pattern or pattern != pattern.strip():
        return "an event name must not be empty or have blanks around it"
    if len(pattern) > LONGEST:
        return f"an event name has at most {LONGEST} characters, and this one has {len(pattern)}"
    if any(character.isspace() or not character.isprintable() for character in pattern):
        return f"{pattern!r} has blanks or control characters"
    tokens = pattern.split(".")
    if "" in tokens:
        return f"{pattern!r} has an empty part between dots"
    for position, token in enumerate(tokens):
        if token == ">" and position != len(tokens) - 1:
            return f"{pattern!r}: '>' may only be the last part"
        if token not in ("*", ">") and ("*" in token or ">" in token):
            return f"{pattern!r}: '*' and '>' stand for whole parts, as in 'order.*'"
    return None


def name_fault(name: str) -> str | None:
    """Return what is wrong with the plain name of an event, or None."""
    wrong = fault(name)
    if wrong is None and any(token in ("*", ">") for token in name.split(".")):
        return f"{name!r} is a pattern; an event needs a plain name"
    return wrong


def _same(wanted: list[str], given: list[str]) -> bool:
    return all(one in ("*", other) for one, other in zip(wanted, given, strict=False))
