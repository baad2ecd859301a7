"""A function that belongs to somebody else's endpoint is not taken over."""

from __future__ import annotations

import json

import pytest

from ironflow_lab.client import Client
from ironflow_lab.errors import DefinitionError
from ironflow_lab.lab.serving import check_mode
from ironflow_lab.wire.message import Request, Response


class Answers:
    """A transport with one answer."""

    def __init__(self, status: int, body: dict[str, object]) -> None:
        self.status = status
        self.body = json.dumps(body).encode()

    def send(self, request: Request) -> Response:
        assert request.path.endswith("/GetFunction")
        return Response(status=self.status, headers={}, body=self.body)

    def close(self) -> None:
        """Nothing is open."""


def client(status: int, **body: object) -> Client:
    return Client("http://localhost:1", transport=Answers(status, body))


def test_a_push_function_is_refused_with_its_endpoint() -> None:
    found = client(200, id="hook", preferredMode="EXECUTION_MODE_PUSH", endpointUrl="https://app.example.org")
    with pytest.raises(DefinitionError, match=r"'hook' is a push function .* https://app\.example\.org.* another id"):
        check_mode(found, "hook")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {"id": "mine", "preferredMode": "EXECUTION_MODE_PULL"}), (404, {"code": "not_found", "message": "no"})],
)
def test_a_pull_function_or_a_new_one_is_ours_to_serve(status: int, body: dict[str, object]) -> None:
    check_mode(client(status, **body), "mine")
