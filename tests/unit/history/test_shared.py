"""What failures share that successes lack: found, counted, sure only where it can be, and bounded."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.history.recording import Recording
from ironflow_lab.history.shared import Difference, fisher, shared
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, RunStatus
from tests.unit.history.recordings import T0, recording, step

NO = Error(message="card 17 declined", code="DECLINED")


def good(number: int, calls: list[dict[str, Any]] | None = None, **fields: Any) -> Recording:
    told = [step("price", {"total": 5}), step("charge", {"ok": True}), step("ship", "sent")] if calls is None else calls
    return recording(told, run_id=f"run_good{number:08}", **fields)


def bad(number: int, calls: list[dict[str, Any]] | None = None, **fields: Any) -> Recording:
    told = [step("price", {"total": 5}), step("charge", error=NO)] if calls is None else calls
    ended = {"status": RunStatus("failed"), "error": NO, "output": None}
    return recording(told, run_id=f"run_bad{number:09}", **{**ended, **fields})


def causes(group: list[Recording], others: list[Recording]) -> list[Difference]:
    return [one for one in shared(group, others).differences if not one.follows]


def words(group: list[Recording], others: list[Recording]) -> list[str]:
    return [one.words() for one in causes(group, others)]


def table(has: int, known: int, others_have: int, others_known: int) -> float:
    """Return the tail of the hypergeometric distribution, doubled, with whole numbers."""
    k, total = has + others_have, known + others_known
    ways = sum(math.comb(known, x) * math.comb(others_known, k - x) for x in range(has, min(known, k) + 1))
    return min(1.0, 2 * ways / math.comb(total, k))


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_the_chance_is_fishers(known: int, others_known: int, data: st.DataObject) -> None:
    has, others_have = data.draw(st.integers(0, known)), data.draw(st.integers(0, others_known))
    expected = table(has, known, others_have, others_known)
    assert fisher(has, known, others_have, others_known) == pytest.approx(expected, rel=1e-9)


def test_a_value_of_the_input_that_all_failures_have() -> None:
    group = [bad(n, input={"country": "DE", "n": n}) for n in range(8)]
    others = [good(n, input={"country": "FR" if n % 2 else "US", "n": n}) for n in range(20)]
    (best,) = causes(group, others)
    assert best.words() == 'input.country = "DE"'
    assert (best.has, best.known, best.others_have, best.others_known) == (8, 8, 0, 20)
    assert (best.sure, best.score) == (True, 1.0)


def test_an_output_of_a_step_before_the_failure() -> None:
    calls = [step("price", {"total": 99, "currency": "EUR"}), step("charge", error=NO)]
    usual = [step("price", {"total": 99, "currency": "USD"}), step("charge", 1)]
    group, others = [bad(n, calls) for n in range(6)], [good(n, usual) for n in range(12)]
    assert words(group, others) == ['steps.price.output.currency = "EUR"']


def test_a_cut_between_numbers() -> None:
    group = [bad(n, input={"amount": 1_000 + 7 * n}) for n in range(10)]
    others = [good(n, input={"amount": 50 * n}) for n in range(20)]
    best = causes(group, others)[0]
    assert best.words() == "input.amount > 950"
    assert best.sure


def test_a_step_that_is_absent_counts_only_where_the_run_went_past_it() -> None:
    skipped = [step("price", 5), step("charge", error=NO)]
    usual = [step("price", 5), step("validate", True), step("charge", 1), step("ship", 2)]
    group, others = [bad(n, skipped) for n in range(8)], [good(n, usual) for n in range(12)]
    # `ship` was not reached: that says nothing.
    assert words(group, others) == ["steps.validate is absent"]


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("worker_id", ("w-1", "w-2"), 'worker = "w-1"'),
        ("function_version", (4, 3), "function_version = 4"),
        ("event_name", ("order.retried", "order.placed"), 'event = "order.retried"'),
        ("created_at", (Instant(T0 + 10**12), Instant(T0)), "hour = "),
    ],
)
def test_surroundings(field: str, values: tuple[Any, Any], said: str) -> None:
    if field == "created_at":
        values = (Instant(T0 + 5 * 3_600 * 10**9), Instant(T0))
    group = [bad(n, **{field: values[0]}) for n in range(8)]
    assert words(group, [good(n, **{field: values[1]}) for n in range(12)])[0].startswith(said)


def test_tries_of_a_step_that_completed_and_corrections() -> None:
    retried = [step("price", 5, tries=3), step("charge", error=NO)]
    group, others = [bad(n, retried) for n in range(8)], [good(n) for n in range(12)]
    assert words(group, others)[0] == "steps.price.tries = 3"
    patched = [step("price", 5, row={"patched_at": Instant(1)}), step("charge", error=NO)]
    assert words([bad(n, patched) for n in range(8)], others) == ["steps.price.corrected is present"]


def test_of_one_place_what_only_follows_from_a_better_fact_is_not_told() -> None:
    group = [bad(n, input={"country": ("DE", "AT")[n % 2]}) for n in range(20)]
    others = [good(n, input={"country": ("US", "FR", "IT")[n % 3]}) for n in range(40)]
    assert words(group, others) == ['input.country = "DE"', 'input.country = "AT"']


def test_what_comes_with_a_failure_stands_last_and_is_no_cause() -> None:
    group = [bad(n, input={"country": "DE"}) for n in range(8)]
    found = shared(group, [good(n, input={"country": "US"}) for n in range(12)]).differences
    assert [one.follows for one in found] == [False, True]
    assert 'error.code = "DECLINED"' in [fact.words() for fact in (found[1].fact, *found[1].also)]


def test_facts_of_the_same_runs_are_one_the_plainest_first() -> None:
    group = [bad(n, input={"country": "DE", "currency": "EUR"}) for n in range(8)]
    (best,) = causes(group, [good(n, input={"country": "US", "currency": "USD"}) for n in range(12)])
    assert best.words() == 'input.country = "DE"'
    assert 'input.currency = "EUR"' in [fact.words() for fact in best.also]


def test_nothing_is_sure_of_what_is_only_noise() -> None:
    rng = random.Random(7)

    def noise() -> dict[str, Any]:
        return {f"k{number}": rng.randrange(3) for number in range(60)}

    for _ in range(5):
        group, others = [bad(n, input=noise()) for n in range(15)], [good(n, input=noise()) for n in range(30)]
        found = shared(group, others)
        assert not any(one.sure for one in found.differences if not one.follows)
        assert any("not" in note or "nothing" in note for note in found.notes)


def test_a_planted_cause_is_found_among_noise_that_is_not_complete() -> None:
    rng = random.Random(3)

    def noise(country: str) -> dict[str, Any]:
        return {"country": country} | {f"k{number}": rng.randrange(3) for number in range(40)}

    group = [bad(n, input=noise("DE" if n < 17 else "US")) for n in range(20)]
    others = [good(n, input=noise("US" if n < 38 else "DE")) for n in range(40)]
    best = causes(group, others)[0]
    assert best.fact.path == ("input", "country")
    assert (best.has, best.others_have, best.sure) == (17, 2, True)


def test_tiny_groups_are_not_sure_and_say_so() -> None:
    found = shared([bad(1, input={"c": "DE"})], [good(1, input={"c": "US"}), good(2, input={"c": "US"})])
    best = found.differences[0]
    assert (best.words(), best.sure) == ('input.c = "DE"', False)
    assert "with 1 against 2 runs nothing can be told from chance" in found.notes[0]
    assert shared([], [good(1)]).notes


def test_redacted_values_are_not_counted() -> None:
    group = [bad(n, input={"c": "[redacted]" if n < 4 else "DE"}) for n in range(8)]
    (best,) = causes(group, [good(n, input={"c": "US"}) for n in range(12)])
    assert (best.has, best.known) == (4, 4)


def test_values_under_secret_keys_are_hidden_in_words() -> None:
    (best,) = causes([bad(n, input={"pin_token": "one"}) for n in range(8)], [good(n, input={}) for n in range(12)])
    assert all("one" not in text for text in (best.words(), repr(best), *(fact.words() for fact in best.also)))


def test_hostile_payloads_and_many_runs_are_bounded() -> None:
    odd = {"\ud800": 10**400, "nan": float("nan"), "long": "x" * 10**5, "list": list(range(10**4))}
    wide = {f"k{number}": number for number in range(2_000)}
    group = [bad(n, input=odd) for n in range(20)] + [bad(99, input=wide)]
    found = shared(group, [good(n, input={"n": n}) for n in range(400)])
    assert found.differences
    repr(found)
