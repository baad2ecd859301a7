"""What may be written after a magic: its words, options and help. Pure."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from ironflow_lab.errors import DefinitionError

HELP = ("--help", "-h")
Source = Literal["", "statuses", "functions", "runs", "labs"]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option; without a `metavar` it takes no value and means True.

    `read` makes the value of its text and raises `ValueError`; `many` lets it be given several times, or
    with commas; `values` are its possible values, `source` names where those are to be asked for, `only`
    the actions it belongs to.
    """

    name: str
    help: str
    metavar: str = ""
    read: Callable[[str], Any] = str
    many: bool = False
    values: tuple[str, ...] = ()
    source: Source = ""
    only: tuple[str, ...] = ()


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One form of a magic.

    `magic` is what it begins with, `twin` the Python that does the same. After it comes an `argument`
    (needed unless it is in brackets) or one of `actions`, the first of which is the default.
    """

    magic: str
    help: str
    twin: str
    argument: str = ""
    source: Source = ""
    actions: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()

    def usage(self) -> str:
        """Return the form on one line."""
        actions = f" [{'|'.join(self.actions)}]" if self.actions else ""
        return f"{self.magic}{actions}{' ' + self.argument if self.argument else ''}"

    def describe(self) -> str:
        """Return the whole help."""
        heads = [f"--{one.name} {one.metavar}".rstrip() for one in self.options]
        width = max(map(len, heads), default=0)
        lines = [f"  {head:<{width}}  {one.help}" for head, one in zip(heads, self.options, strict=True)]
        return "\n".join(
            [f"{self.usage()} [options]", f"  {self.help}", "", *lines, "", f"The same in Python: {self.twin}"]
        )


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a line asks for: the argument or the action ("" for none), and the options that were given."""

    word: str
    options: dict[str, Any]
    help: bool = False


def words(line: str) -> list[str]:
    """Return the words of a line, quotes taken off; raises `DefinitionError` for a quote left open."""
    try:
        return shlex.split(line)
    except ValueError:
        raise DefinitionError(f"a quotation is not closed in {line!r:.80}") from None


def read(verb: Verb, given: Iterable[str]) -> Asked:
    """Return what the words after a verb ask for; raises `DefinitionError` naming the nearest word."""
    known = {f"--{one.name}": one for one in verb.options}
    rest: list[str] = list(given)
    plain: list[str] = []
    options: dict[str, Any] = {}
    while rest:
        word = rest.pop(0)
        if word in HELP:
            return Asked(word="", options={}, help=True)
        if not word.startswith("--"):
            plain.append(word)
            continue
        name, separator, value = word.partition("=")
        option = known.get(name)
        if option is None:
            raise DefinitionError(f"{verb.magic} has no option {name!r:.40}{nearest(name, known)}")
        if option.metavar and not separator:
            if not rest or rest[0].startswith("--"):
                raise DefinitionError(f"{verb.magic}: {name} needs a value: {name} {option.metavar}")
            value = rest.pop(0)
        elif separator and not option.metavar:
            raise DefinitionError(f"{verb.magic}: {name} takes no value")
        _put(verb, options, option, value)
    asked = Asked(word=_word(verb, plain), options=options)
    _check_only(verb, asked)
    return asked


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that a word is not known: what was meant, or what there is."""
    listed = list(known)
    close = difflib.get_close_matches(word, listed, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; it has {', '.join(listed)}"


def _put(verb: Verb, options: dict[str, Any], option: Option, text: str) -> None:
    key = option.name.replace("-", "_")
    if key in options and not option.many:
        raise DefinitionError(f"{verb.magic}: --{option.name} is given twice")
    if not option.metavar:
        options[key] = True
        return
    texts = [part.strip() for part in text.split(",") if part.strip()] if option.many else [text]
    values = [_value(verb, option, part) for part in texts]
    options[key] = [*options.get(key, ()), *values] if option.many else values[0]


def _value(verb: Verb, option: Option, text: str) -> Any:
    if option.values and text not in option.values:
        raise DefinitionError(f"{verb.magic}: --{option.name} {text!r:.40} is unknown{nearest(text, option.values)}")
    try:
        return option.read(text)
    except ValueError as error:
        raise DefinitionError(f"{verb.magic}: --{option.name} {text!r:.40}: {error}") from None


def _word(verb: Verb, plain: list[str]) -> str:
    if verb.actions:
        word = plain[0] if plain else verb.actions[0]
        if word not in verb.actions:
            raise DefinitionError(f"{verb.magic} has no action {word!r:.40}{nearest(word, verb.actions)}")
    else:
        word = plain[0] if plain else ""
        if verb.argument and not word and not verb.argument.startswith("["):
            raise DefinitionError(f"{verb.magic} needs {verb.argument}: {verb.usage()}; {verb.magic} --help says more")
    most = 1 if verb.actions or verb.argument else 0
    if len(plain) > most:
        raise DefinitionError(
            f"{verb.magic}: {plain[most]!r:.40} is one word too many; its form is {verb.usage()} [options]"
        )
    return word


def _check_only(verb: Verb, asked: Asked) -> None:
    for option in verb.options:
        if option.only and option.name.replace("-", "_") in asked.options and asked.word not in option.only:
            raise DefinitionError(f"{verb.magic} {asked.word}: --{option.name} is for {' and '.join(option.only)} only")
