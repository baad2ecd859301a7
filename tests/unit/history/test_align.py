"""Steps of two runs are paired across loops, branches, renames and moves; measured by planted changes."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from ironflow_lab.history import divergence
from ironflow_lab.history.align import align
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, RunStatus
from tests.unit.history import mutations
from tests.unit.history.mutations import Mutation
from tests.unit.history.recordings import T0, copied, group, leaves, output, program, recording, step

OTHER = "run_000000000002"
SEEDS = range(12)
# What a change of the structure is; what else differs is noise.
STRUCTURE = frozenset({"renamed", "moved", "only in a", "only in b", "given", "attempts"})


def kinds(a: Recording, b: Recording) -> list[tuple[str, str]]:
    return [(pair.kind, pair.label) for pair in align(a, b).pairs]


def other(calls: list[dict[str, Any]], **fields: Any) -> Recording:
    return recording(calls, run_id=OTHER, **fields)


class Tally:
    """Counts what was found of what there is."""

    def __init__(self) -> None:
        self.right = self.told = self.there = 0

    def add(self, found: frozenset[Any], truth: frozenset[Any]) -> None:
        self.right += len(found & truth)
        self.told += len(found)
        self.there += len(truth)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.told)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.there)


def mutants(seeds: range = SEEDS) -> list[tuple[str, list[dict[str, Any]], Mutation]]:
    found = []
    for make in mutations.ALL:
        for seed in seeds:
            rng = random.Random(f"{make.__name__}{seed}")
            before = program(rng)
            made = make(before, rng)
            if made is not None:
                found.append((make.__name__, before, made))
    return found


def test_every_planted_change_is_found_and_nothing_else_and_the_first_divergence_is_where_it_is() -> None:
    for tally in measured(SEEDS):
        assert tally.there > 100
        assert (tally.precision, tally.recall) == (1.0, 1.0)


@pytest.mark.soak
def test_of_a_thousand_planted_changes_one_is_ambiguous() -> None:
    # A step of a loop that is gone, and one beside it that returned the same.
    for tally in measured(range(100)):
        assert min(tally.precision, tally.recall) >= 0.999


def measured(seeds: range) -> tuple[Tally, Tally, Tally]:
    """Return how well pairs, differences and first divergences are told."""
    pairs, differences, firsts = Tally(), Tally(), Tally()
    for _, before, made in mutants(seeds):
        found = align(recording(before), other(made.program))
        told = mutations.found(found, before, made.program)
        differences.add(told, made.either if made.either & told else made.truth)
        both = {one["mark"] for one in leaves(before)} & {one["mark"] for one in leaves(made.program)}
        pairs.add(mutations.paired(found, before, made.program), frozenset((mark, mark) for mark in both))
        first = divergence.first(found, divergence.runs(found))
        assert first is not None
        exact = first.exact and first.pair is not None
        at = {mutations.marked(first.pair, before, made.program)} if exact and first.pair is not None else set()
        # Told right or not: the marks where it may be are one right answer.
        firsts.add(frozenset({bool(at & made.first)}), frozenset({True}))
    return pairs, differences, firsts


def test_changes_of_the_structure_are_found_where_a_third_of_the_other_outputs_differ_too() -> None:
    tallies: dict[str, Tally] = defaultdict(Tally)
    pairs = Tally()
    for name, before, made in mutants():
        rng = random.Random(name)
        # In a loop it is open which of several different outputs is the missing one.
        marks = made.first | {mark for _, mark in made.truth}
        touched = {call["name"] for calls in (before, made.program) for call in leaves(calls) if call["mark"] in marks}
        for call in leaves(made.program):
            if call["mark"] not in marks and call["name"] not in touched and rng.random() < 0.33:
                call["output"] = output(rng)
        found = align(recording(before), other(made.program))
        told = frozenset(one for one in mutations.found(found, before, made.program) if one[0] in STRUCTURE)
        truth = frozenset(one for one in made.truth if one[0] in STRUCTURE)
        tallies[name].add(told, made.either if made.either & told else truth)
        both = {one["mark"] for one in leaves(before)} & {one["mark"] for one in leaves(made.program)}
        pairs.add(mutations.paired(found, before, made.program), frozenset((mark, mark) for mark in both))
    whole = Tally()
    for one in tallies.values():
        whole.right, whole.told, whole.there = whole.right + one.right, whole.told + one.told, whole.there + one.there
    assert min(whole.precision, whole.recall) >= 0.99
    assert min(pairs.precision, pairs.recall) >= 0.999


@pytest.mark.parametrize("seed", range(8))
def test_a_run_is_the_same_as_itself_and_as_its_twin(seed: int) -> None:
    calls = program(random.Random(seed))
    for twin in (recording(calls), other(calls)):
        found = align(recording(calls), twin)
        assert {pair.kind for pair in found.pairs} == {"same"}
        assert divergence.runs(found) == ()
        assert divergence.first(found, ()) is None


@pytest.mark.parametrize("seed", range(8))
def test_the_other_way_round_the_same_steps_are_paired(seed: int) -> None:
    rng = random.Random(seed)
    before, after = program(rng), program(rng)
    there, back = align(recording(before), other(after)), align(other(after), recording(before))
    assert {(x.a.label, x.b.label) for x in there.pairs if x.a and x.b} == {
        (x.b.label, x.a.label) for x in back.pairs if x.a and x.b
    }


def test_every_step_is_in_one_pair_and_in_the_order_of_execution() -> None:
    for _, before, made in mutants(range(3)):
        found = align(recording(before), other(made.program)).pairs
        for side, calls in (("a", before), ("b", made.program)):
            orders = [act.order for pair in found if (act := getattr(pair, side)) is not None]
            assert sorted(orders) == list(range(len(list(leaves(calls)))))
        own = [pair.a.order for pair in found if pair.a is not None and pair.kind != "moved"]
        assert own == sorted(own)


def test_a_rename_without_an_outcome_is_told_by_its_place_and_a_replacement_is_none() -> None:
    calls = [step("a", 5), step("notify"), step("z", 7)]
    assert kinds(recording(calls), other([calls[0], step("inform"), calls[2]]))[1] == ("renamed", "notify")
    replaced = other([calls[0], step("weigh", {"kg": 3}), calls[2]])
    assert kinds(recording([calls[0], step("ship", {"n": 1}), calls[2]]), replaced) == [
        ("same", "a"),
        ("only in a", "ship"),
        ("only in b", "weigh"),
        ("same", "z"),
    ]


def test_a_name_that_is_nearly_the_same_may_come_to_something_else() -> None:
    (pair,) = align(recording([step("charge-card", 1)]), other([step("charge_card", 2)])).pairs
    assert (pair.kind, pair.differs) == ("renamed", ("name", "output"))


def test_a_loop_that_is_renamed_as_a_whole_is_renamed_step_by_step() -> None:
    calls = [step("a", 1), *(step("charge") for _ in range(4)), step("z", 2)]
    renamed = [{**one, "name": "bill"} if one["name"] == "charge" else one for one in calls]
    assert kinds(recording(calls), other(renamed))[2] == ("renamed", "charge:1")


def test_branches_are_paired_by_what_came_of_them_and_a_renamed_group_by_its_place() -> None:
    calls = [group("pack", *([step("wrap", number * 7)] for number in range(4)))]
    fewer = [group("pack", *([step("wrap", number * 7)] for number in (0, 2, 3)))]
    assert kinds(recording(calls), other(fewer)) == [
        ("same", "pack:0:wrap"),
        ("only in a", "pack:1:wrap"),
        ("same", "pack:2:wrap"),
        ("same", "pack:3:wrap"),
    ]
    renamed = [{**calls[0], "name": "wrap-all"}]
    assert {kind for kind, _ in kinds(recording(calls), other(renamed))} == {"renamed"}


def test_a_step_that_moved_into_a_branch_is_moved() -> None:
    into = [group("pack", [step("weigh", {"kg": 3}), step("wrap", 4)], [step("wrap", 5)])]
    before = [step("weigh", {"kg": 3}), group("pack", [step("wrap", 4)], [step("wrap", 5)])]
    assert ("moved", "weigh") in kinds(recording(before), other(into))


def test_racing_branches_are_no_difference() -> None:
    calls = [group("pack", [step("wrap", 1), step("tie", 2)], [step("wrap", 3), step("tie", 4)])]
    found = other(calls)
    mixed = [found.steps[index] for index in (2, 0, 3, 1)]
    steps = tuple(msgspec.structs.replace(one, sequence=at) for at, one in enumerate(mixed))
    raced = msgspec.structs.replace(found, steps=steps)
    assert {kind for kind, _ in kinds(recording(calls), raced)} == {"same"}


def test_the_rest_of_a_run_that_did_not_come_so_far_is_not_reached() -> None:
    calls = [step("a", 1), step("b", 2), step("c", 3)]
    failed = other([calls[0], step("b", error=Error(message="no", code="NO"))], status=RunStatus("failed"))
    assert kinds(recording(calls), failed) == [("same", "a"), ("changed", "b"), ("not reached in b", "c")]
    assert kinds(failed, recording(calls))[-1] == ("not reached in a", "c")
    # One that completed without the step left it out.
    assert kinds(recording(calls), other(calls[:2]))[-1] == ("only in a", "c")


def test_tries_are_counted_where_recorded_and_guessed_from_attempts_where_not() -> None:
    calls, retried = [step("a", 1), step("b", 2), step("c", 3)], [step("a", 1), step("b", 2, tries=3), step("c", 3)]
    for recorded in (True, False):
        found = align(recording(calls, recorded=recorded), other(retried, recorded=recorded)).pairs
        assert [(pair.kind, pair.differs, pair.substance) for pair in found] == [
            ("same", (), ()),
            ("changed", ("attempts",), ()),
            ("same", (), ()),
        ]
        assert found[1].b is not None
        assert (found[1].b.tries, found[1].b.counted) == (3, recorded)


def test_corrections_and_the_length_of_a_sleep_are_told_and_make_no_difference_in_substance() -> None:
    patched: dict[str, Any] = {"row": {"patched_at": Instant(T0 + 1), "original_output": 3}}
    (pair,) = align(recording([step("a", 1)]), other([step("a", 1, **patched)])).pairs
    assert (pair.differs, pair.substance) == (("patched",), ())
    slept = [
        step("z", type="sleep", row={"sleep_until": Instant(T0 + tenths * 100_000_000)}) for tenths in (50, 51, 600)
    ]
    first, close, far = (recording([one]) for one in slept)
    assert align(first, close).pairs[0].differs == ()
    assert align(first, far).pairs[0].differs == ("length",)


def test_what_a_wait_was_called_with_counts() -> None:
    waits = [step("w", 1, type="wait_for_event", told={"event": name, "match": "id", "value": 3}) for name in "pq"]
    (pair,) = align(recording([waits[0]]), other([waits[1]])).pairs
    assert (pair.differs, pair.given_known) == (("given",), True)
    assert not align(recording([step("a")]), other([step("a")])).pairs[0].given_known


def test_the_runs_own_ids_are_no_difference() -> None:
    own = recording([step("a", {"url": "/runs/run_000000000001"})])
    assert align(own, other([step("a", {"url": f"/runs/{OTHER}"})])).pairs[0].kind == "same"
    assert align(own, other([step("a", {"url": "/runs/run_000000000003"})])).pairs[0].kind == "changed"


def test_what_is_redacted_is_neither_the_same_nor_different() -> None:
    marker = {"$redacted": True, "sha256": "abc", "redactedAt": "2026-01-01T00:00:00Z"}
    for one, two in (({"n": 1, "token": "x"}, {"n": 1, "token": "[redacted]"}), (marker, {"n": 1}), (marker, marker)):
        (pair,) = align(recording([step("a", one)]), other([step("a", two)])).pairs
        assert (pair.kind, pair.unknown) == ("same", ("output",))
    (pair,) = align(recording([step("a", {"n": 1, "k": "[redacted]"})]), other([step("a", {"n": 2, "k": "s"})])).pairs
    assert (pair.kind, [change.path for change in pair.changes()]) == ("changed", [("n",)])


def deep(levels: int, leaf: Any) -> Any:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (deep(5_000, 1), deep(5_000, 2)),
        ({"\ud800": "\ud800"}, {"\ud800": "\udfff"}),
        (10**400, 10**400 + 1),
        (float("nan"), None),
        (1, 1.0),
        (0, False),
    ],
)
def test_hostile_values_are_compared_exactly(one: Any, two: Any) -> None:
    (pair,) = align(recording([step("a", one)]), other([step("a", two)])).pairs
    assert (pair.kind, pair.differs) == ("changed", ("output",))
    assert len(pair.changes()) == 1
    assert align(recording([step("a", one)]), other([step("a", one)])).pairs[0].kind == "same"


@pytest.mark.parametrize("name", ["a:b", "__proto__", "", "x:0:y:1", "n" * 10_000, "\ud800", "publish:t"])
def test_hostile_names_and_ids_are_only_names(name: str) -> None:
    calls = [step(name, 1), group(name, [step(name, 2)])]
    assert {kind for kind, _ in kinds(recording(calls), other(calls))} == {"same"}
    found = other([step("a", 1)])
    odd = msgspec.structs.replace(found.steps[0], step_id=name)
    assert len(align(recording(calls), msgspec.structs.replace(found, steps=(odd,), events=())).pairs) in (2, 3)


def test_deep_branches_are_one_place() -> None:
    found = other([step("a", 1)])
    odd = msgspec.structs.replace(found.steps[0], step_id=OTHER + ":g:0" * 5_000 + ":a:0")
    bent = msgspec.structs.replace(found, steps=(odd,), events=())
    assert [pair.kind for pair in align(bent, bent).pairs] == ["same"]


def test_steps_are_told_by_events_where_there_are_no_rows() -> None:
    whole = recording([step("a", 1), step("b", error=Error(message="no", code="NO"))])
    bare = msgspec.structs.replace(whole, steps=())
    assert {pair.kind for pair in align(whole, bare).pairs} == {"same"}


def test_ten_thousand_steps_are_paired() -> None:
    calls = [step("charge", {"n": number}) for number in range(10_000)]
    after = copied(calls)
    del after[5_000]
    after[7_000]["output"] = 0
    found = align(recording(calls, recorded=False), other(after, recorded=False))
    assert found.counts == {"same": 9_998, "changed": 1, "only in a": 1}
    assert [pair.label for pair in found.pairs if pair.kind == "only in a"] == ["charge:5000"]
