"""Segments that end by asking for something: a sleep, an event, another function."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.workers import Assignment
from tests.contract.engine_book import Life, Wait
from tests.contract.engine_machine import KINDS, NAMES, PICK, RARELY, Machine
from tests.contract.engine_model import read


class Waiting(Machine):
    """Workers whose handlers wait."""

    @rule(pick=PICK, other=RARELY, names=NAMES, seconds=st.sampled_from([-5, 0, 1, 30, 2_000_000]))
    def sleeps(self, pick: int, other: bool, names: list[str], seconds: int) -> None:
        worker, job = self.job(pick, other)
        until, step_id, at = self.now + seconds * SECOND + MILLISECOND, f"{job.run_id}:nap:0", self.at(job.run_id)
        nap = {"step_id": step_id, "type": "sleep", "until": format_instant(until)}
        place = self.place(job, names)
        if self.yields(worker, job, names, nap):
            if until <= at:
                self.book.passes(job.run_id, step_id, "completed", None, "sleep", place)
            else:
                self.book.yields(job.run_id, Wait("sleep", until, step_id), "sleep", place)
        self.observe("yield")

    @rule(
        pick=PICK,
        names=NAMES,
        name=st.sampled_from(["a", "e", "e"]),
        value=st.sampled_from([None, "", "x", "y"]),
        seconds=st.sampled_from([0, 2, 100, 2_000_000]),
    )
    def waits(self, pick: int, names: list[str], name: str, value: str | None, seconds: int) -> None:
        """For any event of a name, for one with a value, or (the empty text) for one with the trigger's value."""
        self.waits_for(*self.job(pick, False), names, name, value, seconds)

    def waits_for(
        self, worker: str, job: Assignment, names: list[str], name: str, value: str | None, seconds: int
    ) -> None:
        step_id, at = f"{job.run_id}:wait:0", self.at(job.run_id)
        given = {"event": f" {name} ", "timeout": f"{seconds}s"}
        given |= {} if value is None else {"match": "data.k"} | ({"match_value": value} if value else {})
        wanted = {"step_id": step_id, "type": "wait_for_event", "event_filter": given}
        place = self.place(job, names)
        if self.yields(worker, job, names, wanted):
            expected = value or self.book.lives[job.run_id].data.get("k", "")
            path = "" if value is None else "data.k"
            if path and not expected:
                self.book.end(job.run_id, "failed")
            else:
                wait = Wait("event", at + seconds * SECOND, step_id, name, path, expected if path else "")
                self.book.yields(job.run_id, wait, "wait_for_event", place)
        self.observe("yield")

    @rule(
        pick=PICK,
        names=NAMES,
        number=st.integers(0, 1),
        callee=st.sampled_from(["child", "child", "small", "small", "patient", "nobody"]),
        how=st.sampled_from(["", "", "", "_async"]),
        seconds=st.sampled_from([0, 2, 2_000_000]),
    )
    def invokes(self, pick: int, names: list[str], number: int, callee: str, how: str, seconds: int) -> None:
        self.calls(*self.job(pick, False), names, number, callee, how, seconds)

    def calls(
        self, worker: str, job: Assignment, names: list[str], number: int, callee: str, how: str, seconds: int
    ) -> None:
        step_id, at, given = f"{job.run_id}:call:{number}", self.at(job.run_id), {"k": "x"}
        wanted: dict[str, Any] = {"step_id": step_id, "type": f"invoke_function{how}", "function_id": callee}
        wanted |= {"input": given, "invoke_timeout_ms": seconds * 1_000}
        place = self.place(job, names)
        if self.yields(worker, job, names, wanted):
            born = read(self.db).runs.keys() - self.rows.runs.keys()
            if callee in ("patient", "nobody") or self.active[callee] in ("archived", ""):
                assert not born
                self.book.passes(job.run_id, step_id, "failed", None, "invoke_function", place)
            else:
                (child,) = born
                self.book.lives[child] = Life(callee, given, KINDS[callee], (job.run_id, step_id))
                if how:
                    self.book.passes(job.run_id, step_id, "completed", child, "invoke_function", place)
                else:
                    wait = Wait("child", at + (seconds or 30) * SECOND, step_id, child=child)
                    self.book.yields(job.run_id, wait, "invoke_function", place)
        self.observe("yield")

    @rule(name=st.sampled_from(["a", "e"]), value=st.sampled_from([None, "x"]))
    def all_wait(self, name: str, value: str | None) -> None:
        """Whoever executes waits for the same event, which then comes."""
        for segment in list(self.hands.segments.values()):
            self.waits_for(segment.worker, segment.job, [], name, value, 100)
        self.emits(name, "", {"k": "x"})

    @rule(pick=PICK, late=st.booleans())
    def calls_twice(self, pick: int, late: bool) -> None:
        """The second call is made once the first has timed out; then the first child ends."""
        before = set(self.book.lives)
        worker, job = self.job(pick % 30, False)
        self.calls(worker, job, [], 0, "child", "", 2)
        children = [run_id for run_id in self.book.lives if run_id not in before]
        self.time_passes(3)
        for again in self.polled(worker, 4):
            if again.run_id == job.run_id:
                self.calls(worker, again, [], 1, "child", "", 100)
        for segment in self.hands.of(worker) if late else []:
            if segment.job.run_id in children:
                assert self.reports(worker, segment.job, [], 0, status="completed", output="late")
                self.book.end(segment.job.run_id, "completed", "late")
                self.observe("complete")

    def place(self, job: Assignment, names: list[str]) -> int:
        """The place of a step that a segment asks for: after all there are and those it reports."""
        life = self.book.lives.get(job.run_id)
        known = [] if life is None else life.steps.values()
        return max((step.sequence + 1 for step in known), default=0) + len(dict.fromkeys(names))

    def yields(self, worker: str, job: Assignment, names: list[str], wanted: dict[str, Any]) -> bool:
        """The segment asks for something; one that is completed already is told to the next, and not begun again."""
        life = self.book.lives.get(job.run_id)
        known = None if life is None else life.steps.get(wanted["step_id"])
        accepted = self.reports(worker, job, names, 0, status="yielded", yield_=wanted)
        if accepted and known is not None and known.status == "completed":
            self.book.queue(job.run_id)
            return False
        return accepted
