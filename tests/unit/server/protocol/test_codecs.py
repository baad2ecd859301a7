"""The binary codec: bytes of any client to JSON, JSON of any answer to bytes, and what is refused."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import FailedPreconditionError, InvalidArgumentError
from ironflow_lab.models.events import TriggerRequest
from ironflow_lab.server.protocol import codecs, pb
from ironflow_lab.server.protocol.messages import DEEPEST
from ironflow_lab.server.protocol.messages import read as read_message

EMIT = "IronflowService/Emit"
GET_RUN = "IronflowService/GetRun"
Request = pb.methods()[EMIT].request
Run = pb.methods()[GET_RUN].response

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def nested(levels: int, *, objects: bool) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if objects else [value]
    return value


def packed(value: Any) -> bytes:
    """The bytes of an event whose payload is the value, however deep."""
    text = json.dumps({"outputValue": value}).encode()
    # Field 23 of a run is what field 6 of an event is: a value.
    tag, found = b"\xba\x01", codecs.write(GET_RUN, text)
    assert found.startswith(tag)
    return b"\x32" + found.removeprefix(tag)


@given(VALUES)
def test_a_payload_is_the_same_in_both_codecs(value: Any) -> None:
    read = json.loads(codecs.read(EMIT, packed(value)))
    assert read == {"dataValue": value}
    written = Run.FromString(codecs.write(GET_RUN, json.dumps({"outputValue": value}).encode()))
    assert written.output_value.SerializeToString() == Request.FromString(packed(value)).data_value.SerializeToString()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    try:
        text = codecs.read(EMIT, body)
    except InvalidArgumentError:
        return
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\x02\xff\xfe",
        b"\x12\x02\x0a\x05",
        b"\x0b",
        b'{"event":"order.placed"}',
    ],
    ids=["tag", "no length", "cut off", "not UTF-8", "cut off inside", "group", "JSON"],
)
def test_malformed_bytes_are_refused_with_the_message_they_are_not(body: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="not a TriggerRequest in binary protobuf") as caught:
        codecs.read(EMIT, body)
    assert len(caught.value.message) < 300


def test_what_json_has_not_is_refused_by_its_reason() -> None:
    message = Request()
    message.data_value.number_value = float("nan")
    with pytest.raises(InvalidArgumentError, match="not a TriggerRequest: nan is no number in JSON"):
        codecs.read(EMIT, message.SerializeToString())


def test_unknown_fields_are_ignored() -> None:
    later = b"\xaa\x06\x03abc"
    assert codecs.read(EMIT, later + b"\x0a\x01e" + later) == b'{"event":"e"}'
    assert codecs.read(EMIT, b"") == b"{}"


def test_depth() -> None:
    """Binary requests nest less than JSON may; answers nest as deep as the payload is."""
    for levels, objects in ((33, True), (50, False)):
        value = nested(levels - 1, objects=objects)
        assert json.loads(codecs.read(EMIT, packed(value))) == {"dataValue": value}
        for deeper in (levels + 1, DEEPEST):
            with pytest.raises(InvalidArgumentError, match="send what nests deeper as JSON"):
                codecs.read(EMIT, packed(nested(deeper, objects=objects)))


def test_a_number_beyond_doubles_has_a_remedy() -> None:
    with pytest.raises(FailedPreconditionError, match="too large for a double: ask for it as JSON"):
        codecs.write(GET_RUN, b'{"outputValue":[1' + b"0" * 400 + b"]}")


def test_the_record_is_the_one_of_the_json_path() -> None:
    message = Request(event="order.placed", version=2)
    message.data.update({"total": 3})
    assert read_message(codecs.read(EMIT, message.SerializeToString()), TriggerRequest) == TriggerRequest(
        event="order.placed", version=2, data={"total": 3}
    )
    refused = read_message(codecs.read(EMIT, Request(version=-(2**31)).SerializeToString()), TriggerRequest)
    assert refused.version == -(2**31)


async def test_large_messages_do_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[bool] = []
    loop_thread = threading.get_ident()

    def seen(procedure: str, given: bytes) -> bytes:
        here.append(threading.get_ident() == loop_thread)
        return given

    monkeypatch.setattr(codecs, "read", seen)
    monkeypatch.setattr(codecs, "write", seen)
    small, large = b"x" * 100, b"x" * 100_000
    for call in (codecs.to_json, codecs.to_binary):
        assert await call(EMIT, small) == small
        assert await call(EMIT, large) == large
    assert here == [True, False] * 2
