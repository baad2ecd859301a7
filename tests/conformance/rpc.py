"""The official RPC client, in a process of its own, as something a scenario can call."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.conformance.processes import OFFICIAL, clean_environment, official_python


class Refused(Exception):
    """What the client raised: the code of the protocol and its text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


class OfficialRpc:
    """`IronflowRPC` or `AsyncIronflowRPC` of the official SDK, speaking binary (its default) or JSON."""

    def __init__(self, url: str, folder: Path, *, client: str, codec: str) -> None:
        self._url, self._client, self.codec = url, client, codec
        self._log = folder / f"rpc-{client}-{codec}.log"
        self._child: subprocess.Popen[str] | None = None

    def __call__(self, method: str, kind: str, message: dict[str, Any] | None = None) -> Any:
        """Return the answer as the official types write it; raises `Refused`."""
        assert self._child is not None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps({"method": method, "type": kind, "message": message or {}}) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, f"the client's process ended\n{self._log.read_text(errors='replace')[-4000:]}"
        found = json.loads(line)
        if "code" in found:
            raise Refused(found["code"], found["text"])
        return found["message"]

    def refused(self, method: str, kind: str, message: dict[str, Any] | None = None) -> tuple[str, str]:
        """Return the code and the text of a call that must be refused."""
        try:
            found = self(method, kind, message)
        except Refused as refusal:
            return refusal.code, refusal.text
        raise AssertionError(f"{method} {message} was answered: {found}")

    def __enter__(self) -> Self:
        words = ["--url", self._url, "--client", self._client, "--codec", self.codec]
        with self._log.open("w") as log:
            self._child = subprocess.Popen(
                [official_python(), OFFICIAL / "rpc.py", *words],
                env=clean_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._child is not None
        with self._child as child:
            if child.stdin is not None:
                child.stdin.close()
            code = child.wait(20)
        assert kind is not None or code == 0, self._log.read_text(errors="replace")[-4000:]
