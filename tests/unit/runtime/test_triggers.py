"""What starts a function: names, conditions and times, and how a wrong one is told."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.functions import Trigger
from ironflow_lab.runtime import triggers


def test_triggers() -> None:
    assert triggers.of(None) == ()
    assert [one.event for one in triggers.of("order.placed")] == ["order.placed"]
    assert [one.event for one in triggers.of(["order.*", "audit.>"])] == ["order.*", "audit.>"]
    large, small = (Trigger(event="a", expression=f"data.total {sign} 100") for sign in "><")
    assert triggers.of(large) == (large,)
    assert triggers.of([large, small, "a"]) == (large, small, Trigger(event="a"))


@pytest.mark.parametrize(
    ("on", "why"),
    [
        ([], "names no event"),
        ({"event": "a"}, r"or Trigger\(event=..., expression=...\)"),
        ("", "must not be empty"),
        ("order.pl*", "whole parts"),
        ("order.>.x", "last part"),
        ([7], "is not an event name"),
        (["a", "b", "a"], "names 'a' twice"),
        ([Trigger(event="a", expression="true")] * 2, "names 'a' twice"),
        (Trigger(event="a", expression=" "), "expression . . is blank"),
        (Trigger(event="a..b", expression="true"), "empty part"),
        (Trigger(expression="true"), "must not be empty"),
        (7, "on=7 is not an event name; write on='order.placed'"),
        (Trigger(event="a", cron="* * * * *"), "an event or a cron line; give two triggers"),
        (Trigger(), "must not be empty"),
    ],
)
def test_bad_triggers(on: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        triggers.of(on)


@pytest.mark.parametrize(
    "expression",
    [
        "data.total > 100",
        "data.total >= 1.0 && name != 'a = b'",
        """data.note == "it's (open" || data.tags[0] in ["a", 'b"c']""",
        r"data.text.matches(r'^\d+(x') || data.x == '\''",
        "data.a == '''many 'lines' = '''",
        "has(data.or) && data.and == 1",
        "!(data.x in {'a': 1})",
        "data.a*2.0 > 3.0",
    ],
)
def test_an_expression_that_may_be_cel_is_left_to_the_server(expression: str) -> None:
    assert triggers.of(Trigger(event="a", expression=expression)) == (Trigger(event="a", expression=expression),)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("data.total = 100", "single '='; write '=='"),
        ("data.a and data.b", "word 'and', which is Python; write && in CEL"),
        ("not data.a", "word 'not', which is Python; write !"),
        ("data.a == None", "word 'None', which is Python; write null"),
        ("(data.a", r"'\(' that is not closed"),
        ("data.a)", r"'\)' that nothing opens"),
        ("data.a[(0])", "that nothing opens"),
        ("data.a == 'x", "a quote that is not closed"),
        ("data.* == 1", "a wildcard after a dot"),
        ("data.a &&", "ends in an operator"),
        ("data.a ==", "ends in an operator"),
        ("x" * 4001, "4001 characters, and at most 4000"),
        (7, "must be text, not int"),
    ],
)
def test_an_expression_that_cannot_be_cel(expression: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=f"on='a': .*{why}"):
        triggers.of(Trigger(event="a", expression=expression))


def test_times() -> None:
    assert triggers.of(None, "*/5 * * * *") == (Trigger(cron="*/5 * * * *"),)
    assert triggers.of(Trigger(cron="0 9 * * MON-FRI")) == (Trigger(cron="0 9 * * MON-FRI"),)
    both = triggers.of("order.placed", [" 0  0 1 1 * ", "0 12 * * *"])
    assert both == (Trigger(event="order.placed"), Trigger(cron="0 0 1 1 *"), Trigger(cron="0 12 * * *"))


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("", "has 0 fields and needs 5: minute, hour"),
        ("* * * *", "has 4 fields and needs 5"),
        ("* * * * * *", "has 6 fields and needs 5"),
        ("99 * * * *", "bad minute; a line is minute, hour"),
        ("* * * * XYZ", "bad day-of-week"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("@daily", "names such as @daily are not understood everywhere"),
        (5, "cron=5 must be text"),
        ([], "names no time"),
        (["* * * * *", "* * * * *"], "twice; once is enough"),
    ],
)
def test_bad_times(cron: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        triggers.of(None, cron)


def test_a_trigger_with_a_bad_time_is_named() -> None:
    with pytest.raises(DefinitionError, match=r"on=Trigger\(cron='60 \* \* \* \*'\): bad minute"):
        triggers.of(Trigger(cron="60 * * * *"))
