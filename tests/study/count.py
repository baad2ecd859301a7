"""Counts the actions of each question: `python -m tests.study.count`.

In the dashboard an action is a click, a choice, a drag or a value read off and kept in mind. In a
notebook it is everything a person has to know and type: each name that is looked up, each call, each
argument, each comparison or subscript, and the execution of the cell. Names, calls and arguments are
taken from the parsed code, so that nothing is counted by hand there.
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path

QUESTIONS = Path(__file__).with_name("questions.toml")
# How many runs, steps or moments "each" stands for.
EACH = 10
_COUNTED = (ast.Call, ast.Attribute, ast.keyword, ast.Compare, ast.Subscript, ast.Lambda, ast.Dict, ast.Assign)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question and the two ways to its answer."""

    ask: str
    dashboard: list[str]
    notebook: list[str]

    @property
    def clicks(self) -> int:
        """How many actions the dashboard takes; 0 where it has no answer."""
        return sum(EACH if action.startswith("{") else 1 for action in self.dashboard)

    @property
    def keys(self) -> int:
        """How many actions the notebook takes."""
        return sum(1 + _actions(ast.parse(cell)) for cell in self.notebook)


def questions() -> list[Question]:
    """Return the questions in their order."""
    return [Question(**one) for one in tomllib.loads(QUESTIONS.read_text())["question"]]


def _actions(tree: ast.Module) -> int:
    count = sum(isinstance(node, _COUNTED) for node in ast.walk(tree))
    return count + sum(len(node.args) for node in ast.walk(tree) if isinstance(node, ast.Call))


def main() -> None:
    """Print the table and the ratio over the questions that both can answer."""
    found = questions()
    for one in found:
        print(f"{one.clicks or '-':>4} {one.keys:>4}  {one.ask}")
    both = [one for one in found if one.clicks]
    clicks, keys = sum(one.clicks for one in both), sum(one.keys for one in both)
    print(f"{clicks:>4} {keys:>4}  all that both can answer: {keys / clicks:.2f} of the dashboard's actions")
    single = [one for one in both if one.keys * 2 > one.clicks]
    print(f"over half: {[one.ask for one in single] or 'none'}")


if __name__ == "__main__":
    main()
