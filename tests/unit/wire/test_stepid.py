"""Step ids: the vectors of worker.md 9.1, and their inverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.wire import stepid


@pytest.mark.parametrize(
    ("scope", "name", "index", "step_id"),
    [
        ("run_01", "a", 0, "run_01:a:0"),
        ("run_01", "a", 1, "run_01:a:1"),
        ("run_01", "b:c", 0, r"run_01:b\:c:0"),
        ("run_01", "publish:orders:eu", 0, r"run_01:publish:orders\:eu:0"),
        ("run_01", "charge-card", 0, "run_01:charge-card:0"),
        ("run_01:fetch:1", "x", 0, "run_01:fetch:1:x:0"),
        ("run_01", "compensate:charge", 0, "run_01:compensate:charge:0"),
        ("run_01", r"a\b", 0, r"run_01:a\\b:0"),
        ("run_01", r"a\:b", 2, r"run_01:a\\\:b:2"),
        ("run_01", "publishing:x", 0, r"run_01:publishing\:x:0"),
    ],
)
def test_vectors(scope: str, name: str, index: int, step_id: str) -> None:
    assert stepid.step_id(scope, name, index) == step_id
    assert stepid.step_name(step_id) == name


@pytest.mark.parametrize("text", ["", "free text", "run_01:a", "run_01:a:x"])
def test_what_is_no_step_id_is_its_own_name(text: str) -> None:
    assert stepid.step_name(text) == text


NAMES = st.text(min_size=1) | st.text(":\\ab", min_size=1)


@given(NAMES, st.integers(0, 10**6))
def test_a_name_is_found_in_its_id(name: str, index: int) -> None:
    if name not in ("publish:", "compensate:"):
        assert stepid.step_name(stepid.step_id("run_01", name, index)) == name


@given(NAMES, NAMES, st.integers(0, 99), st.integers(0, 99))
def test_ids_of_different_uses_differ(one: str, other: str, first: int, second: int) -> None:
    same = (one, first) == (other, second)
    assert (stepid.step_id("r", one, first) == stepid.step_id("r", other, second)) is same


@pytest.mark.parametrize(
    ("step_id", "shown"),
    [
        ("run_1:charge:0", "charge"),
        ("run_1:charge:1", "charge:1"),
        (r"run_1:b\:c:0", "b:c"),
        ("run_1:publish:orders:0", "publish:orders"),
        ("run_1:pack:0:wrap:0", "pack:0:wrap"),
        ("run_1:pack:1:wrap:2", "pack:1:wrap:2"),
        ("run_2:charge:0", "run_2:charge:0"),
        ("odd", "odd"),
    ],
)
def test_a_step_is_told_from_the_others_of_its_run(step_id: str, shown: str) -> None:
    assert stepid.label("run_1", step_id) == shown
