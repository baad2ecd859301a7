"""A kernel with a notebook's debugger attached, driven as a front end does it, through its control channel."""

from __future__ import annotations

import ast
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

PATIENCE = 60.0


class Debugged:
    """A context manager: a kernel of its own in the working directory, its output and its debugger."""

    def __init__(self) -> None:
        self._manager = KernelManager()
        self._client: BlockingKernelClient
        self._count = 0

    def __enter__(self) -> Debugged:
        self._manager.start_kernel()
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    # ---- cells

    def begin(self, code: str) -> str:
        """Execute a cell and return at once; `printed` waits for its end."""
        sent: str = self._client.execute(code, stop_on_error=False)
        return sent

    def printed(self, sent: str) -> str:
        """Return what a cell printed, once it has ended; its error fails the test."""
        text = ""
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != sent:
                continue
            if kind == "stream":
                text += content["text"]
            if kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            if kind == "status" and content["execution_state"] == "idle":
                return text

    def run(self, code: str) -> str:
        """Execute a cell and return what it printed."""
        return self.printed(self.begin(code))

    # ---- the debugger

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the body of the debugger's answer, which must be a success."""
        self._count += 1
        content = {"type": "request", "seq": self._count, "command": command, "arguments": arguments}
        message = self._client.session.msg("debug_request", content)
        self._client.control_channel.send(message)
        while True:
            answer = self._client.get_control_msg(timeout=PATIENCE)
            if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                assert answer["content"].get("success"), answer["content"]
                body: dict[str, Any] = answer["content"].get("body") or {}
                return body

    def attach(self) -> None:
        """Switch the debugger on."""
        self.ask("initialize", clientID="test", adapterID="", pathFormat="path", linesStartAt1=True)
        self.ask("attach")
        self.ask("configurationDone")

    def dump(self, code: str) -> str:
        """Tell the debugger a cell's text and return the path it knows the cell by."""
        path: str = self.ask("dumpCell", code=code)["sourcePath"]
        return path

    def stopped(self) -> Stopped:
        """Wait until a thread has stopped."""
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            content = message["content"]
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(content["traceback"]))
            if message["msg_type"] == "debug_event" and content["event"] == "stopped":
                return Stopped(self, content["body"])


class Stopped:
    """A thread that stands, as the front end shows it."""

    def __init__(self, kernel: Debugged, body: dict[str, Any]) -> None:
        self._kernel = kernel
        self.reason = body["reason"]
        self.all_threads = body["allThreadsStopped"]
        self._thread = body["threadId"]
        self.frame = kernel.ask("stackTrace", threadId=self._thread)["stackFrames"][0]
        self.path, self.line = self.frame["source"]["path"], self.frame["line"]

    def locals(self) -> dict[str, Any]:
        """Return the local variables of the frame that are literals."""
        scope = self._kernel.ask("scopes", frameId=self.frame["id"])["scopes"][0]
        listed = self._kernel.ask("variables", variablesReference=scope["variablesReference"])["variables"]
        found = {}
        for one in listed:
            try:
                found[one["name"]] = ast.literal_eval(one["value"])
            except (ValueError, SyntaxError):
                continue
        return found

    def go(self, command: str) -> None:
        """Go on: "next", "continue"."""
        self._kernel.ask(command, threadId=self._thread)
