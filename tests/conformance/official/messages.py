"""Read messages with the official SDK's types, strictly, and write them again.

Standard input is a JSON list of `[type, text]`; standard output the list of what the type writes
for each text, or of why it refused.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ironflow.rpc import v1


def reread(kind: str, text: str) -> dict[str, Any]:
    """Return `{"json": ...}` as the official type writes it, or `{"error": ...}`."""
    try:
        return {"json": json.loads(getattr(v1, kind).from_json(text).to_json())}
    except ValueError as error:
        return {"error": str(error)}


def main() -> None:
    """Answer for all messages at once."""
    json.dump([reread(kind, text) for kind, text in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
