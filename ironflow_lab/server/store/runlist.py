"""ListRuns: pages of runs, newest first, with bounded work however many runs are stored.

A list is merged out of branches, each of which an index gives in the order of creation: one for every
pair of function and status that passes the filters, and for a search one for every event name it is
found in. Totals are sums of the counts kept with the runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from ironflow_lab.models.runs import ListRunsRequest, ListRunsResponse
from ironflow_lab.server.store import pages, queries
from ironflow_lab.server.store.runs import run_of

_SQL = queries.load("runs")
RUNS_PAGE = 50
# A total that has to be counted, because a time or a search narrows the list, stops here.
MOST_COUNTED = 10_000
# How far a search looks: at the newest events of a name, and at the newest runs whose ids begin with it.
MOST_SEARCHED = 1_000
_FOREVER = 2**63 - 1
_AFTER_ALL_IDS = chr(0x10FFFF)


class _Branch(NamedTuple):
    """One source of runs; `n` is how many it holds at any time, where that is known."""

    query: str
    parameters: dict[str, Any]
    n: int | None = None


class _Span(NamedTuple):
    """Runs created from `low` to `high`, at `high` itself only those before the sequence `below`."""

    low: int
    high: int
    below: int

    @property
    def is_all(self) -> bool:
        return self == (0, _FOREVER, _FOREVER)


def page(db: sqlite3.Connection, env: str, request: ListRunsRequest) -> ListRunsResponse:
    """Return a page of runs; raises `InvalidArgumentError` for a wrong limit, offset or cursor.

    A search finds runs by a part of their function's id or of their event's name, and by the beginning of
    their own id; of one event's runs and of one beginning it finds the newest thousand. `total_count` is
    exact, but with `since` or `until` 10,000 stands for "that many or more".
    """
    limit, offset = pages.limit(request.limit, RUNS_PAGE), pages.offset(request.offset)
    whole = _span(request, "")
    wanted = _span(request, request.cursor)
    if request.event_id:
        return _of_event(db, env, request, (whole, wanted), (limit, 0 if request.cursor else offset))
    branches = list(_branches(db, env, request))
    found = _newest(db, branches, wanted, limit + 1, past=0 if request.cursor else offset)
    rows = db.execute(f"{_SQL['columns']} {_SQL['these']}", {"seqs": _json([seq for _, seq in found[:limit]])})
    return ListRunsResponse(
        runs=tuple(map(run_of, rows)),
        next_cursor=_after(*found[limit - 1]) if len(found) > limit else "",
        total_count=_total(db, branches, whole),
    )


def _branches(db: sqlite3.Connection, env: str, request: ListRunsRequest) -> Iterator[_Branch]:
    statuses, search = _statuses(request), request.search.strip()
    pairs = _pairs(db, env, request.function_id, statuses)
    if not (request.function_id or statuses or search):
        yield _Branch("newest", {"env": env}, sum(n for *_, n in pairs))
        return
    text = search.lower()
    found = [pair for pair in pairs if text in pair[0].lower()]
    for function_id, status, n in found:
        yield _Branch("newest_of_function", {"env": env, "function_id": function_id, "status": status}, n)
    if not search or len(found) == len(pairs):
        return
    rest = {
        "env": env,
        "function_id": request.function_id,
        "statuses": _json(statuses) if statuses else "",
        "functions": _json(sorted({function_id for function_id, *_ in found})),
    }
    names = [name for (name,) in db.execute(_SQL["event_names"], {"env": env}) if text in name.lower()]
    for name in names:
        yield _Branch("newest_of_event", {**rest, "name": name})
    for first in dict.fromkeys((search, *_run_ids(search))):
        yield _Branch("newest_of_id", {**rest, "names": _json(names), "first": first, "last": first + _AFTER_ALL_IDS})


def _run_ids(search: str) -> tuple[str, ...]:
    """Return how the ids begin that a text may be the beginning of, whatever its case and with or without `run_`."""
    bare = search[4:] if search[:4].lower() == "run_" else search
    return ("run_" + bare.lower(),) if bare else ()


def _pairs(db: sqlite3.Connection, env: str, function_id: str, statuses: list[str]) -> list[tuple[str, str, int]]:
    query = "counts_of_function" if function_id else "counts"
    rows = db.execute(_SQL[query], {"env": env, "function_id": function_id})
    return [row for row in rows if not statuses or row[1] in statuses]


def _newest(
    db: sqlite3.Connection, branches: list[_Branch], span: _Span, most: int, *, past: int
) -> list[tuple[int, int]]:
    """Return the instants and sequences of the newest runs of all branches but the first `past`, newest first."""
    if len(branches) == 1:
        asked = {**_asked(branches[0].parameters, span, most + past), "past": past}
        # The limit inside holds for both: the rows passed over never leave the store.
        return db.execute(f"SELECT * FROM ({_SQL[branches[0].query]}) LIMIT -1 OFFSET :past", asked).fetchall()
    most += past
    found: set[tuple[int, int]] = set()
    for query, parameters, _ in branches:
        found.update(db.execute(_SQL[query], _asked(parameters, span, most)))
    return sorted(found, reverse=True)[past:most]


def _total(db: sqlite3.Connection, branches: list[_Branch], span: _Span) -> int:
    known = sum(branch.n for branch in branches if branch.n is not None and span.is_all)
    counted, apart = 0, set[tuple[int, int]]()
    for query, parameters, n in branches:
        left = MOST_COUNTED - counted - len(apart)
        if (n is not None and span.is_all) or left <= 0:
            continue
        asked = _asked(parameters, span, left)
        if n is None:
            # One run may have been found by its event and by its id.
            apart.update(db.execute(_SQL[query], asked))
        else:
            counted += db.execute(f"SELECT count(*) FROM ({_SQL[query]})", asked).fetchone()[0]
    return known + counted + len(apart)


def _asked(parameters: dict[str, Any], span: _Span, most: int) -> dict[str, Any]:
    return {**parameters, **span._asdict(), "most": most, "looked_at": MOST_SEARCHED}


def _of_event(
    db: sqlite3.Connection, env: str, request: ListRunsRequest, spans: tuple[_Span, _Span], part: tuple[int, int]
) -> ListRunsResponse:
    """Return the runs of one event, which are few: one a function."""
    (whole, wanted), (limit, offset), statuses = spans, part, _statuses(request)
    text = request.search.strip().lower()
    rows = db.execute(f"{_SQL['columns']} {_SQL['of_event']}", {"env": env, "event_id": request.event_id})
    found = [
        row
        for row in rows
        if (not statuses or row[8] in statuses)
        and request.function_id in ("", row[1])
        and (not text or any(text in word.lower() for word in (row[0], row[1], row[3])))
        and _within(row, whole)
    ]
    rest = [row for row in found if _within(row, wanted)][offset:]
    following = _after(rest[limit - 1][13], rest[limit - 1][-1]) if len(rest) > limit else ""
    return ListRunsResponse(runs=tuple(map(run_of, rest[:limit])), next_cursor=following, total_count=len(found))


def _within(row: tuple[Any, ...], span: _Span) -> bool:
    at, seq = row[13], row[-1]
    return bool(span.low <= at <= span.high and (at < span.high or seq < span.below))


def _span(request: ListRunsRequest, cursor: str) -> _Span:
    low, high, below = int(request.since), int(request.until) - 1 if request.until else _FOREVER, _FOREVER
    if cursor:
        at, seq = pages.pair(cursor)
        if at <= high:
            high, below = at, seq
    return _Span(low, high, below)


def _after(at: int, seq: int) -> str:
    return pages.write(f"{at}.{seq}")


def _statuses(request: ListRunsRequest) -> list[str]:
    words = (pages.known(word) for word in (request.status, *request.statuses))
    return sorted({word for word in words if word})


def _json(values: list[Any]) -> str:
    return msgspec.json.encode(values).decode()
