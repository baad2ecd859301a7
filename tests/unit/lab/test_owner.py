"""Whose a function is, and when it may be taken over."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.client import Client
from ironflow_lab.errors import DefinitionError
from ironflow_lab.lab import owner
from ironflow_lab.lab.guard import Guard
from ironflow_lab.runtime import identity
from ironflow_lab.runtime.enrolment import OWNER
from ironflow_lab.wire.message import Request, Response

HERE, THERE = Guard("http://localhost:9123"), Guard("https://ironflow.example.org")


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


def client(status: int = 200, **body: object) -> Client:
    return Client("http://localhost:1", transport=Answers(status, {"id": "f", **body}))


def owned_by(mark: str) -> Client:
    return client(preferredMode="EXECUTION_MODE_PULL", metadata={OWNER: mark})


def forget() -> None:
    """Let this process be another one: the locks of its identities stay held."""
    identity._own_marks.clear()


@pytest.mark.parametrize("guard", [HERE, THERE])
def test_a_push_function_is_refused_with_its_endpoint(guard: Guard, tmp_path: Path) -> None:
    found = client(preferredMode="EXECUTION_MODE_PUSH", endpointUrl="https://app.example.org")
    with (
        guard.allow(take_over=True),
        pytest.raises(DefinitionError, match=r"'f' is a push function .* https://app\.example\.org.* another id"),
    ):
        owner.check(found, guard, "f", data_folder=tmp_path)


@pytest.mark.parametrize("guard", [HERE, THERE])
def test_a_new_function_is_anyones(guard: Guard, tmp_path: Path) -> None:
    owner.check(client(404, code="not_found", message="no"), guard, "f", data_folder=tmp_path)


@pytest.mark.parametrize("guard", [HERE, THERE])
def test_what_this_process_registered_is_its_own(guard: Guard, tmp_path: Path) -> None:
    mine = identity.acquire(tmp_path, "/home/me/a.ipynb")
    owner.check(owned_by(mine.mark), guard, "f", data_folder=tmp_path)
    mine.release()


@pytest.mark.parametrize("metadata", [{}, {OWNER: "0123456789abcdef"}, {OWNER: 7}])
def test_on_a_guarded_server_what_others_registered_is_theirs(metadata: dict[str, Any], tmp_path: Path) -> None:
    found = client(preferredMode="EXECUTION_MODE_PULL", metadata=metadata)
    with pytest.raises(DefinitionError) as refused:
        owner.check(found, THERE, "f", data_folder=tmp_path)
    for part in ("'f' exists", "namespace='me'", "lab.allow(take_over=True)", "another id"):
        assert part in str(refused.value)


@pytest.mark.parametrize("take_over", [True, False])
def test_take_over_has_to_be_said(take_over: bool, tmp_path: Path) -> None:
    expected = nullcontext() if take_over else pytest.raises(DefinitionError)
    with THERE.allow(take_over=take_over), expected:
        owner.check(owned_by("0123456789abcdef"), THERE, "f", data_folder=tmp_path)
    assert not THERE.takes_over


def test_take_over_holds_in_blocks_inside() -> None:
    with THERE.allow(take_over=True), THERE.allow():
        assert THERE.takes_over


def test_on_a_local_server_only_a_live_owner_counts(tmp_path: Path) -> None:
    other = identity.acquire(tmp_path, "/home/me/a.ipynb")
    forget()
    with pytest.raises(DefinitionError, match=r"another notebook or script that is running now.*take_over"):
        owner.check(owned_by(other.mark), HERE, "f", data_folder=tmp_path)
    other.release()
    owner.check(owned_by(other.mark), HERE, "f", data_folder=tmp_path)
    owner.check(client(preferredMode="EXECUTION_MODE_PULL"), HERE, "f", data_folder=tmp_path)


def test_another_data_folder_tells_nothing_of_its_owners(tmp_path: Path) -> None:
    other = identity.acquire(tmp_path / "there", "/home/me/a.ipynb")
    forget()
    owner.check(owned_by(other.mark), HERE, "f", data_folder=tmp_path / "here")
    other.release()
