"""Saving a run as one file, and opening that file where there is no server."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import ApiError, CapsuleError, NotFoundError, UnimplementedError
from ironflow_lab.history import capsule, hiding
from ironflow_lab.history.capsule import LARGEST_FILE, SUFFIX, Capsule, Line, Origin
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab.bounded import each
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.place import place
from ironflow_lab.lab.recordings import read
from ironflow_lab.lab.run import Run
from ironflow_lab.lab.session import Session
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Run as Record
from ironflow_lab.runtime import logs
from ironflow_lab.runtime.logs import Lines

T = TypeVar("T")

_IN_FLIGHT = 8
_FIELDS = tuple(name for name in Line.__struct_fields__)


def save(session: Session, past: Past, path: str | os.PathLike[str], *, redact: bool, overwrite: bool) -> Path:
    """Write the run of `past` into one file, and return where; see `Run.save`."""
    target = _target(path, past.run_id)
    _check_free(target, past.run_id, overwrite=overwrite)
    found = gather(session, past)
    write(target, capsule.pack(hiding.hide(found) if redact else found))
    return target


def open_capsule(path: str | os.PathLike[str]) -> Run:
    """Return the run of a capsule, with every view and no server: a file that `Run.save` wrote.

    All that reads works as on the run itself, at the moment it was saved: the card, `steps`, `audit`,
    `timeline`, `at`, `diff`, `scrub`, `why`, `logs`, `recording`, `save` and what is made of them. Nothing is
    started, joined or looked for. A verb that changes a run raises `FailedPreconditionError` that names the
    capsule. Where values were hidden, `[redacted]` stands. Raises `CapsuleError` for a file that is no
    capsule, was changed or cut short, or was written by a newer version, and `FileNotFoundError`.
    """
    from ironflow_lab.lab.offline import OfflineSession

    source = Path(path).expanduser()
    found = capsule.unpack(_read(source), name=_named(source))
    return Run(OfflineSession(found, source.name), found.run)


def gather(session: Session, past: Past) -> Capsule:
    """Return all that a capsule of the run holds, with exact values."""
    found = read(session, past)
    lines = lines_of(session, past.run_id)
    given = {name: [getattr(line, name) for line in lines.lines] for name in _FIELDS}
    whole = Capsule(
        recording=_noted(found),
        children=children(session, found),
        function=_or_none(lambda: session.client.functions.get(found.run.function_id)),
        event=_or_none(lambda: session.client.events.get(found.run.event_id)) if found.run.event_id else None,
        why=_or_none(lambda: session.client.runs.why(past.run_id)),
        lines=tuple(Line(**dict(zip(given, values, strict=True))) for values in zip(*given.values(), strict=True)),
        dropped=lines.dropped,
        logged=lines.found,
        origin=_origin(session),
        saved_at=Instant(session.clock.now()),
    )
    before = session.capsule
    if before is None:
        return whole
    # It was read and saved by whoever did so first, and what was hidden then is not here.
    names = ("origin", "made_by", "redacted", "hidden")
    return msgspec.structs.replace(whole, **{name: getattr(before, name) for name in names})


def lines_of(session: Session, run_id: str) -> Lines:
    """Return what is kept of what a run wrote."""
    at_hand = session.lines_of(run_id)
    return logs.at(place(session)[0]).read(run_id) if at_hand is None else at_hand


def _noted(found: Recording) -> Recording:
    if found.ended or found.source == "capsule":
        return found
    note = f"{found.note}; " if found.note else ""
    return msgspec.structs.replace(found, note=f"{note}the run was {found.run.status} when the capsule was saved")


def children(session: Session, found: Recording) -> tuple[Record, ...]:
    """Return the rows of the runs that the steps of a recording started, as far as they are there."""
    ids = list(dict.fromkeys(step.child_run_id for step in found.steps if step.child_run_id))

    def work(client: AsyncClient) -> Coroutine[Any, Any, list[Record | None]]:
        return each(lambda child: _child(client, child), ids, in_flight=_IN_FLIGHT)

    return tuple(run for run in session.call(work) if run is not None) if ids else ()


async def _child(client: AsyncClient, run_id: str) -> Record | None:
    try:
        return await client.runs.get(run_id)
    except NotFoundError:
        return None


def _or_none(ask: Callable[[], T]) -> T | None:
    """Return what the server says, None where it has no such thing or does not tell."""
    try:
        return ask()
    except (NotFoundError, UnimplementedError):
        return None
    except ApiError as error:
        # Its rights, or its kind, may not reach as far as the run itself.
        if error.code in ("permission_denied", "failed_precondition"):
            return None
        raise


def _origin(session: Session) -> Origin:
    joined = session.joined
    return Origin(
        server=joined.server_url,
        version=joined.version,
        environment=joined.environment,
        scope=place(session)[1],
        missing=joined.missing,
    )


def _target(path: str | os.PathLike[str], run_id: str) -> Path:
    target = Path(path).expanduser()
    if target.is_dir():
        return target / (re.sub(r"[^0-9A-Za-z_-]+", "-", run_id)[:100] + SUFFIX)
    return target if target.suffix else target.with_name(target.name + SUFFIX)


def _check_free(target: Path, run_id: str, *, overwrite: bool) -> None:
    """Return when the file may be written: it is not there, or holds the same run, or it was said so."""
    if overwrite or not os.path.lexists(target):
        return
    try:
        held = capsule.run_in(_read(target), name=_named(target))
        if held == run_id:
            return
        what = f"a capsule of run {held:.100}"
    except (CapsuleError, OSError):
        what = "no capsule"
    raise CapsuleError(
        f"{_named(target)} is there already, and is {what}; save to another path, or overwrite it:"
        " run.save(path, overwrite=True)"
    )


def write(target: Path, content: bytes) -> None:
    """Put the bytes there as a whole or not at all, readable by nobody else."""
    fresh = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def _read(source: Path) -> bytes:
    """Return the bytes of a plain file, at most one more than a capsule has."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CapsuleError(f"{_named(source)} is no file")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(LARGEST_FILE + 1)
    finally:
        os.close(descriptor)


def _named(path: Path) -> str:
    return ascii(str(path)[-200:])
