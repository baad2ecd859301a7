"""Many RFC 3339 texts to one `datetime64[ns]` array, exact to the nanosecond."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ironflow_lab.models.instant import parse_instant

_NOT_A_TIME = np.iinfo(np.int64).min
# Wider than any text the fast way takes, so that a longer one shows by its length.
_WIDTH = 40
_FIRST, _LAST = b"1678", b"2261"
# 2026-01-02T03:04:05Z, and with one to nine digits of fraction.
_PLAIN = np.zeros(_WIDTH + 1, dtype=bool)
_PLAIN[[20, *range(22, 31)]] = True


def nanoseconds(texts: Sequence[str]) -> np.ndarray:
    """Return UTC instants as `datetime64[ns]`; empty texts are NaT.

    Texts ending in `Z` are parsed in one go, others one by one. Instants that 64 bits of
    nanoseconds cannot hold (before 1678, after 2261; the zero time of Go among them) are NaT.
    Raises ValueError for a text that is not an RFC 3339 time with an offset.
    """
    try:
        found = _plain(np.array(texts, dtype=f"S{_WIDTH}"))
    except (UnicodeEncodeError, ValueError):
        found = None
    if found is not None:
        return found
    exact = [_parse(text) for text in texts]
    return np.array(exact, dtype=np.int64).view("datetime64[ns]")


def from_instants(values: Sequence[int]) -> np.ndarray:
    """Return instants (nanoseconds since 1970, 0 for "not set") as `datetime64[ns]`."""
    array = np.fromiter(values, dtype=np.int64, count=len(values))
    array[array == 0] = _NOT_A_TIME
    return array.view("datetime64[ns]")


def _plain(texts: np.ndarray) -> np.ndarray | None:
    """Return the instants when every text is empty or of the plain form, else None."""
    letters = texts.view(np.uint8).reshape(len(texts), _WIDTH)
    lengths = np.strings.str_len(texts)
    present = np.flatnonzero(lengths)
    if not _PLAIN[lengths[present]].all():
        return None
    last = lengths[present] - 1
    ends_in_z = letters[present, last] == ord("Z")
    has_t = letters[present, 10] == ord("T")
    years = texts[present].astype("S4")
    if not (ends_in_z & has_t & (years >= _FIRST) & (years <= _LAST)).all():
        return None
    letters[present, last] = 0
    return texts.astype("datetime64[ns]")


def _parse(text: str) -> int:
    if not text:
        return _NOT_A_TIME
    year = text[:4]
    if year.isdecimal() and not _FIRST <= year.encode() <= _LAST:
        # Not to be held in 64 bits, but what is no time at all is refused all the same.
        parse_instant(f"2000{text[4:]}")
        return _NOT_A_TIME
    return int(parse_instant(text))
