"""Events, invocations and messages on a real file: what is stored, what is found again, and what is gone for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import AlreadyExistsError, ApiError, FailedPreconditionError, InvalidArgumentError
from ironflow_lab.models.events import EventPage
from ironflow_lab.server.engine.commands import EmitEvent, InvokeFunction, Publish, RedactEvent
from ironflow_lab.server.engine.ports import EventsAsked
from ironflow_lab.server.store import database, events, pages
from ironflow_lab.server.store.database import FILE
from tests.contract.engine_room import ENV, Room


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Room(tmp_path) as opened:
        opened.function("f", "go", recording=True)
        opened.worker("w", "f")
        yield opened


def emit(name: str = "go", data: bytes = b"{}", **fields: Any) -> EmitEvent:
    return EmitEvent(env=ENV, name=name, data=data, **fields)


def invoke(function_id: str = "f", **fields: Any) -> InvokeFunction:
    return InvokeFunction(env=ENV, function_id=function_id, data=fields.pop("data", b"{}"), **fields)


class TestInvocations:
    def test_the_run_is_handed_out_with_the_input(self, room: Room) -> None:
        started = room.ask(invoke(data=b'[1,"two"]', metadata=b'{"m":1}', idempotency_key="k"))
        (job,) = room.poll()
        assert job.run_id == started.run_id
        assert (job.event.id, job.event.name, job.event.data) == (
            started.event_id,
            "ironflow.function.invoked",
            msgspec.Raw(b'[1,"two"]'),
        )
        assert (job.event.source, job.event.metadata) == ("invoke", {"m": 1})

    def test_no_trigger_matches_it(self, room: Room) -> None:
        room.function("all", ">")
        room.function("named", "ironflow.function.invoked")
        room.ask(invoke())
        assert room.rows("SELECT function_id FROM runs") == [("f",)]

    def test_calls_with_one_key_in_one_batch_start_one_run(self, room: Room) -> None:
        with room.one_batch():
            tokens = [room.send(invoke(idempotency_key="k")) for _ in range(5)]
        answers = [room.answer(token) for token in tokens]
        assert len({answer.run_id for answer in answers}) == 1
        assert [answer.started for answer in answers] == [True, False, False, False, False]

    def test_a_key_is_one_for_events_and_invocations(self, room: Room) -> None:
        emitted = room.ask(emit(idempotency_key="e"))
        with pytest.raises(AlreadyExistsError, match="was emitted"):
            room.ask(invoke(idempotency_key="e"))
        started = room.ask(invoke(idempotency_key="i"))
        assert room.ask(emit(idempotency_key="i")).run_ids == (started.run_id,)
        room.function("g", "x")
        with pytest.raises(AlreadyExistsError, match="of function 'f'"):
            room.ask(invoke("g", idempotency_key="i"))
        assert room.ask(emit(idempotency_key="e")) == emitted

    def test_a_key_whose_run_was_deleted(self, room: Room) -> None:
        started = room.ask(invoke(idempotency_key="k"))
        room.writer._db.execute("DELETE FROM runs WHERE id = ?", (started.run_id,))
        with pytest.raises(FailedPreconditionError, match="was deleted"):
            room.ask(invoke(idempotency_key="k"))


class TestMessages:
    def test_places_go_up_over_all_topics_and_are_never_given_twice(self, room: Room) -> None:
        def publish(topic: str, key: str = "") -> Any:
            return room.ask(Publish(env=ENV, topic=topic, data=b"1", idempotency_key=key))

        first, second = publish("a", "k"), publish("b", "k")
        assert (int(first.sequence), int(second.sequence)) == (1, 2)
        again = publish("a", "k")
        assert (again.event_id, int(again.sequence), again.duplicate) == (first.event_id, 1, True)
        room.writer._db.execute("DELETE FROM messages WHERE seq = 2")
        assert int(publish("b").sequence) == 3
        assert room.rows("SELECT seq, topic, idempotency_key FROM messages") == [(1, "a", "k"), (3, "b", "")]

    def test_one_batch(self, room: Room) -> None:
        with room.one_batch():
            sent = [Publish(env=ENV, topic="a", data=b"%d" % n, idempotency_key="ab"[n % 2]) for n in range(4)]
            tokens = [room.send(command) for command in sent]
        answers = [room.answer(token) for token in tokens]
        assert [(int(answer.sequence), answer.duplicate) for answer in answers] == [
            (1, False),
            (2, False),
            (1, True),
            (2, True),
        ]
        assert room.rows("SELECT data FROM messages") == [(b"0",), (b"1",)]


class TestRedaction:
    SECRET = b"4111-1111-secret"

    def given(self, room: Room) -> tuple[str, str]:
        answer = room.ask(emit(data=b'{"card":"%s"}' % self.SECRET, idempotency_key="k", metadata=b'{"m":1}'))
        (run_id,) = answer.run_ids
        return answer.event_id, run_id

    def test_the_bytes_are_nowhere_in_the_database(self, room: Room) -> None:
        event_id, _ = self.given(room)
        # A payload that needs pages of its own.
        large = room.ask(emit(data=b'"%s"' % (self.SECRET * 5_000)))
        for redacted in (event_id, large.event_id):
            room.ask(RedactEvent(env=ENV, event_id=redacted))
        room.close()
        # Closing writes the log into the file and removes it.
        assert [path.name for path in room.folder.iterdir() if path.name.startswith(FILE)] == [FILE]
        assert self.SECRET not in (room.folder / FILE).read_bytes()

    def test_once_for_all(self, room: Room) -> None:
        event_id, run_id = self.given(room)
        room.ask(RedactEvent(env=ENV, event_id=event_id))
        stored = room.rows("SELECT data, metadata, idempotency_key FROM events")
        trail = room.rows("SELECT type, payload FROM audit ORDER BY seq")
        room.clock.advance(seconds=5)
        room.ask(RedactEvent(env=ENV, event_id=event_id))
        assert room.rows("SELECT data, metadata, idempotency_key FROM events") == stored
        assert room.rows("SELECT type, payload FROM audit ORDER BY seq") == trail
        assert msgspec.json.decode(stored[0][0])["$redacted"] is True
        assert stored[0][1:] == (b'{"m":1}', "k")
        assert [kind for kind, _ in trail] == ["run.created", "run.redacted"]
        assert room.ask(emit(idempotency_key="k")).run_ids == (run_id,)

    def test_the_run_goes_on_with_the_marker(self, room: Room) -> None:
        event_id, run_id = self.given(room)
        room.ask(RedactEvent(env=ENV, event_id=event_id))
        (job,) = room.poll()
        assert msgspec.json.decode(bytes(job.event.data))["$redacted"] is True
        room.report(job, status="completed", output=1)
        ats = [at for (at,) in room.rows("SELECT at FROM audit WHERE run_id = ? ORDER BY seq", run_id)]
        assert ats == sorted(set(ats))
        assert room.rows("SELECT updated_at FROM runs") == [(ats[-1],)]

    def test_another_environment_s_event_is_unknown(self, room: Room) -> None:
        event_id, _ = self.given(room)
        with pytest.raises(ApiError, match="no event"):
            room.ask(RedactEvent(env="other", event_id=event_id))


class TestPages:
    def read(self, room: Room, **asked: Any) -> EventPage:
        reader = database.open_reader(room.folder)
        try:
            return events.page(reader, ENV, EventsAsked(**asked))
        finally:
            reader.close()

    def emitted(self, room: Room, *names: str, **fields: Any) -> list[str]:
        with room.one_batch():
            tokens = [room.send(emit(name, **fields)) for name in names]
        return [room.answer(token).event_id for token in tokens]

    def test_both_directions_and_the_ends(self, room: Room) -> None:
        ids = self.emitted(room, *("x",) * 5)[::-1]
        first = self.read(room, limit=2)
        assert [event.id for event in first.events] == ids[:2]
        assert (first.has_prev, first.has_next, first.count, first.limit, first.approx_total) == (False, True, 2, 2, 5)
        second = self.read(room, limit=2, cursor=first.next_cursor)
        third = self.read(room, limit=2, cursor=second.next_cursor)
        assert [event.id for event in (*second.events, *third.events)] == ids[2:]
        assert (second.has_prev, second.has_next) == (True, True)
        assert (third.has_prev, third.has_next, third.next_cursor) == (True, False, "")
        back = self.read(room, limit=2, before=third.prev_cursor)
        assert back == second
        start = self.read(room, limit=2, before=back.prev_cursor)
        assert start == first
        assert start.prev_cursor == ""

    def test_a_full_last_page_is_the_last(self, room: Room) -> None:
        self.emitted(room, "x", "x")
        assert not self.read(room, limit=2).has_next
        assert not self.read(room, limit=2, before=pages.write("0")).has_prev

    def test_beyond_the_ends(self, room: Room) -> None:
        ids = self.emitted(room, "x", "x")[::-1]
        nothing = self.read(room, cursor=pages.write("1"))
        assert (nothing.events, nothing.has_next, nothing.has_prev) == ((), False, True)
        assert [event.id for event in self.read(room, before=nothing.prev_cursor).events] == ids
        nothing = self.read(room, before=pages.write("2"))
        assert (nothing.events, nothing.has_prev, nothing.has_next) == ((), False, True)
        assert [event.id for event in self.read(room, cursor=nothing.next_cursor).events] == ids

    def test_none_at_all(self, room: Room) -> None:
        page = self.read(room)
        assert (page.events, page.has_next, page.has_prev, page.limit, page.approx_total) == ((), False, False, 20, 0)

    def test_events_that_come_meanwhile_move_nothing(self, room: Room) -> None:
        before = self.emitted(room, *("x",) * 7)[::-1]
        seen, page = [], self.read(room, limit=2)
        while True:
            seen += [event.id for event in page.events]
            if not page.has_next:
                break
            # Even when the clock goes back meanwhile.
            room.clock.advance(seconds=-60)
            self.emitted(room, "x")
            page = self.read(room, limit=2, cursor=page.next_cursor)
        assert seen == before
        newer = self.read(room, before=page.prev_cursor, limit=1_000)
        assert newer.count == 6 + 3
        assert not newer.has_prev

    def test_filters(self, room: Room) -> None:
        start = room.clock.now()
        a, b = self.emitted(room, "a", "b")
        room.clock.advance(seconds=10)
        (c,) = self.emitted(room, "a.c", source="webhook")

        def found(**asked: Any) -> list[str]:
            page = self.read(room, **asked)
            assert page.count == len(page.events) == page.approx_total
            return [event.id for event in page.events]

        assert found(name="a") == [a]
        assert found(name="A") == []
        assert found(names=("a", "a.c", "none")) == [c, a]
        assert found(sources=("webhook",)) == [c]
        assert found(sources=("webhook", "api"), names=("a", "b")) == [b, a]
        assert found(since=start) == [c, b, a]
        assert found(since=start + 1) == [c]
        assert found(until=start + 1) == [b, a]
        assert found(until=start) == []
        assert found(name="a", since=start + 1) == []

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("GRÖSSE", [0]),
            ("größe", [0]),
            ("K-77", [1]),
            ("evt_", [2, 1, 0]),
            ('say "hi"', [2]),
            ("back\\slash", [2]),
            ("nested", [1]),
            ("%", []),
            ("_", [2, 1, 0]),
            ("zzz", []),
        ],
    )
    def test_a_search(self, room: Room, search: str, found: list[int]) -> None:
        ids = [
            *self.emitted(room, "bestellung.größe"),
            *self.emitted(room, "b", idempotency_key="k-77", data=b'{"a":{"nested":[1]}}'),
            *self.emitted(room, "c", data=msgspec.json.encode({"text": 'Say "Hi" back\\slash'})),
        ]
        page = self.read(room, search=search)
        assert [event.id for event in page.events] == [ids[place] for place in found]
        assert (page.has_next, page.has_prev, page.approx_total) == (False, False, None)

    def test_a_search_looks_through_so_many_and_goes_on(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events, "SEARCHED", 3)
        (oldest, *_) = self.emitted(room, "needle", *("x",) * 7)
        seen, cursor, looked = [], "", 0
        while True:
            page = self.read(room, search="needle", cursor=cursor)
            seen += [event.id for event in page.events]
            looked += 1
            if not page.has_next:
                break
            cursor = page.next_cursor
        assert (seen, looked) == ([oldest], 3)

    def test_a_page_of_large_payloads_ends_early(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events, "_LARGEST_PAGE_BYTES", 1_000)
        ids = self.emitted(room, *("x",) * 4, data=b'"%s"' % (b"y" * 700))[::-1]
        first = self.read(room)
        assert ([event.id for event in first.events], first.has_next) == (ids[:2], True)
        rest = self.read(room, cursor=first.next_cursor)
        assert ([event.id for event in rest.events], rest.has_next) == (ids[2:], False)

    def test_totals_stop_at_the_cap(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emitted(room, *("x",) * 3, "y")
        for cap, total, capped in ((4, 4, False), (3, 3, True)):
            monkeypatch.setattr(events, "COUNTED", cap)
            page = self.read(room)
            assert (page.approx_total, page.approx_total_capped) == (total, capped)

    def test_names(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emitted(room, "old", "b", "a", "a", "c", "a")
        reader = database.open_reader(room.folder)
        found = events.names(reader, ENV, EventsAsked())
        assert [(one.name, one.count) for one in found.names] == [("a", 3), ("b", 1), ("c", 1), ("old", 1)]
        assert (found.scanned, found.scan_cap, found.truncated) == (6, 10_000, False)
        monkeypatch.setattr(events, "NAMED", 5)
        monkeypatch.setattr(events, "COUNTED", 5)
        found = events.names(reader, ENV, EventsAsked())
        assert [(one.name, one.count) for one in found.names] == [("a", 3), ("b", 1), ("c", 1)]
        assert (found.scanned, found.scan_cap, found.truncated) == (5, 5, True)
        reader.close()

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"cursor": "MQ==", "before": "MQ=="}, "not both"),
            ({"limit": -1}, "negative"),
            ({"cursor": "%"}, "not one this server gave"),
            ({"before": pages.write("x")}, "not one this server gave"),
            ({"cursor": pages.write(str(2**63))}, "not one this server gave"),
            ({"search": "x" * 201}, "200 characters"),
        ],
    )
    def test_refusals(self, room: Room, asked: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidArgumentError, match=words):
            self.read(room, **asked)
        # The connection is left usable.
        assert self.read(room).count == 0

    def test_a_page_never_has_more_than_a_thousand(self, room: Room) -> None:
        assert self.read(room, limit=5_000).limit == 1_000
