"""What can follow in a line of a magic: words, options, and ids the server knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from ironflow_lab.lab import joining, known
from ironflow_lab.lab.lab import Lab
from ironflow_lab.magics import forms
from ironflow_lab.magics.grammar import HELP, Option, Verb

IDENTIFIER = "ironflow_lab.magics"
_LINE = re.compile(r"\s*(?:[^=%'\"]+=\s*)?%ironflow\s(?P<rest>.*)", re.DOTALL)
_CELL = re.compile(r"\s*%%durable\s(?P<rest>.*)", re.DOTALL)


def matcher(namespace: Mapping[str, Any]) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Return what completes the magics' lines; `namespace` holds the notebook's variables."""

    def match(context: CompletionContext) -> SimpleMatcherResult:
        token, offered = offers(context.text_until_cursor, namespace)
        fitting = sorted({one for one in offered if one.startswith(token)}) if offered else []
        completions = [SimpleCompletion(one, type="ironflow") for one in fitting]
        # Ours alone: a word of a magic is no name of Python's.
        return SimpleMatcherResult(completions=completions, matched_fragment=token, suppress=bool(completions))

    made: Callable[[CompletionContext], SimpleMatcherResult] = context_matcher(identifier=IDENTIFIER)(match)
    return made


def offers(text: str, namespace: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the word being written before the cursor, and what it may become."""
    line, cell = _LINE.fullmatch(text), _CELL.fullmatch(text)
    found = line or cell
    if found is None:
        return "", []
    *words, token = re.split(r"\s+", found["rest"])
    if line is None:
        return token, _after(forms.DURABLE, words, token, namespace)
    if not words:
        return token, [*forms.VERBS, "help"]
    verb = forms.VERBS.get(words[0])
    return token, [] if verb is None else _after(verb, words[1:], token, namespace)


def _after(verb: Verb, words: list[str], token: str, namespace: Mapping[str, Any]) -> list[str]:
    options = {f"--{one.name}": one for one in verb.options}
    before = options.get(words[-1]) if words else None
    if before is not None and before.metavar:
        return _listed(before, token, _values(before, words, namespace))
    if token.startswith("--") and "=" in token:
        name, _, start = token.partition("=")
        option = options.get(name)
        found = [] if option is None else _listed(option, start, _values(option, words, namespace))
        return [f"{name}={value}" for value in found]
    if token.startswith("-"):
        given = set(words)
        return [*(name for name, one in options.items() if name not in given or one.many), HELP[0]]
    plain = _plain(words, options)
    if plain or not (verb.actions or verb.source):
        return [] if token else list(options)
    return [*verb.actions, *_ids(verb.source, words, namespace)]


def _plain(words: Iterable[str], options: Mapping[str, Option]) -> bool:
    """Return whether an argument or an action stands among the words already."""
    value = False
    for word in words:
        if not value and not word.startswith("-"):
            return True
        value = word in options and bool(options[word].metavar)
    return False


def _listed(option: Option, token: str, values: list[str]) -> list[str]:
    if not option.many:
        return values
    before, comma, _ = token.rpartition(",")
    return [before + comma + value for value in values if value not in before.split(",")]


def _values(option: Option, words: list[str], namespace: Mapping[str, Any]) -> list[str]:
    return list(option.values) or _ids(option.source, words, namespace)


def _ids(source: str, words: list[str], namespace: Mapping[str, Any]) -> list[str]:
    if source == "labs":
        return [name for name, value in namespace.items() if isinstance(value, Lab) and not name.startswith("_")]
    named = namespace.get(words[words.index("--lab") + 1]) if "--lab" in words[:-1] else None
    lab = named if isinstance(named, Lab) else joining.current()
    if lab is None or source not in ("runs", "functions"):
        return []
    return list(known.run_ids(lab) if source == "runs" else known.function_ids(lab))
