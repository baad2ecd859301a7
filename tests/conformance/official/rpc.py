"""The official RPC client on a line: each line of standard input is a call, each of standard output its outcome.

A call is `{"method": "runs.get", "type": "GetRunRequest", "message": {...}}`, the message as the official
types read it from JSON; an outcome is `{"message": {...}}` as they write it, or `{"code", "text"}`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any

from ironflow.rpc import AsyncIronflowRPC, IronflowRPC, IronflowRPCError, v1


def speaking(kind: Any, codec: str) -> Any:
    """Return the client class; it sends binary messages unless the codec below it is chosen for it."""
    if codec == "binary":
        return kind
    chosen = import_module("connectrpc.codec").proto_json_codec()
    return type("Json", (kind,), {"_client_kwargs": lambda self: {**kind._client_kwargs(self), "codec": chosen}})


def outcome(answer: Any) -> dict[str, Any]:
    """Return what the types write of an answer."""
    return {"message": json.loads(answer.to_json())}


def refusal(error: IronflowRPCError) -> dict[str, Any]:
    """Return what the client makes of a refusal."""
    return {"code": error.code, "text": str(error)}


def asked(client: Any, line: str) -> tuple[Callable[..., Any], Any]:
    """Return the method and the message of a call."""
    call = json.loads(line)
    return attrgetter(call["method"])(client), getattr(v1, call["type"]).from_json(json.dumps(call["message"]))


def say(found: dict[str, Any]) -> None:
    """Write one outcome."""
    print(json.dumps(found), flush=True)


def serve(url: str, codec: str) -> None:
    """Answer calls by the blocking client."""
    with speaking(IronflowRPC, codec)(url, timeout=20) as client:
        for line in sys.stdin:
            method, message = asked(client, line)
            try:
                say(outcome(method(message)))
            except IronflowRPCError as error:
                say(refusal(error))


async def serve_async(url: str, codec: str) -> None:
    """Answer calls by the async client, whose connections live in one loop."""
    async with speaking(AsyncIronflowRPC, codec)(url, timeout=20) as client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            method, message = asked(client, line)
            try:
                say(outcome(await method(message)))
            except IronflowRPCError as error:
                say(refusal(error))


def main() -> None:
    """Serve until the end of the input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--client", choices=["sync", "async"], required=True)
    parser.add_argument("--codec", choices=["binary", "json"], required=True)
    options = parser.parse_args()
    if options.client == "sync":
        serve(options.url, options.codec)
    else:
        asyncio.run(serve_async(options.url, options.codec))


if __name__ == "__main__":
    main()
