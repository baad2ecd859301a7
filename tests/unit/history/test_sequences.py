"""Two sequences are paired by the highest score, in order, and fast when they are long."""

from __future__ import annotations

import random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.history import sequences


class Thing(NamedTuple):
    key: str
    value: int

    @property
    def token(self) -> tuple[str, int]:
        return (self.key, self.value)


def score(x: Thing, y: Thing) -> int:
    return (10 if x == y else 6) if x.key == y.key else 0


def best(xs: list[Thing], ys: list[Thing]) -> int:
    """Return the highest sum there is, by trying everything."""
    if not xs or not ys:
        return 0
    found = max(best(xs[1:], ys), best(xs, ys[1:]))
    own = score(xs[0], ys[0])
    return max(found, own + best(xs[1:], ys[1:])) if own else found


things = st.lists(st.builds(Thing, st.sampled_from("ab"), st.integers(0, 2)), max_size=5)


@given(things, things)
def test_the_sum_of_the_scores_is_the_highest_and_the_pairs_are_in_order(xs: list[Thing], ys: list[Thing]) -> None:
    found = sequences.pairs(xs, ys, score)
    assert found == sorted(found)
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
    assert [j for _, j in found] == sorted(j for _, j in found)
    assert all(score(xs[i], ys[j]) for i, j in found)
    assert sum(score(xs[i], ys[j]) for i, j in found) == best(xs, ys)


def test_what_is_missing_from_the_middle_of_a_loop_is_found_by_what_came_of_the_others() -> None:
    xs = [Thing("charge", number) for number in range(5)]
    assert sequences.pairs(xs, [xs[0], xs[1], xs[3], xs[4]], score) == [(0, 0), (1, 1), (3, 2), (4, 3)]


def test_of_equal_items_the_last_is_the_one_too_many() -> None:
    a, b, c, z = (Thing(key, 0) for key in "abcz")
    assert sequences.pairs([a, b, z], [c, b, b, z], score) == [(1, 1), (2, 3)]
    assert sequences.pairs([c, b, b, z], [a, b, z], score) == [(1, 1), (3, 2)]


def test_long_sequences_are_cut_at_what_is_unique() -> None:
    rng = random.Random(1)
    xs = [Thing("charge", rng.randrange(10**9)) for _ in range(4_000)]
    ys = list(xs)
    for at in (3_000, 2_000, 1_000):
        del ys[at]
        ys[at + 100] = Thing("charge", -at)
    found = sequences.pairs(xs, ys, score)
    assert len(found) == len(ys)
    gone = sorted(set(range(len(xs))) - {i for i, _ in found})
    assert gone == [1_000, 2_000, 3_000]


def test_long_sequences_with_nothing_in_common_are_paired_by_number_and_name() -> None:
    xs = [Thing("a", number) for number in range(700)]
    assert sequences.pairs(xs, [Thing("a", -1 - number) for number in range(600)], score) == [
        (number, number) for number in range(600)
    ]
    assert sequences.pairs(xs, [Thing("b", number) for number in range(600)], score) == []
