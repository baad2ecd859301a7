"""The gate with real connections: a kept-alive one is not used, and whoever is not replayed goes on."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import ironflow_lab as il
from ironflow_lab.debug import gate
from ironflow_lab.debug.gate import Gate
from ironflow_lab.errors import GateError
from ironflow_lab.testing import LocalServer


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(scope="module")
def lab(server: LocalServer) -> Iterator[il.Lab]:
    joined = il.connect(server.url)
    yield joined
    joined.close()


def refused(act: Callable[[], Any]) -> Gate:
    """Do it behind a gate; it must end in a `GateError`, its own or as the cause."""
    with gate.enter(Gate("the replay of run_1")) as held, pytest.raises(Exception, match="has no effects") as raised:
        act()
    errors: list[BaseException | None] = [raised.value]
    while errors[-1] is not None:
        errors.append(errors[-1].__cause__ or errors[-1].__context__)
    assert any(isinstance(error, GateError) for error in errors)
    assert held.violations
    return held


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept-alive"])
def test_an_http_client_is_refused_and_works_again(server: LocalServer, kept: bool) -> None:
    with httpx.Client(base_url=server.url) as client:
        if kept:
            assert client.get("/health").status_code == 200
        refused(lambda: client.get("/health"))
        assert client.get("/health").status_code == 200


def test_a_connection_of_the_standard_librarys_that_is_open_is_not_used(server: LocalServer) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))

    def ask() -> int:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert ask() == 200
    refused(ask)
    connection.close()
    assert ask() == 200
    connection.close()


async def test_an_async_client_is_refused(server: LocalServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/health")).status_code == 200
        with gate.enter(Gate("the replay of run_1")) as held:
            # What its connection makes of the refusal is not ours.
            with pytest.raises((GateError, httpx.TransportError)):
                await client.get("/health")
            assert "send to" in held.violations[0].what
            async with httpx.AsyncClient(base_url=server.url) as another:
                with pytest.raises((GateError, ExceptionGroup)):
                    await another.get("/health")
            assert "connect to" in held.violations[-1].what
        assert (await client.get("/health")).status_code == 200


VERBS: dict[str, Callable[[il.Lab], Any]] = {
    "emit": lambda lab: lab.emit("nobody.listens", {}),
    "runs": lambda lab: lab.runs(limit=1),
    "invoke": lambda lab: lab.invoke("nobody", {}),
    "client": lambda lab: lab.client.runs.list(limit=1),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_the_labs_is_refused_and_the_lab_goes_on(lab: il.Lab, verb: str) -> None:
    lab.runs(limit=1)
    refused(lambda: VERBS[verb](lab))
    assert lab.emit("nobody.listens", {}).runs == []
    assert len(lab.runs(limit=1)) == 0


def test_other_threads_use_their_connections_meanwhile(lab: il.Lab) -> None:
    entered, leave = threading.Event(), threading.Event()

    def replay() -> None:
        with gate.enter(Gate("the replay of run_1")):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=replay)
    thread.start()
    entered.wait()
    try:
        assert lab.emit("nobody.listens", {}).runs == []
    finally:
        leave.set()
        thread.join()
