"""Bodies within limits, packed or not, and answers in the shapes every client reads."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest

from ironflow_lab.errors import (
    ApiError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    StaleExecutionError,
    UnavailableError,
    UnimplementedError,
)
from ironflow_lab.server.protocol.exchange import BINARY, LARGEST_BODY, Disconnected, Exchange, first
from tests.unit.server.protocol.calls import Call


def packed(body: bytes) -> bytes:
    """Return the body as gzip writes it at no time, so that it names the same test in every process."""
    return gzip.compress(body, mtime=0)


def exchanged(call: Call) -> Exchange:
    return Exchange(call.scope, call.receive, call.send)


async def body_of(call: Call) -> bytes:
    return await exchanged(call).body()


class TestBody:
    async def test_parts_are_joined(self) -> None:
        assert await body_of(Call(body=[b"{", b'"a"', b":1}"])) == b'{"a":1}'

    async def test_the_limit_itself_is_read(self) -> None:
        assert len(await body_of(Call(body=b"x" * LARGEST_BODY))) == LARGEST_BODY

    async def test_one_byte_more_is_refused(self) -> None:
        with pytest.raises(InvalidArgumentError, match="8 MiB; send less") as caught:
            await body_of(Call(body=b"x" * (LARGEST_BODY + 1)))
        assert caught.value.status == 413

    async def test_nothing_is_kept_beyond_the_limit(self) -> None:
        call = Call(body=[bytes(LARGEST_BODY // 2)] * 2 + [b"!", b"!", b"!"])
        with pytest.raises(InvalidArgumentError):
            await body_of(call)
        assert call.read == 3

    async def test_a_client_that_leaves_early(self) -> None:
        call = Call(body=[b"{", b"}"])
        call.leave()
        with pytest.raises(Disconnected):
            await body_of(call)

    async def test_gzip(self) -> None:
        assert await body_of(Call(body=gzip.compress(b'{"a":1}'), content_encoding="GZIP ")) == b'{"a":1}'

    async def test_a_gzip_bomb_costs_no_more_than_the_limit(self) -> None:
        packer = zlib.compressobj(wbits=31)
        bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
        assert len(bomb) < 100_000
        with pytest.raises(InvalidArgumentError, match="8 MiB") as caught:
            await body_of(Call(body=bomb, content_encoding="gzip"))
        assert caught.value.status == 413

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "cut off"),
            (b"{}", "cannot be unpacked"),
            (zlib.compress(b"{}"), "cannot be unpacked"),
            (packed(b'{"a":1}')[:-5], "cut off"),
            (packed(b"{}") + b"more", "one whole gzip member"),
            (packed(b"{}") + packed(b"{}"), "one whole gzip member"),
            (packed(b"{}")[:-8] + bytes(8), "cannot be unpacked"),
        ],
    )
    async def test_broken_gzip_is_refused(self, body: bytes, words: str) -> None:
        with pytest.raises(InvalidArgumentError, match=words):
            await body_of(Call(body=body, content_encoding="gzip"))

    @pytest.mark.parametrize("packing", ["br", "deflate", "gzip, gzip"])
    async def test_other_packings_are_named(self, packing: str) -> None:
        with pytest.raises(InvalidArgumentError, match="send gzip or none") as caught:
            await body_of(Call(body=b"{}", content_encoding=packing))
        assert caught.value.status == 415

    @pytest.mark.parametrize("packing", ["identity", ""])
    async def test_no_packing(self, packing: str) -> None:
        assert await body_of(Call(body=b"{}", content_encoding=packing)) == b"{}"


class TestHeaders:
    @pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
    async def test_json_is_required_and_found(self, kind: str) -> None:
        exchanged(Call(content_type=kind)).require_json()

    @pytest.mark.parametrize("kind", ["text/plain", "application/proto", "application/x-www-form-urlencoded", ""])
    async def test_anything_else_is_refused(self, kind: str) -> None:
        with pytest.raises(InvalidArgumentError, match="send Content-Type: application/json") as caught:
            exchanged(Call(content_type=kind)).require_json()
        assert caught.value.status == 415

    @pytest.mark.parametrize(
        ("kind", "binary"),
        [
            ("application/proto", True),
            ("Application/Proto; v=1", True),
            ("application/json", False),
            ("application/json; charset=utf-8", False),
        ],
    )
    async def test_a_connect_call_is_in_one_of_two_codecs(self, kind: str, binary: bool) -> None:
        assert exchanged(Call(content_type=kind)).is_binary() is binary

    @pytest.mark.parametrize("kind", ["text/plain", "application/connect+proto", "application/x-protobuf", ""])
    async def test_a_connect_call_in_any_other_is_refused(self, kind: str) -> None:
        with pytest.raises(InvalidArgumentError, match="application/json or application/proto") as caught:
            exchanged(Call(content_type=kind)).is_binary()
        assert caught.value.status == 415

    @pytest.mark.parametrize("name", ["x_ironflow_environment_id", "x_ironflow_environment"])
    @pytest.mark.parametrize("env", ["", "default", "env_default"])
    async def test_the_one_environment(self, name: str, env: str) -> None:
        assert exchanged(Call("GET", "/", body=b"", **{name: env})).env == "env_default"
        with pytest.raises(NotFoundError, match="only 'default'"):
            _ = exchanged(Call("GET", "/", body=b"", **{name: "staging"})).env

    async def test_the_query(self) -> None:
        assert exchanged(Call(path="/jobs?available=3&wait=%32&wait=7&x")).query == {"available": "3", "wait": "7"}

    async def test_the_path_stays_as_it_was_sent(self) -> None:
        assert exchanged(Call(path="/api/a%2Fb/jobs")).path == "/api/a%2Fb/jobs"


class TestAnswers:
    async def test_a_body_is_json_and_measured(self) -> None:
        call = Call()
        await exchanged(call).answer(200, b'{"a":1}')
        assert (call.status, call.headers, call.json) == (
            200,
            {"content-type": "application/json", "content-length": "7"},
            {"a": 1},
        )

    @pytest.mark.parametrize("body", [b"\x0a\x01a", b""])
    async def test_a_binary_message_may_be_no_bytes_at_all(self, body: bytes) -> None:
        call = Call()
        await exchanged(call).answer(200, body, kind=BINARY)
        assert (call.headers, call.body) == (
            {"content-type": "application/proto", "content-length": str(len(body))},
            body,
        )

    async def test_no_body(self) -> None:
        call = Call()
        await exchanged(call).answer(204, b"", ((b"ironflow-poll-wait", b"20"),))
        assert (call.status, call.headers) == (204, {"content-length": "0", "ironflow-poll-wait": "20"})

    @pytest.mark.parametrize(
        ("error", "status", "body"),
        [
            (NotFoundError("none"), 404, {"code": "not_found", "message": "none"}),
            (InvalidArgumentError("bad"), 400, {"code": "invalid_argument", "message": "bad"}),
            (InvalidArgumentError("big", status=413), 413, {"code": "invalid_argument", "message": "big"}),
            (FailedPreconditionError("over"), 400, {"code": "failed_precondition", "message": "over"}),
            (FailedPreconditionError("full", status=507), 507, {"code": "failed_precondition", "message": "full"}),
            (UnimplementedError("lacks"), 501, {"code": "unimplemented", "message": "lacks"}),
            (UnavailableError("busy"), 503, {"code": "unavailable", "message": "busy"}),
            (InternalError("fault"), 500, {"code": "internal", "message": "fault"}),
            (
                StaleExecutionError("drop", code="STALE_EXECUTION"),
                409,
                {"error": "STALE_EXECUTION", "code": "aborted", "message": "drop"},
            ),
        ],
    )
    async def test_refusals(self, error: ApiError, status: int, body: dict[str, Any]) -> None:
        call = Call()
        await exchanged(call).refuse(error)
        assert (call.status, call.json) == (status, body)

    async def test_a_message_stays_short_whatever_it_quotes(self) -> None:
        call = Call()
        await exchanged(call).refuse(NotFoundError("x" * 1_000_000))
        assert len(call.body) < 2_100

    async def test_an_answer_that_has_begun_is_not_answered_again(self) -> None:
        call = Call()
        exchange = exchanged(call)
        await exchange.begin_lines()
        await exchange.line(b'{"type":"held"}')
        await exchange.refuse(InternalError("fault"))
        assert [message["type"] for message in call.sent] == ["http.response.start", "http.response.body"]
        assert call.body == b'{"type":"held"}\n'


class TestFirst:
    async def test_the_others_are_cancelled(self) -> None:
        never = asyncio.get_running_loop().create_future()
        await first(asyncio.sleep(0), never)
        assert never.cancelled()

    async def test_a_failure_is_raised(self) -> None:
        async def fails() -> None:
            raise NotFoundError("none")

        with pytest.raises(NotFoundError):
            await first(fails(), asyncio.Event().wait())

    async def test_a_timeout_just_returns(self) -> None:
        await first(asyncio.Event().wait(), timeout=0)
