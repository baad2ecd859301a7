"""Secrets of a run: read by name, shown nowhere."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.errors import NonRetryableError, PayloadError
from ironflow_lab.models.workers import JobContext
from ironflow_lab.runtime import execution, payloads
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.outcome import Completed, Failed
from ironflow_lab.runtime.secrets import Secrets
from tests.unit.runtime.assignments import segment_of
from tests.unit.runtime.fakes import tools

VALUE = "sk_live_private"


@pytest.fixture
def secrets() -> Secrets:
    """Two secrets, of which the function has declared one more."""
    return Secrets({"B": "two", "A": VALUE}, function_id="charge", declared=("A", "B", "C"))


def test_values_are_read_by_name(secrets: Secrets) -> None:
    assert (secrets["A"], secrets.get("B")) == (VALUE, "two")
    assert ("A" in secrets, secrets.has("A"), "C" in secrets, secrets.has("C")) == (True, True, False, False)
    assert (list(secrets), len(secrets)) == (["A", "B"], 2)


@pytest.mark.parametrize("read", [Secrets.get, Secrets.__getitem__])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("C", r"'charge' has no secret 'C': it is declared, .* lab.client.secrets.create\('C', value\), then retry"),
        ("D", r"'charge' has no secret 'D': declare it, @function\(..., secrets=\['D'\]\), and run the cell again"),
        (7, "'charge' has no secret 7: names are text"),
    ],
)
def test_a_missing_one_fails_the_run_for_good_and_says_what_to_do(
    secrets: Secrets, read: Callable[..., str], name: Any, told: str
) -> None:
    with pytest.raises(NonRetryableError, match=told) as missing:
        read(secrets, name)
    assert missing.value.code == "SECRET_MISSING"
    assert VALUE not in str(missing.value)


def test_values_are_shown_and_written_nowhere(secrets: Secrets) -> None:
    assert repr(secrets) == "<secrets A, B>"
    assert repr(Secrets({}, function_id="f")) == "<secrets none>"
    assert VALUE not in f"{secrets} {secrets!r} {vars(type(secrets))}"
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secrets cannot be pickled or copied"):
            write(secrets)
    with pytest.raises(PayloadError) as refused:
        payloads.settle({"all": secrets}, "step 'a'")
    assert VALUE not in str(refused.value)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_handler_has_those_of_its_assignment(kept: bool) -> None:
    @function("charge", secrets=["A"])
    async def charge(ctx: Any) -> Any:
        return [ctx.secrets["A"] == VALUE, repr(ctx.secrets)]

    context = {"context": JobContext(secrets={"A": VALUE})} if kept else {}
    segment = segment_of(charge, **context)
    await execution.run_async(segment, tools())
    if kept:
        assert segment.outcome == Completed(output=payloads.settle([True, "<secrets A>"], "")[0])
    else:
        assert isinstance(segment.outcome, Failed)
        fault = segment.outcome.fault
        assert (fault.code, fault.retryable) == ("SECRET_MISSING", False)
        assert "it is declared, but the server has no value for it" in fault.message
