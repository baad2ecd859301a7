"""Call the official REST client.

The first argument is the server's URL; standard input is a JSON list of `[method, arguments, options]`, standard
output the list of what each call returned, `{"answer": ...}`, or raised, `{"status", "code", "text"}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ironflow import IronflowError
from ironflow.client import IronflowClient


def outcome(client: IronflowClient, method: str, arguments: list[Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of a call, or its refusal."""
    try:
        return {"answer": getattr(client, method)(*arguments, **options)}
    except IronflowError as error:
        return {"status": error.status_code, "code": error.code, "text": str(error)}


def main() -> None:
    """Answer for all calls, in their order."""
    client = IronflowClient(sys.argv[1], timeout=20)
    json.dump([outcome(client, *call) for call in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
