"""What is hidden of a run before it is carried away: values under secret-looking keys, and the same texts elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.capsule import Capsule, Hidden
from ironflow_lab.history.paths import Path, path_text
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import Error, Run, Step
from ironflow_lab.wire import stepid

T = TypeVar("T", bound=msgspec.Struct)

MOST_PATHS = 500
_MOST_SECRETS = 10_000
# A shorter text is too likely a common word; a longer one is no secret anyone would repeat.
_SHORTEST, _LONGEST = 6, 4_096
_LONGEST_PATH = 300
_ANY = -1
# What of an audit event is the user's; all other fields are the protocol's own words.
_USERS = frozenset(
    ("input", "output", "result", "error", "originalOutput", "patchedOutput", "previousOutput", "newOutput", "reason")
)
_AFTER_WORD = re.compile(
    r"((?:passw(?:or)?d|passphrase|secret|token|api[-_ ]?key|access[-_ ]?key|private[-_ ]?key|authorization|credential"
    r"|cookie|signature)[\w.-]{0,40}[\"']?\s{0,4}[=:]\s{0,4}(?:(?:bearer|basic)\s{1,4})?)"
    r"(?![\"']?\[redacted|(?:bearer|basic)\s)(\"[^\"\n]{1,4096}\"|'[^'\n]{1,4096}'|[^\s\"',;&}\])]{1,4096})",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(://[^/\s:@]{0,200}:)([^/\s@]{1,400})(?=@)")
_BEGINNINGS = re.compile(r"(?<!\w)(?=.{6})", re.DOTALL)
_KEPT = re.compile(r"\[redacted\]|true|false|none|null|\d{1,12}(?:\.\d{1,12})?", re.IGNORECASE)
_COUNTED = re.compile(r"tokens[\"']?\s*[=:]", re.IGNORECASE)


def hide(capsule: Capsule) -> Capsule:
    """Return the capsule with nothing in it that a view would not show, and a list of what was hidden.

    Values under secret-looking keys become `[redacted]` wherever they stand: in inputs, outputs, errors,
    events and metadata. A text that was hidden so is hidden as well where it stands alone or inside other
    texts of the run, in errors and in what the run printed; and in errors and printed lines so is what
    follows a secret-looking word and a sign (`token=...`). What the displays of a run held is not in a
    capsule at all.
    """
    hider = _Hider()
    keyed = _Pass(hider, repeats=False).capsule(capsule)
    hider.settle()
    return msgspec.structs.replace(
        _Pass(hider, repeats=True).capsule(keyed),
        lines=tuple(_replaced(line, {"text": hider.text(line.text)}) for line in capsule.lines),
        redacted=True,
        hidden=hider.hidden(capsule.hidden),
    )


class _Hider:
    def __init__(self) -> None:
        self._paths: dict[Path, int] = {}
        self._values = self._texts = self._more = 0
        self._secrets: set[str] = set()
        # By their first characters the lengths they have: there may be as many as there are steps.
        self._lengths: dict[str, list[int]] = {}

    def keyed(self, value: Any, path: Path) -> Any:
        """Return the value redacted by its keys, noting what was hidden; `path` says where it stands."""
        if not isinstance(value, dict | list | tuple):
            return value
        if _is_plain(value):
            return value
        shown = redaction.redact(value)
        for place, was in _differences(value, shown, path):
            self._note(place)
            for secret in _texts_in(was):
                if _SHORTEST <= len(secret) <= _LONGEST and len(self._secrets) < _MOST_SECRETS:
                    self._secrets.add(secret)
        return shown

    def settle(self) -> None:
        """Look from now on for what has been hidden so far."""
        # The longest first: one may be the beginning of another.
        for start, length in sorted({(one[:_SHORTEST], len(one)) for one in self._secrets}, reverse=True):
            self._lengths.setdefault(start, []).append(length)

    def awaited(self, payload: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return the payload of an event with the value hidden that a wait wants at a secret-looking path."""
        match, value = payload.get("match"), payload.get("value")
        if not isinstance(match, str) or not any(map(redaction.is_secret, match.split("."))) or value is None:
            return payload
        return payload | {"value": self.keyed({"token": value}, path)["token"]}

    def reason(self, why: BlockingReason) -> BlockingReason:
        """Return why the run waits, with the value hidden that it wants at a secret-looking path."""
        if not any(map(redaction.is_secret, why.match.split("."))) or not why.value:
            return why
        self.keyed({"token": why.value}, ("why", "value"))
        hidden = redaction.HIDDEN
        return msgspec.structs.replace(why, value=hidden, message=why.message.replace(why.value, hidden))

    def repeated(self, value: Any, path: Path = ()) -> Any:
        """Return the value with the hidden texts hidden wherever else they stand in it."""
        if not self._lengths:
            return value
        if isinstance(value, dict | list | tuple) and not any(map(self._first, _texts_in(value))):
            return value
        if isinstance(value, str):
            return self._replaced(value)
        if isinstance(value, dict):
            return {key: self.repeated(member) for key, member in value.items()}
        return [self.repeated(member) for member in value] if isinstance(value, list | tuple) else value

    def text(self, text: str) -> str:
        """Return a text of an error or of a line with everything hidden that is to be."""
        if not text:
            return text
        text = self._replaced(text)
        text = _AFTER_WORD.sub(self._said, text)
        text, named = _IN_URL.subn(rf"\1{redaction.HIDDEN}", text)
        self._texts += named
        return text

    def hidden(self, before: Hidden) -> Hidden:
        """Return what was hidden, with what was before."""
        paths = {**before.paths}
        more = before.more + self._more
        for place, count in self._paths.items():
            path = _path_text(place)
            if path in paths or len(paths) < MOST_PATHS:
                paths[path] = paths.get(path, 0) + count
            else:
                more += count
        return Hidden(values=before.values + self._values, texts=before.texts + self._texts, paths=paths, more=more)

    def _replaced(self, text: str) -> str:
        parts, at = [], 0
        while (found := self._first(text, at)) is not None:
            start, end = found
            parts += [text[at:start], redaction.HIDDEN]
            at = end
            self._texts += 1
        return "".join([*parts, text[at:]]) if parts else text

    def _first(self, text: str, at: int = 0) -> tuple[int, int] | None:
        """Return where the first hidden text stands as words of its own; None when none does."""
        if not self._lengths:
            return None
        for place in _BEGINNINGS.finditer(text, at):
            start = place.start()
            for length in self._lengths.get(text[start : start + _SHORTEST], ()):
                end = start + length
                if text[start:end] in self._secrets and not (
                    text[end : end + 1].isalnum() or text[end : end + 1] == "_"
                ):
                    return start, end
        return None

    def _said(self, found: re.Match[str]) -> str:
        if _KEPT.fullmatch(found[2].strip("\"'")) and (_COUNTED.search(found[1]) or not found[2].isdigit()):
            return found[0]
        self._texts += 1
        return found[1] + redaction.HIDDEN

    def _note(self, path: Path) -> None:
        self._values += 1
        if path in self._paths or len(self._paths) < MOST_PATHS:
            self._paths[path] = self._paths.get(path, 0) + 1
        else:
            self._more += 1


class _Pass:
    """One pass over a capsule: what it makes of payloads, of texts and of audit events."""

    def __init__(self, hider: _Hider, *, repeats: bool) -> None:
        self._value = hider.repeated if repeats else hider.keyed
        self._text = hider.text if repeats else _same
        self._hider, self._repeats = hider, repeats

    def capsule(self, capsule: Capsule) -> Capsule:
        recording, event, function, why = capsule.recording, capsule.event, capsule.function, capsule.why
        return msgspec.structs.replace(
            capsule,
            recording=msgspec.structs.replace(
                recording,
                run=self._run(recording.run, ()),
                steps=tuple(map(self._step, recording.steps)),
                events=tuple(map(self._event, recording.events)),
            ),
            children=tuple(self._run(one, ("children", one.function_id)) for one in capsule.children),
            event=event and self._fields(event, ("event",), "data", "metadata"),
            function=function and self._fields(function, ("function",), "metadata"),
            why=why and self._reason(why),
        )

    def _run(self, run: Run, path: Path) -> Run:
        run = self._fields(run, path, "input", "output", "error")
        cause = self._text(run.cancellation_cause)
        return run if cause == run.cancellation_cause else msgspec.structs.replace(run, cancellation_cause=cause)

    def _step(self, step: Step) -> Step:
        label = stepid.label(step.run_id, step.step_id)
        hidden = self._fields(step, ("steps", label), "input", "output", "original_output", "error")
        # A hash of what is hidden would let it be guessed.
        return hidden if hidden.input == step.input else msgspec.structs.replace(hidden, input_hash="")

    def _event(self, event: AuditEvent) -> AuditEvent:
        path = ("events", event.event_type)
        changed: dict[str, Any] = {}
        if isinstance(event.payload, dict):
            changed["payload"] = self._payload(event.payload, path)
        elif event.payload is not None:
            changed["payload"] = self._value(event.payload, (*path, "payload"))
        if event.metadata:
            changed["metadata"] = self._value(event.metadata, (*path, "metadata"))
        return _replaced(event, changed)

    def _payload(self, payload: dict[str, Any], path: Path) -> dict[str, Any]:
        if not self._repeats:
            return self._hider.awaited(self._value(payload, path), path)
        return {
            key: self._error(member) if key == "error" else self._value(member, path) if key in _USERS else member
            for key, member in payload.items()
        }

    def _fields(self, record: T, path: Path, *names: str) -> T:
        """Return the record with these payloads looked at."""
        changed: dict[str, Any] = {}
        for name in names:
            value = getattr(record, name)
            if isinstance(value, Error):
                details = self._value(value.details, (*path, name, "details"))
                told = {"message": self._text(value.message), "stack": self._text(value.stack), "details": details}
                changed[name] = _replaced(value, told)
            elif value is not None:
                changed[name] = self._value(value, (*path, name))
        return _replaced(record, changed)

    def _error(self, error: Any) -> Any:
        found = self._value(error, ())
        if isinstance(found, dict):
            texts = {name: self._text(found[name]) for name in ("message", "stack") if isinstance(found.get(name), str)}
            return {**found, **texts}
        return self._text(found) if isinstance(found, str) else found

    def _reason(self, why: BlockingReason) -> BlockingReason:
        if not self._repeats:
            return self._hider.reason(why)
        return _replaced(why, {name: self._text(getattr(why, name)) for name in ("message", "error", "value")})


def _path_text(path: Path) -> str:
    named = path_text(path).replace(f"[{_ANY}]", "[]")
    return redaction.clip(named.encode("utf-8", "replace").decode(), limit=_LONGEST_PATH)


def _same(text: str) -> str:
    return text


def _replaced(record: T, changed: dict[str, Any]) -> T:
    """Return the record itself where nothing changed: most have nothing to hide."""
    differs = {name: value for name, value in changed.items() if value is not getattr(record, name)}
    return msgspec.structs.replace(record, **differs) if differs else record


def _differences(before: Any, after: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield where a value was hidden, and the value."""
    if after == redaction.HIDDEN:
        if before != redaction.HIDDEN:
            yield path, before
    elif isinstance(before, dict):
        for key, member in before.items():
            yield from _differences(member, after[key], (*path, str(key)))
    elif isinstance(before, list | tuple):
        for member, shown in zip(before, after, strict=True):
            # A place in a list says little, and there may be as many as there are values.
            yield from _differences(member, shown, (*path, _ANY))


def _is_plain(value: Any) -> bool:
    try:
        return redaction.is_plain(msgspec.json.encode(value))
    except (UnicodeEncodeError, RecursionError, TypeError):
        return False


def _texts_in(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
