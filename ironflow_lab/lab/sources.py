"""The versions of a function's source, as a notebook looks at them and compares them."""

from __future__ import annotations

import difflib
from html import escape

import msgspec

from ironflow_lab.errors import NotFoundError
from ironflow_lab.history import redaction
from ironflow_lab.lab import summary
from ironflow_lab.lab.card import FAINT, TEXT
from ironflow_lab.lab.progress import count
from ironflow_lab.lab.serving import look
from ironflow_lab.lab.session import Session
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.sources import Source
from ironflow_lab.runtime.sourcestore import SourceStore

LONGEST_SHOWN = 8_000
MOST_SHOWN = 20
_MOST_NAMED = 10
_CELL = "text-align:left;padding:2px 12px 2px 0"
_PRE = f"{TEXT};background:transparent;white-space:pre-wrap;margin:4px 0"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version: its hash, when (nanoseconds) and where it was defined, its text and that of its cell."""

    hash: str
    defined_at: int
    notebook: str
    cell: str
    line: int
    lines: int
    text: str
    place: str

    def __repr__(self) -> str:
        return f"<version {self.hash}: {self.lines} lines, {self.place}, {summary.moment(self.defined_at)}>"


class Difference(str):
    """A unified difference: text, and in a notebook readable on light and dark pages."""

    def __repr__(self) -> str:
        return redaction.clip(str(self), limit=LONGEST_SHOWN) or "no difference"

    def _repr_html_(self) -> str:
        lines = redaction.clip(str(self), limit=LONGEST_SHOWN).splitlines()
        return f'<pre style="{_PRE}">{chr(10).join(map(_marked, lines)) or "no difference"}</pre>'


class FunctionSource:
    """The source of a function, every version this data folder has seen.

    `text` is the newest one's, `versions` are all, oldest first.
    """

    def __init__(self, function_id: str, versions: tuple[Source, ...]) -> None:
        self.function_id = function_id
        self.versions = tuple(map(_version, versions))

    @property
    def text(self) -> str:
        """The newest source of the handler; "" where it could not be found."""
        return self.versions[-1].text

    @property
    def cell(self) -> str:
        """The cell that defined the newest version."""
        return self.versions[-1].cell

    def at(self, version: str | int) -> Version:
        """Return a version by the beginning of its hash, or by its index: 0 is the oldest, -1 the newest.

        Raises `NotFoundError`, also where a beginning fits several.
        """
        if isinstance(version, int):
            if -len(self.versions) <= version < len(self.versions):
                return self.versions[version]
            have = count(len(self.versions), "version")
            raise NotFoundError(f"{self.function_id!r} has {have}; {version} is none of them")
        found = [one for one in self.versions if version and one.hash.startswith(version)]
        if len(found) != 1:
            hashes = ", ".join(one.hash for one in self.versions[-_MOST_NAMED:])
            many = "several versions" if found else "no version"
            raise NotFoundError(f"{self.function_id!r} has {many} {version!r:.40}; there is {hashes}")
        return found[0]

    def diff(self, a: str | int = -2, b: str | int = -1) -> Difference:
        """Return the unified difference of two versions, of the last two unless others are named; raises as `at`."""
        before, after = self.at(a), self.at(b)
        lines = difflib.unified_diff(
            before.text.splitlines(),
            after.text.splitlines(),
            f"{self.function_id} {before.hash}",
            f"{self.function_id} {after.hash}",
            lineterm="",
        )
        return Difference("\n".join(lines))

    def __str__(self) -> str:
        """Return the newest source."""
        return self.text

    def __repr__(self) -> str:
        return f"<source of {self.function_id!r}: {count(len(self.versions), 'version')}, {self.versions[-1]!r}>"

    def _repr_html_(self) -> str:
        rows = "".join(map(_row, reversed(self.versions[-MOST_SHOWN:])))
        head = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("version", "lines", "where", "defined"))
        hidden = len(self.versions) - MOST_SHOWN
        more = f'<div style="{FAINT}">and {hidden:,} older versions</div>' if hidden > 0 else ""
        return (
            f'<div class="ironflow-source" style="{TEXT};font-size:13px"><strong>{escape(self.function_id)}</strong>'
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}{shown(self.text)}</div>"
        )


def function_source(session: Session, function: str | DurableFunction) -> FunctionSource:
    """Return the source of a function; raises `NotFoundError`, naming those that are kept."""
    function_id = session.naming.function(function)
    kept = store(session)
    versions = kept.versions(function_id)
    if not versions:
        raise unknown(kept, function_id)
    return FunctionSource(function_id, versions)


def store(session: Session) -> SourceStore:
    """Return what is kept of the functions of the session's server."""
    return SourceStore(look(session).sources)


def unknown(kept: SourceStore, function_id: str) -> NotFoundError:
    """Return the error for a function whose source is not kept."""
    known = kept.known()
    named = ", ".join(map(repr, known[:_MOST_NAMED])) + (" ..." if len(known) > _MOST_NAMED else "")
    there = f"there is {named}" if known else "there is none yet: it comes with the first @lab.function"
    return NotFoundError(f"no source of a function {function_id!r:.80} is kept in {kept.folder}; {there}")


def shown(text: str) -> str:
    """Return source as escaped HTML, cut to 8,000 characters."""
    return f'<pre style="{_PRE}">{escape(redaction.clip(text, limit=LONGEST_SHOWN))}</pre>' if text else ""


def _version(source: Source) -> Version:
    return Version(
        hash=source.code_hash,
        defined_at=source.defined_at,
        notebook=source.notebook,
        cell=source.cell,
        line=source.line,
        lines=len(source.text.splitlines()),
        text=source.text,
        place=source.place(),
    )


def _row(one: Version) -> str:
    cells = (one.hash, str(one.lines), one.place, summary.moment(one.defined_at))
    return "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in cells) + "</tr>"


def _marked(line: str) -> str:
    """Return a line of a difference; its sign says what the colour repeats."""
    tone = {"+": "var(--jp-success-color1, #2e8b57)", "-": "var(--jp-error-color1, #d0483e)"}.get(line[:1])
    return f'<span style="color:{tone}">{escape(line)}</span>' if tone else escape(line)
