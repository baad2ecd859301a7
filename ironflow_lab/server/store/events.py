"""Reads of events: SQL in, pages out (the law is engine.ports.Reads).

Pages go by the order of recording, which no clock disturbs: new events only ever stand before the first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from ironflow_lab.errors import InvalidArgumentError, NotFoundError
from ironflow_lab.models.events import Event, EventName, EventNames, EventPage
from ironflow_lab.models.instant import Instant
from ironflow_lab.server.engine.ports import EventsAsked
from ironflow_lab.server.store import pages, queries

_SQL = queries.load("events")
EVENTS_PAGE = 20
LONGEST_SEARCH = 200
# What is counted and looked through at most: the table may hold millions.
COUNTED = NAMED = SEARCHED = 10_000
# Payloads may be megabytes each: a page ends early rather than filling the memory of both sides.
_LARGEST_PAGE_BYTES = 8 * 1024 * 1024
_SEQ = -1

Row = tuple[Any, ...]


class _Filter(NamedTuple):
    """Which events, and the statement that finds their places in the table without reading their payloads."""

    places: str
    where: str
    parameters: dict[str, Any]

    def and_(self, part: str, **parameters: Any) -> _Filter:
        return _Filter(self.places, f"{self.where} AND {_SQL[part]}", self.parameters | parameters)

    @property
    def sql(self) -> str:
        return f"{_SQL[self.places]} WHERE {self.where}"


class _Found(NamedTuple):
    """Rows in the direction of travel, whether more may follow, and where to go on."""

    rows: list[Row]
    more: bool
    edge: int


def one(db: sqlite3.Connection, env: str, event_id: str) -> Event:
    """Return an event; raises `NotFoundError`."""
    row = db.execute(_SQL["event"], {"env": env, "id": event_id}).fetchone()
    if row is None:
        raise NotFoundError(f"no event {event_id!r} in this environment")
    return _event(row)


def page(db: sqlite3.Connection, env: str, asked: EventsAsked) -> EventPage:
    """Return a page of events, newest first; raises `InvalidArgumentError` for what cannot be asked.

    A search looks through the next 10,000 events or 8 MiB of them: its page may hold few or none and
    still have a next one.
    """
    if asked.cursor and asked.before:
        raise InvalidArgumentError("give cursor or before, not both: they go in opposite directions")
    if len(asked.search) > LONGEST_SEARCH:
        raise InvalidArgumentError(f"a search has at most {LONGEST_SEARCH} characters")
    limit, newer = pages.limit(asked.limit, EVENTS_PAGE), bool(asked.before)
    start = pages.number(asked.before or asked.cursor) if asked.before or asked.cursor else None
    wanted = _filter(env, asked)
    found = _walk(db, wanted, asked.search, start, newer=newer, limit=limit)
    back = None if start is None else _back(db, wanted, found, start, newer=newer)
    total = None if asked.search else _count(db, wanted)
    onward = found.edge if found.more else None
    older, younger = (back, onward) if newer else (onward, back)
    rows = found.rows[::-1] if newer else found.rows
    return EventPage(
        events=tuple(map(_event, rows)),
        count=len(rows),
        limit=limit,
        has_next=older is not None,
        has_prev=younger is not None,
        next_cursor="" if older is None else pages.write(str(older)),
        prev_cursor="" if younger is None else pages.write(str(younger)),
        approx_total=None if total is None else min(total, COUNTED),
        approx_total_capped=total is not None and total > COUNTED,
    )


def names(db: sqlite3.Connection, env: str, asked: EventsAsked) -> EventNames:
    """Return the names of the newest 10,000 events that pass the filters, the commonest first."""
    wanted = _filter(env, asked)
    total = _count(db, wanted)
    sql = f"{_SQL['names']} WHERE seq IN ({wanted.sql} {_SQL['newest_first']}) {_SQL['by_name']}"
    rows = db.execute(sql, {**wanted.parameters, "limit": NAMED}).fetchall()
    return EventNames(
        names=tuple(EventName(name=name, count=count) for name, count in rows),
        scan_cap=NAMED,
        scanned=min(total, NAMED),
        truncated=total > NAMED,
    )


def _filter(env: str, asked: EventsAsked) -> _Filter:
    given = {
        "name": ("where_name", asked.name),
        "names": ("where_names", _listed(asked.names)),
        "sources": ("where_source", _listed(asked.sources)),
        "since": ("where_since", asked.since),
        "until": ("where_until", asked.until),
    }
    used = {name: found for name, found in given.items() if found[1]}
    parameters: dict[str, Any] = {"env": env, **{name: value for name, (_, value) in used.items()}}
    by_name = "name" in used or "names" in used
    places = "places_by_name" if by_name else "places_by_time" if used else "places"
    where = " AND ".join(_SQL[part] for part in ("where_env", *(part for part, _ in used.values())))
    return _Filter(places, where, parameters)


def _listed(values: tuple[str, ...]) -> str:
    return msgspec.json.encode(values).decode() if values else ""


def _walk(
    db: sqlite3.Connection, wanted: _Filter, search: str, start: int | None, *, newer: bool, limit: int
) -> _Found:
    if start is not None:
        wanted = wanted.and_("where_newer", newer=start) if newer else wanted.and_("where_older", older=start)
    order = _SQL["oldest_first" if newer else "newest_first"]
    most = SEARCHED if search else limit
    matches = _matcher(search) if search else None
    rows: list[Row] = []
    size = seen = edge = 0
    places = db.execute(f"{wanted.sql} {order}", {**wanted.parameters, "limit": most + 1}).fetchall()
    for (place,) in places:
        if len(rows) == limit or seen == most or size > _LARGEST_PAGE_BYTES:
            return _Found(rows, True, edge)
        row = db.execute(_SQL["row"], {"seq": place}).fetchone()
        if matches is None or matches(row):
            rows.append(row)
        edge, seen, size = row[_SEQ], seen + 1, size + len(row[2])
    return _Found(rows, False, edge)


def _matcher(search: str) -> Callable[[Row], bool]:
    plain = search.casefold()
    # In JSON text, quotes and backslashes stand with a backslash before them.
    escaped = msgspec.json.encode(search)[1:-1].decode().casefold()

    def matches(row: Row) -> bool:
        event_id, name, data, key = row[0], row[1], row[2], row[5]
        if any(plain in text.casefold() for text in (event_id, name, key)):
            return True
        return escaped in bytes(data).decode("utf-8", "replace").casefold()

    return matches


def _back(db: sqlite3.Connection, wanted: _Filter, found: _Found, start: int, *, newer: bool) -> int | None:
    """Return the cursor that leads back to where the page came from, None where nothing is there."""
    before_first = start + 1 if newer else start - 1
    place = found.rows[0][_SEQ] if found.rows else before_first
    beyond = wanted.and_("where_older", older=place) if newer else wanted.and_("where_newer", newer=place)
    there = db.execute(f"{beyond.sql} LIMIT 1", beyond.parameters).fetchone()
    return None if there is None else place


def _count(db: sqlite3.Connection, wanted: _Filter) -> int:
    """Return how many events pass, at most one more than are counted."""
    places = "places_by_time" if wanted.places == "places" else wanted.places
    sql = f"SELECT count(*) FROM ({wanted._replace(places=places).sql} LIMIT :most)"
    (total,) = db.execute(sql, {**wanted.parameters, "most": COUNTED + 1}).fetchone()
    return int(total)


def _event(row: Row) -> Event:
    metadata = row[6]
    return Event(
        id=row[0],
        name=row[1],
        data=msgspec.Raw(row[2]),
        version=row[3],
        source=row[4],
        idempotency_key=row[5],
        metadata=None if metadata is None else msgspec.json.decode(metadata),
        timestamp=Instant(row[7]),
        created_at=Instant(row[7]),
        run_id=row[8],
        emitted_by=row[9],
        environment_id=row[10],
    )
