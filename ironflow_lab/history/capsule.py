"""Capsules: a run with all that is known of it as the bytes of one file, and back (`_design/2026-11-24-capsule.md`)."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from ironflow_lab._version import __version__
from ironflow_lab.errors import CapsuleError
from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.events import Event
from ironflow_lab.models.functions import Function
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import NOT_SET, Run, Step
from ironflow_lab.wire import codec, payload

T = TypeVar("T")

FORMAT = "ironflow-capsule"
VERSION = 1
SUFFIX = ".ironflow"
# A file, all it holds once unpacked, and about how many values that is: short ones take many times their text.
LARGEST_FILE = 128 * 1024 * 1024
LARGEST_WHOLE = 256 * 1024 * 1024
MOST_VALUES = 20_000_000
_LARGEST_MANIFEST = 1024 * 1024
_LARGEST_DIRECTORY = 64 * 1024
# A newer version may have more than this one.
_MOST_MEMBERS = 64
_MANIFEST, _SEAL = "capsule.json", "capsule.sha256"
_RUN, _STEPS, _EVENTS = "run.json", "steps.jsonl", "events.jsonl"
_CHILDREN, _FUNCTION, _EVENT, _WHY, _LOGS = "children.jsonl", "function.json", "event.json", "why.json", "logs.jsonl"
_MEMBERS = (_RUN, _STEPS, _EVENTS, _CHILDREN, _FUNCTION, _EVENT, _WHY, _LOGS)
# The same whenever it is written: a capsule that says the same has the same bytes.
_WRITTEN = (1980, 1, 1, 0, 0, 0)
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line that the run wrote; `at` is in nanoseconds. The fields are those of a line of the log."""

    at: int
    text: str = ""
    stream: str = ""
    level: str = ""
    function_id: str = ""
    attempt: int = 0
    step_id: str = ""
    step: str = ""


class Hidden(msgspec.Struct, frozen=True, kw_only=True):
    """What was hidden before the capsule was written: how many values at which paths, and pieces of texts.

    `more` counts the values at paths that are not listed.
    """

    values: int = 0
    texts: int = 0
    paths: dict[str, int] = {}
    more: int = 0


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The server the run was read from; `scope` is its name in a data folder, `missing` the routes it lacks."""

    server: str = ""
    version: str = ""
    environment: str = ""
    scope: str = ""
    missing: tuple[str, ...] = ()


class Capsule(msgspec.Struct, frozen=True, kw_only=True):
    """A run to carry away: its recording, and what the views need besides.

    `children` are the rows of the runs its steps started, `event` is the one that started it, `why` what
    the server said of it. `dropped` counts older lines of the log that are gone, and `logged` says whether
    anything was kept of it at all. `redacted` is False for a capsule written with exact values.
    """

    recording: Recording
    children: tuple[Run, ...] = ()
    function: Function | None = None
    event: Event | None = None
    why: BlockingReason | None = None
    lines: tuple[Line, ...] = ()
    dropped: int = 0
    logged: bool = False
    origin: Origin = Origin()
    saved_at: Instant = NOT_SET
    made_by: str = __version__
    redacted: bool = False
    hidden: Hidden = Hidden()

    @property
    def run(self) -> Run:
        """The run's row."""
        return self.recording.run

    def __repr__(self) -> str:
        return f"Capsule({self.run.id!r}, saved_at={str(self.saved_at)!r}, redacted={self.redacted})"


class _Member(msgspec.Struct, frozen=True, kw_only=True):
    bytes: int
    sha256: str


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    version: int
    run_id: str
    made_by: str
    saved_at: Instant
    redacted: bool
    hidden: Hidden
    origin: Origin
    code: Code
    note: str
    dropped: int
    logged: bool
    members: dict[str, _Member]


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a manifest as every version has."""

    format: str = ""
    version: int = 0
    run_id: str = ""
    made_by: str = ""


def pack(capsule: Capsule) -> bytes:
    """Return the bytes of the capsule's file; raises `CapsuleError` where it cannot hold a value, or all of it."""
    found = capsule.recording
    contents = {
        _RUN: _one(capsule.run),
        _STEPS: _many(found.steps),
        _EVENTS: _many(found.events),
        _CHILDREN: _many(capsule.children),
        _FUNCTION: _one(capsule.function),
        _EVENT: _one(capsule.event),
        _WHY: _one(capsule.why),
        _LOGS: _many(capsule.lines),
    }
    contents = {name: content for name, content in contents.items() if content}
    if sum(map(len, contents.values())) > LARGEST_WHOLE or _values(contents) > MOST_VALUES:
        raise CapsuleError(
            f"run {capsule.run.id} is too large for a capsule, which holds {_mib(LARGEST_WHOLE)} and"
            f" {MOST_VALUES:,} values"
        )
    manifest = _Manifest(
        format=FORMAT,
        version=VERSION,
        run_id=capsule.run.id,
        made_by=capsule.made_by,
        saved_at=capsule.saved_at,
        redacted=capsule.redacted,
        hidden=capsule.hidden,
        origin=capsule.origin,
        code=found.code,
        note=found.note,
        dropped=capsule.dropped,
        logged=capsule.logged,
        members={name: _Member(bytes=len(one), sha256=_digest(one)) for name, one in contents.items()},
    )
    head = msgspec.json.format(_one(manifest), indent=2)
    if len(head) > _LARGEST_MANIFEST:
        raise CapsuleError(f"what there is to say of run {capsule.run.id} is too long for a capsule's manifest")
    packed = _zipped({_MANIFEST: head, _SEAL: _digest(head).encode() + b"\n", **contents})
    if len(packed) > LARGEST_FILE:
        raise CapsuleError(f"run {capsule.run.id} is too large for a capsule, whose file has {_mib(LARGEST_FILE)}")
    return packed


def unpack(data: bytes, *, name: str = "this file") -> Capsule:
    """Return the capsule of a file's bytes; `name` is what errors call it.

    Raises `CapsuleError` for anything that is not a whole capsule of this version or an older one.
    """
    read = _Reader(data, name)
    manifest = read.manifest()
    contents = read.members(manifest)
    run = read.one(contents, _RUN, Run)
    if run is None:
        raise read.fault(f"lacks {_RUN}")
    steps, events = read.many(contents, _STEPS, Step), read.many(contents, _EVENTS, AuditEvent)
    if {run.id, *(one.run_id for one in steps), *(one.run_id or run.id for one in events)} != {manifest.run_id}:
        raise read.fault("mixes several runs")
    return Capsule(
        recording=Recording(
            run=run, steps=steps, events=events, code=manifest.code, source="capsule", note=manifest.note
        ),
        children=read.many(contents, _CHILDREN, Run),
        function=read.one(contents, _FUNCTION, Function),
        event=read.one(contents, _EVENT, Event),
        why=read.one(contents, _WHY, BlockingReason),
        lines=read.many(contents, _LOGS, Line),
        dropped=manifest.dropped,
        logged=manifest.logged,
        origin=manifest.origin,
        saved_at=manifest.saved_at,
        made_by=manifest.made_by,
        redacted=manifest.redacted,
        hidden=manifest.hidden,
    )


def run_in(data: bytes, *, name: str = "this file") -> str:
    """Return the id of the run that a capsule of any version holds; raises `CapsuleError` for another file."""
    return _Reader(data, name).head().run_id


class _Reader:
    """Reads a file that anyone may have made: nothing is believed, and nothing is read beyond the bounds."""

    def __init__(self, data: bytes, name: str) -> None:
        self._name = name
        if len(data) > LARGEST_FILE:
            raise self.fault(f"is larger than the {_mib(LARGEST_FILE)} of a capsule")
        if not data:
            raise self.fault("is empty")
        self._check_directory(data)
        try:
            self._file = zipfile.ZipFile(io.BytesIO(data))
        except _FAULTS as error:
            raise self._damaged(error) from None
        names = self._file.namelist()
        if len(set(names)) != len(names):
            raise self.fault("has two members of one name")

    def fault(self, what: str) -> CapsuleError:
        """Return the error that the file is so."""
        return CapsuleError(f"{self._name} {what}")

    def head(self) -> _Head:
        """Return what every version has."""
        if _MANIFEST not in self._file.namelist():
            raise self.fault("is a zip file but no capsule: save one with run.save(...)")
        head = self._decode(self._content(_MANIFEST, _LARGEST_MANIFEST), _Head, _MANIFEST)
        if head.format != FORMAT or head.version < 1:
            raise self.fault(f"is a zip file but no capsule: its {_MANIFEST} is of another kind")
        return head

    def manifest(self) -> _Manifest:
        """Return what the capsule says of itself."""
        head = self.head()
        if head.version > VERSION:
            maker = f"ironflow-lab {head.made_by:.40}" if head.made_by else "a newer ironflow-lab"
            raise self.fault(
                f"has format {head.version}, written by {maker}; this is ironflow-lab {__version__}, which reads"
                f" format {VERSION}: upgrade it to open the file"
            )
        content = self._content(_MANIFEST, _LARGEST_MANIFEST)
        seal = self._content(_SEAL, 100) if _SEAL in self._file.namelist() else b""
        if seal.strip() != _digest(content).encode():
            raise self._changed(_MANIFEST)
        return self._decode(content, _Manifest, _MANIFEST)

    def members(self, manifest: _Manifest) -> dict[str, bytes]:
        """Return the content of every member, as the manifest says it is."""
        told = set(manifest.members)
        there = set(self._file.namelist()) - {_MANIFEST, _SEAL}
        if odd := sorted((told ^ there) | (told - set(_MEMBERS))):
            raise self.fault(f"does not hold what its manifest lists: {', '.join(map(_shown, odd[:5]))}")
        if sum(one.bytes for one in manifest.members.values() if one.bytes > 0) > LARGEST_WHOLE:
            raise self.fault(f"unpacks to more than the {_mib(LARGEST_WHOLE)} of a capsule")
        contents = {}
        for name, one in manifest.members.items():
            content = self._content(name, max(one.bytes, 0))
            if len(content) != one.bytes or _digest(content) != one.sha256:
                raise self._changed(name)
            contents[name] = content
        if _values(contents) > MOST_VALUES:
            raise self.fault(f"holds more than the {MOST_VALUES:,} values of a capsule")
        return contents

    def one(self, contents: dict[str, bytes], name: str, kind: type[T]) -> T | None:
        """Return the record of a member, None without the member."""
        return payload.settle(self._decode(contents[name], kind, name)) if name in contents else None

    def many(self, contents: dict[str, bytes], name: str, kind: type[T]) -> tuple[T, ...]:
        """Return the records of a member, one a line."""
        content = contents.get(name, b"")
        records = tuple(self._decode(line, kind, name) for line in content.split(b"\n") if line)
        # We write no pair of payload fields, of which a reader would have to choose one.
        return tuple(map(payload.settle, records)) if b'Value":' in content else records

    def _decode(self, content: bytes, kind: type[T], name: str) -> T:
        try:
            return codec.decode(content, kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise self.fault(f"holds something in {name} that does not belong there: {_shown(str(error))}") from None

    def _content(self, name: str, limit: int) -> bytes:
        """Return a member's bytes, at most one more than the limit: what it says of its size is not believed."""
        try:
            info = self._file.getinfo(name)
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self.fault(f"has {_shown(name)} encrypted or packed in a way that capsules are not")
            with self._file.open(info) as member:
                content = member.read(limit + 1)
        except _FAULTS as error:
            raise self._damaged(error) from None
        if len(content) > limit:
            raise self.fault(f"has more in {_shown(name)} than it may")
        return content

    def _check_directory(self, data: bytes) -> None:
        """Refuse a list of members that is far longer than a capsule's before it is read."""
        at = data.rfind(b"PK\x05\x06", max(0, len(data) - 22 - 0xFFFF))
        if at < 0 or len(data) < at + 22:
            begins = data[:4] == b"PK\x03\x04"
            raise self.fault("is cut short: its end is missing" if begins else "is no capsule")
        count, size = struct.unpack("<HI", data[at + 10 : at + 16])
        if size > _LARGEST_DIRECTORY or count > _MOST_MEMBERS:
            raise self.fault("is a zip file but no capsule: it has too many members")

    def _damaged(self, error: BaseException) -> CapsuleError:
        return self.fault(f"is damaged: {_shown(str(error) or type(error).__name__)}")

    def _changed(self, name: str) -> CapsuleError:
        return self.fault(f"was changed after it was saved: {_shown(name)} does not have its checksum")


def _one(record: Any) -> bytes:
    return b"" if record is None else _many((record,))


def _many(records: Iterable[Any]) -> bytes:
    try:
        return b"\n".join(map(codec.encode, records))
    except (UnicodeEncodeError, RecursionError, TypeError, OverflowError, NotImplementedError) as error:
        raise CapsuleError(
            f"the run holds a value that JSON cannot, so no capsule can: {_shown(str(error) or type(error).__name__)}"
        ) from None


def _zipped(contents: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name, _WRITTEN)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            file.writestr(info, content)
    return whole.getvalue()


def _values(contents: dict[str, bytes]) -> int:
    """Return at least how many JSON values there are."""
    return sum(one.count(b",") + one.count(b"[") + one.count(b"{") for one in contents.values())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _mib(size: int) -> str:
    return f"{size // 1024**2} MiB"


def _shown(text: str) -> str:
    return ascii(text[:120])[1:-1]
