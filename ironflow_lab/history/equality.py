"""When two JSON values are the same; neither way of asking minds how deeply they are nested."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values have the same JSON text but for the order of keys."""
    return _equal(one, other, _same_plain)


def agree(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal, numbers by value: a server may write 1.0 as 1."""
    return _equal(one, other, _agree_plain)


def _equal(one: Any, other: Any, plain: Callable[[Any, Any], bool]) -> bool:
    pairs = [(one, other)]
    while pairs:
        left, right = pairs.pop()
        if left is right:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys():
                return False
            pairs.extend((value, right[key]) for key, value in left.items())
        elif isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            pairs.extend(zip(left, right, strict=True))
        elif not plain(left, right):
            return False
    return True


def _same_plain(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    return bool(one == other)


def _agree_plain(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return type(one) is type(other) and bool(one == other)
