"""Instants, 64-bit integers and words: their text, their JSON, their zero."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.models.functions import FunctionStatus
from ironflow_lab.models.instant import (
    Instant,
    Int64,
    Later,
    Word,
    decode_hook,
    encode_hook,
    format_instant,
    parse_instant,
)
from ironflow_lab.models.runs import ExecutionMode, RunStatus, StepStatus, StepType
from ironflow_lab.wire import codec

NANOSECONDS = st.integers(-(2**63), 2**63 - 1)


@given(NANOSECONDS)
def test_an_instant_survives_its_text(value: int) -> None:
    assert parse_instant(format_instant(value)) == value
    assert str(Instant(value)) == format_instant(value)


@given(
    st.datetimes(datetime(1678, 1, 2), datetime(2261, 12, 30)),  # noqa: DTZ001 - made aware below
    st.integers(-23 * 60, 23 * 60),
)
def test_an_instant_agrees_with_datetime(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    instant = parse_instant(moment.isoformat())
    assert instant == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
    assert instant.to_datetime() == moment


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.1Z", 100_000_000),
        ("1970-01-01t00:00:00.000000001z", 1),
        ("1970-01-01 00:00:00.1234567891Z", 123_456_789),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999999-00:00", -1),
        ("1970-01-01T00:00:60Z", 60_000_000_000),
        ("2026-01-02T03:04:05.006Z", 1_767_323_045_006_000_000),
    ],
)
def test_texts_that_are_read(text: str, nanoseconds: int) -> None:
    assert parse_instant(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04Z",
        "2026-01-02T03:04:0512Z",
        "2026-01-02T03:04:05.Z",
        "2026-13-02T03:04:05Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T24:04:05Z",
        "2026-01-02T03:60:05Z",
        "2026-01-02T03:04:61Z",
        "2026-01-02T03:04:05Z ",
        "٢٠٢٦-01-02T03:04:05Z",
        "0000-01-02T03:04:05Z",
        "1500-01-01T00:00:00Z",
        "2500-01-01T00:00:00Z",
    ],
)
def test_texts_that_are_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (1_000_000, "1970-01-01T00:00:00.001Z"),
        (100_000_000, "1970-01-01T00:00:00.100Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_fractions_have_0_3_6_or_9_digits(nanoseconds: int, text: str) -> None:
    assert format_instant(nanoseconds) == text
    assert repr(Instant(nanoseconds)) == f"Instant({text!r})"


def test_the_time_that_go_never_set_is_not_set() -> None:
    assert decode_hook(Instant, "0001-01-01T00:00:00Z") == 0


def test_zero_and_empty_are_one_object() -> None:
    assert Instant() is Instant(0) is Instant(False)
    assert Int64() is Int64("0")
    assert RunStatus() is RunStatus("")
    assert type(StepStatus()) is StepStatus


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Instant, 5), (Instant, None), (Int64, 1.5), (Int64, True), (RunStatus, None), (RunStatus, True)],
)
def test_wrong_json_is_refused(kind: type, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        decode_hook(kind, value)


def test_a_64_bit_integer_is_a_text_on_the_wire() -> None:
    assert encode_hook(Int64(2**63 - 1)) == "9223372036854775807"
    assert decode_hook(Int64, "9223372036854775807") == 2**63 - 1
    assert decode_hook(Int64, 7) == 7
    assert decode_hook(Int64, str(-(2**63))) == -(2**63)


@pytest.mark.parametrize("value", [2**63, "9223372036854775808", -(2**63) - 1])
def test_what_does_not_fit_64_bits_is_refused(value: int | str) -> None:
    with pytest.raises(ValueError, match="from -2"):
        decode_hook(Int64, value)


def test_hooks_know_only_their_types() -> None:
    with pytest.raises(NotImplementedError):
        decode_hook(complex, "1")
    with pytest.raises(NotImplementedError):
        encode_hook(object())


WORDS = [RunStatus, StepStatus, StepType, ExecutionMode, FunctionStatus]


@pytest.mark.parametrize("kind", WORDS)
def test_words_change_their_spelling_on_the_wire(kind: type[Word]) -> None:
    for number, word in kind.numbers.items():
        name = kind.prefix + word.upper()
        assert encode_hook(kind(word)) == name
        assert decode_hook(kind, name) == word
        assert decode_hook(kind, number) == word
        assert type(decode_hook(kind, number)) is kind
    assert encode_hook(kind("")) == kind.prefix + "UNSPECIFIED"
    assert decode_hook(kind, kind.prefix + "UNSPECIFIED") == ""
    assert decode_hook(kind, 0) == ""


def test_a_word_of_a_newer_server_is_kept() -> None:
    assert decode_hook(RunStatus, "RUN_STATUS_HIBERNATING") == "hibernating"


class Shade(Word):
    """A word for this test."""

    prefix: ClassVar[str] = "SHADE_"
    numbers: ClassVar[dict[int, str]] = {1: "light"}


class Paint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record for this test."""

    shade: Shade = Shade("")
    dried: Instant = Instant(0)


def test_fields_that_are_not_set_are_left_out() -> None:
    assert msgspec.json.encode(Paint(shade=Shade(""), dried=Instant(0)), enc_hook=encode_hook) == b"{}"
    painted = Paint(shade=Shade("light"), dried=Instant(1_000_000_000))
    assert msgspec.json.encode(painted, enc_hook=encode_hook) == (
        b'{"shade":"SHADE_LIGHT","dried":"1970-01-01T00:00:01Z"}'
    )


def test_a_wait_beyond_all_instants_lasts_to_the_last_one() -> None:
    class Wait(msgspec.Struct):
        until: Later

    for text in ("9999-12-31T23:59:59Z", "2262-06-01T00:00:00.000Z"):
        read = codec.decode(b'{"until":"%s"}' % text.encode(), Wait).until
        assert str(read) == "2262-04-11T23:47:16Z"
    assert codec.decode(b'{"until":"2026-01-02T03:04:05Z"}', Wait).until == parse_instant("2026-01-02T03:04:05Z")
    with pytest.raises(msgspec.ValidationError):
        codec.decode(b'{"until":"soon"}', Wait)


def test_a_number_of_an_enumeration_that_is_not_known_is_not_the_one_for_none() -> None:
    class Asked(msgspec.Struct):
        status: RunStatus

    assert codec.decode(b'{"status":99}', Asked).status == "99"
    assert codec.decode(b'{"status":0}', Asked).status == ""
    assert codec.decode(b'{"status":3}', Asked).status == "completed"
