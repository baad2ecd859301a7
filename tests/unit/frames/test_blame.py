"""A frame of what changed a place: declared columns with and without rows, exact values, secrets hidden."""

from __future__ import annotations

import msgspec
import pandas as pd

from ironflow_lab.frames.blame import BLAME, blame_frame
from ironflow_lab.history.blame import Put
from ironflow_lab.models.instant import Instant

BIG = 123456789012345678901234567890
DONE = Put(
    position=3,
    event_id="aud_3",
    event_type="step.completed",
    at=Instant(10**18 + 1),
    before=msgspec.UNSET,
    after=BIG,
    step="s",
)
TOLD = Put(
    position=0,
    event_id="",
    event_type="step.patched",
    at=Instant(10**18 + 2),
    before=BIG,
    after=None,
    actor="ann",
    reason="fee",
)
PUTS = (DONE, TOLD)


def test_columns_are_as_declared_also_when_empty() -> None:
    for frame in (blame_frame(PUTS, ()), blame_frame((), ())):
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {one.name: one.dtype for one in BLAME}


def test_values_are_exact_and_what_is_not_known_is_missing() -> None:
    frame = blame_frame(PUTS, ("amount",))
    assert frame["after"].tolist() == [BIG, None]
    assert pd.isna(frame["before"].iloc[0])
    assert frame["position"].isna().tolist() == [False, True]
    assert frame["at"].astype("int64").tolist() == [10**18 + 1, 10**18 + 2]
    assert frame["actor"].iloc[1] == "ann"


def test_a_value_under_a_secret_looking_key_is_hidden() -> None:
    assert blame_frame(PUTS[:1], ("card", "api_key"))["after"].tolist() == ["[redacted]"]
    assert blame_frame(PUTS[:1], ("card", "max_tokens"))["after"].tolist() == [BIG]
