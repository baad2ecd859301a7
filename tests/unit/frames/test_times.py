"""Times in bulk are those that are read one by one, to the nanosecond."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.frames import times
from ironflow_lab.models.instant import format_instant, parse_instant

in_range = st.integers(parse_instant("1678-01-01T00:00:00Z"), parse_instant("2261-12-31T23:59:59.999999999Z"))


@given(st.lists(in_range | st.none(), max_size=20))
def test_texts_become_the_instants_they_name(values: list[int | None]) -> None:
    texts = ["" if value is None else format_instant(value) for value in values]
    found = times.nanoseconds(texts)
    assert found.dtype == "datetime64[ns]"
    assert [None if np.isnat(one) else int(one.astype(np.int64)) for one in found] == values


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
        ("2026-01-02T03:04:05.5-05:30", "2026-01-02T08:34:05.5Z"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"),
        ("2026-01-02 03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.1234567899Z", "2026-01-02T03:04:05.123456789Z"),
        ("2026-06-30T23:59:60Z", "2026-07-01T00:00:00Z"),
    ],
)
def test_other_ways_of_writing_are_read_exactly(text: str, same: str) -> None:
    mixed = times.nanoseconds(["2026-01-01T00:00:00Z", text])
    assert mixed[1] == times.nanoseconds([same])[0]


def test_instants_beyond_64_bits_are_not_set_rather_than_wrapped() -> None:
    found = times.nanoseconds(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2261-12-31T23:59:59Z"])
    assert np.isnat(found).tolist() == [True, True, False]


@pytest.mark.parametrize("text", ["yesterday", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "é"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        times.nanoseconds(["2026-01-01T00:00:00Z", text])


def test_empty_and_zero() -> None:
    assert times.nanoseconds([]).dtype == "datetime64[ns]"
    assert np.isnat(times.nanoseconds([""])).all()
    assert np.isnat(times.from_instants([0, 5])).tolist() == [True, False]
