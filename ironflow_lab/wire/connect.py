"""Unary Connect calls as JSON (rpc.md sections 1 and 2)."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ironflow_lab.wire import codec, payload, problem
from ironflow_lab.wire.message import Request, Response

T = TypeVar("T")

SERVICE = "/ironflow.v1."
# Says in which run an event is emitted or a message published (conventions.md section 3).
RUN_HEADER = "x-ironflow-run-id"
JSON_HEADERS = (("content-type", "application/json"), ("connect-protocol-version", "1"))

# Methods the protocol marks as free of side effects (rpc.md section 6): only these are sent again.
REPEATABLE = frozenset(
    {
        "AuditService/GetAuditTrail",
        "IronflowService/GetFunction",
        "IronflowService/GetFunctionAtVersion",
        "IronflowService/GetPausedState",
        "IronflowService/GetRun",
        "IronflowService/GetRunSteps",
        "IronflowService/Health",
        "IronflowService/ListFunctionHistory",
        "IronflowService/ListFunctions",
        "IronflowService/ListRuns",
        "TimeTravelService/GetRunStateAt",
        "TimeTravelService/GetRunTimeline",
        "TimeTravelService/GetStepOutputAt",
    }
)


def request(
    procedure: str, message: msgspec.Struct, *, wait: float = 0.0, keyed: bool = False, run_id: str = ""
) -> Request:
    """Return the request for `Service/Method`.

    `wait` is the hold in seconds the call itself asks for; `keyed` says that an idempotency key makes
    it safe to send again (rulings.md 34); `run_id` is the run that a handler emits or publishes in.
    """
    return Request(
        method="POST",
        path=SERVICE + procedure,
        body=codec.encode(message),
        headers=(*JSON_HEADERS, (RUN_HEADER, run_id)) if run_id else JSON_HEADERS,
        repeatable=keyed or procedure in REPEATABLE,
        wait=wait,
    )


def read(response: Response, kind: type[T]) -> T:
    """Return the answer as `kind` with its payload pairs settled; raises `ApiError` for a refusal."""
    if response.status != 200:
        raise problem.from_response(response, bare_404="unimplemented")
    return payload.settle(decode_body(response, kind))


def decode_body(response: Response, kind: type[T]) -> T:
    """Return the body as `kind`; raises `InternalError` when it is not what the protocol promises."""
    try:
        return codec.decode(response.body, kind)
    except msgspec.DecodeError as error:
        raise problem.unreadable(response, error) from None
