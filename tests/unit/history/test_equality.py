"""Two values are the same when their JSON texts are; they agree when their numbers have one value."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given

from ironflow_lab.history.equality import agree, same
from tests.unit.history.stories import json_values


@given(json_values, json_values)
def test_same_is_having_one_json_text(one: Any, other: Any) -> None:
    assert same(one, other) == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))
    assert same(one, copy.deepcopy(one))
    assert agree(one, copy.deepcopy(one))


@pytest.mark.parametrize(
    ("one", "other", "agreed"),
    [
        (1, 1.0, True),
        ([1], [1.0], True),
        ({"a": 2}, {"a": 2.0}, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        ([1], [1, 2], False),
        ({"a": 1}, {"b": 1}, False),
        (None, 0, False),
        (1, 2, False),
    ],
)
def test_numbers_agree_by_value_and_nothing_else_does(one: Any, other: Any, agreed: bool) -> None:
    assert agree(one, other) is agreed
    assert agree(other, one) is agreed


def test_depth_does_not_matter() -> None:
    def nested(core: Any) -> Any:
        for level in range(20_000):
            core = [core] if level % 2 else {"a": core}
        return core

    for question in (same, agree):
        assert question(nested(1), nested(1))
        assert not question(nested(1), nested(2))
