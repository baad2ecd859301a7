"""The study of ten questions: its notebook cells give the right answers, in at most half of the dashboard's actions."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import ironflow_lab as il
from tests.study.count import Question, questions

ASKED = questions()


def charge_of(customer: str, amount: int, attempt: int) -> dict[str, Any]:
    if customer == "eve":
        raise ConnectionError("the bank did not answer")
    return {"approved": customer != "bob", "customer": customer, "attempt": attempt, "amount": amount}


@pytest.fixture(scope="module")
def scene(lab: il.Lab) -> dict[str, Any]:
    """A function, runs of it that failed and went well, and a run in question with the values the questions name."""

    @lab.function(
        "charge", on="charge.asked", retry={"max_attempts": 3, "initial_delay": "1ms", "on_exhausted": "fail"}
    )
    async def charge(ctx: Any) -> Any:
        order = ctx.event.data
        await ctx.step.run("price", lambda: {"total": order["amount"]})
        bank = await ctx.step.run("bank", charge_of, order["customer"], order["amount"], ctx.run.attempt)
        if not bank["approved"]:
            raise il.NonRetryableError("the bank said no")
        await ctx.step.sleep("approval", "1ms")
        return {"total": order["amount"]}

    def all_of(customer: str, amount: int, count: int) -> pd.DataFrame:
        return pd.DataFrame({"customer": [customer] * count, "amount": [amount] * count})

    frame = pd.concat([all_of("ann", 5, 6), all_of("bob", -5, 6), all_of("eve", 7, 2)], ignore_index=True)
    sent = lab.emit_frame("charge.asked", frame)
    sent.wait(timeout="30s")
    runs = sent.frame()
    of = {name: lab.run(runs.loc[runs["customer"] == name, "run_id"].iloc[0]) for name in ("ann", "bob")}
    return {"lab": lab, "charge": charge, "good": of["ann"], "run": of["bob"]}


def answer(question: Question, scene: dict[str, Any]) -> Any:
    """Return what the last cell shows."""
    names, value = dict(scene), None
    for cell in question.notebook:
        value = eval(compile(ast.parse(cell, mode="eval"), "<cell>", "eval"), names)  # noqa: S307 - ours
    return value


def words(text: str) -> Callable[[Any], bool]:
    return lambda found: text in str(found)


RIGHT: dict[str, Callable[[Any], bool]] = {
    "Which failed charges": lambda found: len(found) == 2 and set(found["name"]) == {"bank"},
    "Why did this run fail": words("the bank said no"),
    "Why is this run not moving": words("nothing, until it is retried"),
    "Where did this run first differ": words("the inputs differ"),
    "What do the failures share": words("input.customer"),
    "Who or what put this value": words("input.amount"),
    "From when on was the total": words("Step price completed"),
    "What did the run know": lambda found: {"price", "bank"} <= set(found["name"]),
    "Would my changed code": words("14 same"),
    "What would have happened": words("completed"),
}


@pytest.mark.parametrize("question", ASKED, ids=[one.ask for one in ASKED])
def test_the_cells_of_a_question_answer_it(question: Question, scene: dict[str, Any]) -> None:
    [right] = [one for start, one in RIGHT.items() if question.ask.startswith(start)]
    names = dict(scene)
    if "blame" in question.notebook[0] or "approval" in question.notebook[0]:
        names["run"] = scene["good"]
    found = answer(question, names)
    assert right(found), found


def test_answers_take_at_most_half_the_actions() -> None:
    both = [one for one in ASKED if one.clicks]
    assert len(ASKED) == 10
    assert len(both) == 8
    assert sum(one.keys for one in both) * 2 <= sum(one.clicks for one in both)
    assert sum(one.keys / one.clicks for one in both) / len(both) <= 0.5
