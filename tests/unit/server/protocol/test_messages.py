"""Bodies to records: lenient where the protocol is, and refused with a reason everywhere else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.events import TriggerBatchRequest, TriggerRequest, TriggerSyncRequest
from ironflow_lab.models.functions import (
    ConcurrencyConfig,
    DebounceConfig,
    RegisterFunctionRequest,
    RetryConfig,
    Trigger,
)
from ironflow_lab.models.instant import Int64
from ironflow_lab.models.runs import ListRunsRequest
from ironflow_lab.models.workers import JobUpdate, RegisterRequest
from ironflow_lab.server.protocol.messages import DEEPEST, read


def both(camel: bytes, snake: bytes, kind: type[Any]) -> Any:
    one, other = read(camel, kind), read(snake, kind)
    assert one == other
    return one


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return b'{"event":"a","dataValue":' + opening * (levels - 1) + b"1" + closing * (levels - 1) + b"}"


class TestSpellings:
    def test_top_level(self) -> None:
        found = both(
            b'{"event":"a","idempotencyKey":"k","timeoutMs":5,"dataValue":[1]}',
            b'{"event":"a","idempotency_key":"k","timeout_ms":5,"data_value":[1]}',
            TriggerSyncRequest,
        )
        assert (found.idempotency_key, found.timeout_ms, found.data_value) == ("k", 5, [1])

    def test_nested_records(self) -> None:
        found = both(
            b'{"id":"f","retry":{"maxAttempts":3,"onExhausted":"fail"},"concurrency":{"limit":2},"cancelOn":[],'
            b'"debounce":{"periodMs":1000,"maxWaitMs":"5"}}',
            b'{"id":"f","retry":{"max_attempts":3,"on_exhausted":"fail"},"concurrency":{"limit":2},"cancel_on":[],'
            b'"debounce":{"period_ms":1000,"max_wait_ms":"5"}}',
            RegisterFunctionRequest,
        )
        assert found.retry == RetryConfig(max_attempts=3, on_exhausted="fail")
        assert found.concurrency == ConcurrencyConfig(limit=2)
        assert found.debounce == DebounceConfig(period_ms=1000, max_wait_ms=Int64(5))

    def test_records_in_a_list(self) -> None:
        found = both(
            b'{"events":[{"event":"a","idempotencyKey":"k"},{"event":"b","dataValue":[1]}]}',
            b'{"events":[{"event":"a","idempotency_key":"k"},{"event":"b","data_value":[1]}]}',
            TriggerBatchRequest,
        )
        assert [event.idempotency_key for event in found.events] == ["k", ""]
        assert found.events[1].data_value == [1]

    def test_the_users_own_names_in_a_list_are_left_alone(self) -> None:
        body = b'{"events":[{"event":"a","idempotency_key":"k","data":{"events":[{"data_value":1}]}}]}'
        assert read(body, TriggerBatchRequest).events[0].data == {"events": [{"data_value": 1}]}

    def test_the_users_own_names_are_left_alone(self) -> None:
        body = b'{"event":"a","idempotency_key":"k","data":{"idempotency_key":1,"data_value":{"timeout_ms":2}}}'
        found = read(body, TriggerRequest)
        assert found.data == {"idempotency_key": 1, "data_value": {"timeout_ms": 2}}
        named = read(b'{"id":"f","metadata":{"max_attempts":1},"change_reason":"x"}', RegisterFunctionRequest)
        assert named.metadata == {"max_attempts": 1}

    def test_big_integers_survive_the_renaming(self) -> None:
        found = read(b'{"event":"a","data_value":[18446744073709551616,9007199254740993]}', TriggerRequest)
        assert found.data_value == [2**64, 2**53 + 1]


class TestLenience:
    def test_an_empty_body_is_an_empty_message(self) -> None:
        assert read(b"", ListRunsRequest) == ListRunsRequest()
        assert read(b"", dict) == {}

    def test_unknown_fields_are_ignored(self) -> None:
        assert read(b'{"event":"a","namespace":"default"}', TriggerRequest).event == "a"

    def test_64_bit_numbers_may_be_text(self) -> None:
        assert read(b'{"status":"progress","execution_seq":"7"}', JobUpdate).execution_seq == 7

    def test_an_unknown_status_is_no_error(self) -> None:
        assert read(b'{"status":"RUN_STATUS_DREAMING"}', ListRunsRequest).limit == 0

    @pytest.mark.parametrize(
        ("body", "kind", "same"),
        [
            (b'{"event":"a","version":null,"idempotencyKey":null}', TriggerRequest, b'{"event":"a"}'),
            (
                b'{"id":"f","retry":{"maxAttempts":null},"triggers":[{"event":"a","cron":null}]}',
                RegisterFunctionRequest,
                b'{"id":"f","retry":{},"triggers":[{"event":"a"}]}',
            ),
            (
                b'{"status":"failed","error":{"message":"m","retry_after_ms":null},"step_offset":null}',
                JobUpdate,
                b'{"status":"failed","error":{"message":"m"}}',
            ),
            (b'{"function_ids":["f"],"version":{"sdk":null}}', RegisterRequest, b'{"function_ids":["f"],"version":{}}'),
            (
                b'{"events":[{"event":"a","metadata":null,"version":null,"data":{"x":null}}]}',
                TriggerBatchRequest,
                b'{"events":[{"event":"a","data":{"x":null}}]}',
            ),
        ],
    )
    def test_null_stands_for_an_absent_field(self, body: bytes, kind: type[Any], same: bytes) -> None:
        assert read(body, kind) == read(same, kind)

    def test_the_users_own_nulls_stay(self) -> None:
        body = b'{"event":"a","version":null,"data":{"a":null,"steps":[{"b":null}]}}'
        assert read(body, TriggerRequest).data == {"a": None, "steps": [{"b": None}]}
        assert read(b'{"event":"a","dataValue":null}', TriggerRequest).data_value is None


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"{", "not JSON"),
            (b'{"event":"a"} {}', "not JSON"),
            (b'{"event":"a",}', "not JSON"),
            (b"{'event':'a'}", "not JSON"),
            (b'\xef\xbb\xbf{"event":"a"}', "not JSON"),
            (b'{"event":"\xff"}', "UTF-8"),
            (b'{"event":"\xed\xa0\x80"}', "UTF-8"),
            (b'{"event":"\\ud800"}', "not JSON"),
            (b'{"event":"a","data":NaN}', "not JSON"),
            (b'{"event":"a","dataValue":1e999}', "out of range"),
            (b'{"event":"a","dataValue":' + b"9" * 5_000 + b"}", "out of range"),
            (b"[]", "not a TriggerRequest"),
            (b"null", "not a TriggerRequest"),
            (b"7", "not a TriggerRequest"),
            (b'{"event":5}', r"\$.event"),
            (b'{"event":null}', ""),
            (b'{"event":"a","version":true}', r"\$.version"),
            (b'{"event":"a","version":1.5}', r"\$.version"),
            (b'{"event":"a","version":2147483648}', "2147483647"),
            (b'{"event":"a","version":"-2147483649"}', "-2147483648"),
            (b'{"event":"a","version":' + b"9" * 40 + b"}", "2147483647"),
            (b'{"event":"a","metadata":[1]}', r"\$.metadata"),
        ],
    )
    def test_with_the_reason(self, body: bytes, words: str) -> None:
        if not words:
            assert read(body, TriggerRequest) == TriggerRequest()
            return
        with pytest.raises(InvalidArgumentError, match=words):
            read(body, TriggerRequest)

    @pytest.mark.parametrize(
        "since", ["yesterday", "2026-02-31T00:00:00Z", "2026-01-01T00:00:00", "9999-01-01T00:00:00Z"]
    )
    def test_an_unreadable_time(self, since: str) -> None:
        with pytest.raises(InvalidArgumentError, match=r"\$.since"):
            read(msgspec.json.encode({"since": since}), ListRunsRequest)


class TestNesting:
    @pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
    def test_the_limit_itself_is_read(self, pair: tuple[bytes, bytes]) -> None:
        levels = DEEPEST // (2 if pair[0].startswith(b"[{") else 1)
        assert read(nested(levels, *pair), TriggerRequest).event == "a"

    @pytest.mark.parametrize("levels", [DEEPEST + 1, 990, 5_000, 500_000])
    @pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}"), (b'{"\\"[\\\\":', b"}")])
    def test_deeper_is_refused(self, levels: int, pair: tuple[bytes, bytes]) -> None:
        with pytest.raises(InvalidArgumentError, match="nested more than 256 levels deep; flatten it"):
            read(nested(levels, *pair), TriggerRequest)

    def test_unfinished_nesting_is_refused(self) -> None:
        with pytest.raises(InvalidArgumentError):
            read(b'{"event":"a","dataValue":' + b"[" * 100_000, TriggerRequest)

    def test_many_brackets_side_by_side_are_not_deep(self) -> None:
        flat = msgspec.json.encode({"event": "a", "dataValue": [[{"k": []}]] * 5_000})
        assert len(read(flat, TriggerRequest).data_value) == 5_000

    def test_brackets_inside_texts_do_not_count(self) -> None:
        tricky = ["[" * 5_000, '"' + "{" * 5_000, "\\", '\\"[', "\\\\" * 7 + "[["]
        body = msgspec.json.encode({"event": "a", "dataValue": tricky})
        assert read(body, TriggerRequest).data_value == tricky

    def test_a_trigger_is_still_a_trigger(self) -> None:
        found = read(b'{"id":"f","triggers":[{"event":"a"}],"timeout_ms":7}', RegisterFunctionRequest)
        assert (found.triggers, found.timeout_ms) == ((Trigger(event="a"),), 7)
