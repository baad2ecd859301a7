"""Translate messages with the official SDK's types, between JSON and binary.

Standard input is a JSON list of `[type, text, hex]`; standard output the list of `[hex, message]`: what
the type writes in binary for the text, and in JSON for the bytes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ironflow.rpc import v1


def translated(name: str, text: str, written: str) -> list[Any]:
    """Return the text in binary, and the bytes as JSON."""
    kind = getattr(v1, name)
    return [kind.from_json(text).to_binary().hex(), json.loads(kind.from_binary(bytes.fromhex(written)).to_json())]


def main() -> None:
    """Answer for all messages at once."""
    json.dump([translated(*one) for one in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
