"""What starts a function: names and patterns of events, conditions on them, and times (worker.md section 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.functions import Trigger
from ironflow_lab.wire import patterns

On = str | Trigger | Iterable[str | Trigger]
Cron = str | Iterable[str]

LONGEST_EXPRESSION = 4_000
_FIELDS = "minute, hour, day of the month, month and day of the week, as in '*/5 * * * *' (every five minutes)"
_NAMES = ("@annually", "@yearly", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
# What stands in quotes in an expression says nothing of its shape.
_QUOTED = re.compile(r"[rR]?(?:\'{3}.*?\'{3}|\"{3}.*?\"{3}|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")", re.DOTALL)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_WORDS = {"and": "&&", "or": "||", "not": "!", "is": "==", "True": "true", "False": "false", "None": "null"}
_WORD = re.compile(r"(?<![\w.])(" + "|".join(_WORDS) + r")(?![\w(])")


def of(on: On | None, cron: Cron | None = None) -> tuple[Trigger, ...]:
    """Return the triggers of names, patterns, `Trigger`s and cron lines; none means that it is only invoked."""
    found = (*_of_events(on), *_of_times(cron))
    doubled = [one.event or one.cron for one in found if found.count(one) > 1]
    if doubled:
        raise DefinitionError(f"on names {min(doubled)!r} twice; once is enough")
    return found


def _of_events(on: On | None) -> tuple[Trigger, ...]:
    if on is None:
        return ()
    if isinstance(on, Mapping) or not isinstance(on, str | Trigger | Iterable):
        raise DefinitionError(
            f"on={on!r:.80} is not an event name; write on='order.placed', or Trigger(event=..., expression=...)"
        )
    named = (on,) if isinstance(on, str | Trigger) else tuple(on)
    if not named:
        raise DefinitionError("on=[] names no event; leave `on` out for a function that is only invoked")
    return tuple(_trigger(one) for one in named)


def _of_times(cron: Any) -> tuple[Trigger, ...]:
    if cron is None:
        return ()
    lines = tuple(cron) if not isinstance(cron, str) and isinstance(cron, Iterable) else (cron,)
    if not lines:
        raise DefinitionError("cron=[] names no time; leave `cron` out")
    for line in lines:
        _check_cron(f"cron={line!r:.80}", line)
    return tuple(Trigger(cron=" ".join(line.split())) for line in lines)


def _trigger(given: Any) -> Trigger:
    trigger = Trigger(event=given) if isinstance(given, str) else given
    if not isinstance(trigger, Trigger):
        raise DefinitionError(f"on={given!r:.80} is not an event name; write on='order.placed'")
    what = f"on={trigger.event!r:.80}"
    if trigger.cron and trigger.event:
        raise DefinitionError(f"{what}: a trigger has an event or a cron line; give two triggers for both")
    if trigger.cron:
        what = f"on=Trigger(cron={trigger.cron!r:.80})"
        _check_cron(what, trigger.cron)
    elif (fault := patterns.fault(trigger.event)) is not None:
        raise DefinitionError(f"{what}: {fault}; write on='order.placed'")
    if trigger.expression:
        check_expression(what, trigger.expression)
    return trigger


def check_expression(what: str, text: Any) -> None:
    """Raise `DefinitionError` for a text that cannot be CEL; whether it is, the server decides."""
    if not isinstance(text, str):
        raise DefinitionError(f"{what}: its expression must be text, not {type(text).__name__}")
    fault = _expression_fault(text)
    if fault is not None:
        raise DefinitionError(f"{what}: the expression {text!r:.200} {fault}")


def _expression_fault(text: str) -> str | None:
    if not text.strip():
        return "is blank; leave it out to start on every such event"
    if len(text) > LONGEST_EXPRESSION:
        return f"has {len(text)} characters, and at most {LONGEST_EXPRESSION} are taken"
    bare = _QUOTED.sub("''", text)
    if re.search(r"""['"]""", bare.replace("''", "")):
        return "has a quote that is not closed"
    if (open_ := _unbalanced(bare)) is not None:
        return open_
    if re.search(r"(?<![=!<>])=(?!=)", bare):
        return "has a single '='; write '==' to compare, as in data.total == 100"
    if (word := _WORD.search(bare)) is not None:
        return f"has the word {word[1]!r}, which is Python; write {_WORDS[word[1]]} in CEL"
    if re.search(r"\.\s*[*>](?:\s|$|\.)", bare):
        return "has a wildcard after a dot; a pattern such as 'order.*' belongs into the event's name"
    if re.search(r"(&&|\|\||[-+*/%!<>]|[=!<>]=)\s*$", bare):
        return "ends in an operator; something is missing behind it"
    return None


def _unbalanced(text: str) -> str | None:
    opened: list[str] = []
    for character in text:
        if character in "([{":
            opened.append(character)
        elif character in _PAIRS and (not opened or opened.pop() != _PAIRS[character]):
            return f"has a {character!r} that nothing opens"
    return f"has a {opened[-1]!r} that is not closed" if opened else None


def _check_cron(what: str, line: Any) -> None:
    """Raise `DefinitionError` unless the line has five fields and is due some day."""
    # Imported here: only functions that are started by time need it.
    from cronsim import CronSim, CronSimError

    if not isinstance(line, str):
        raise DefinitionError(f"{what} must be text: {_FIELDS}")
    fields = line.split()
    if line.strip() in _NAMES:
        raise DefinitionError(f"{what}: names such as @daily are not understood everywhere; write the five fields")
    if len(fields) != 5:
        raise DefinitionError(f"{what} has {len(fields)} fields and needs 5: {_FIELDS}")
    try:
        next(CronSim(line, datetime(2026, 1, 1)))  # noqa: DTZ001 - a day without a zone: cron lines have none
    except CronSimError as error:
        reason = str(error)
        raise DefinitionError(f"{what}: {reason[:1].lower()}{reason[1:]}; a line is {_FIELDS}") from None
    except StopIteration:
        raise DefinitionError(f"{what} is never due; a line is {_FIELDS}") from None
