"""Progress lines: what they say, and how seldom they are drawn."""

from __future__ import annotations

from ironflow_lab.lab.progress import Progress, count, sent_line, settled_line, tally_line


def test_what_the_lines_say() -> None:
    assert sent_line(3, 0, 1_000) == "sent 3 of 1,000 events"
    assert sent_line(3, 2, 1_000) == "sent 3 of 1,000 events, 2 refused"
    assert settled_line([], 4) == "0 of 4 runs ended"
    assert settled_line(["failed", "completed"], 4) == "2 of 4 runs: 1 completed, 1 failed"
    assert settled_line(["completed"] * 2 + ["paused", "frozen"], 4) == "4 runs: 2 completed, 1 paused, 1 frozen"
    assert tally_line({"running": 2, "completed": 1, "waiting_for_capacity": 1}, 4) == (
        "1 of 4 runs: 1 completed, 2 running, 1 queued"
    )
    assert tally_line({"running": 2, "aborting": 1}, 3) == "0 of 3 runs: 2 running, 1 aborting"
    assert tally_line({"failed": 1, "completed": 2, "paused": 0}, 3) == "3 runs: 2 completed, 1 failed"
    assert (count(1, "run"), count(2_000, "run")) == ("1 run", "2,000 runs")


def test_drawn_at_most_ten_times_a_second_and_always_at_the_end() -> None:
    now, done = [0.0], [0]
    drawn: list[str] = []
    progress = Progress(lambda: f"{done[0]} done", drawn.append, now=lambda: now[0])
    for step in range(1_000):
        done[0], now[0] = step, step / 1_000
        progress.advance()
    assert len(drawn) == 10
    done[0] = 1_000
    progress.finish()
    progress.finish()
    assert drawn[0] == "0 done"
    assert drawn[-1] == "1000 done"
    assert len(drawn) == 11
