"""The official worker when things go wrong: killed, silent, cancelled, drained; and a server that dies."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.conformance.conftest import StartOfficial
from tests.conformance.plain import Plain, payload, until
from tests.conformance.processes import Official, Server
from tests.conformance.tap import Tap

StartServer = Callable[..., Server]
QUICK = {"checkpoint": 0.05}


def has_saved(plain: Plain, run_id: str, *names: str) -> None:
    """Wait until exactly these steps are recorded."""
    wanted = [f"{run_id}:{name}:0" for name in names]
    until(lambda: [row["stepId"] for row in plain.steps(run_id)] == wanted, f"{wanted} to be saved")


def completed(plain: Plain, run_id: str) -> dict[str, Any]:
    """Wait for the run's end, which must be a success in the first attempt."""
    run = plain.ended(run_id)
    assert (run["status"], run["attempt"]) == ("RUN_STATUS_COMPLETED", 1), run
    return run


def test_killed_and_back_under_the_same_id(plain: Plain, official: StartOfficial, name: str) -> None:
    """The registration takes the run over at once: the lease would have lasted 90 s more."""
    worker = official(plain, functions="hold", **QUICK).serves(plain, "hold")
    run_id = plain.start(f"{name}.hold", {"gate": name})
    worker.ledger.wait_for(run_id, "held")
    has_saved(plain, run_id, "before")
    worker.kill()
    worker.start()
    first, second = worker.ledger.wait_for(run_id, "held", times=2)
    assert first.pid != second.pid
    worker.open(name)
    completed(plain, run_id)
    assert worker.ledger.bodies(run_id) == Counter(before=1, held=2, after=1)
    assert worker.ledger.attempts(run_id, "held") == [1, 1]
    assert [row.get("sequence", 0) for row in plain.steps(run_id)] == [0, 1, 2]


def test_cancel_stops_the_handler_and_no_report_follows(plain: Plain, official: StartOfficial, name: str) -> None:
    with Tap(plain) as tap:
        worker = official(tap.plain, functions="ticks", **QUICK).serves(plain, "ticks")
        run_id = plain.start(f"{name}.ticks", {"gate": f"{name}-never"})
        worker.ledger.wait_for(run_id, "tick:2")
        cancelled = plain.cancel(run_id, "ordered twice")
        assert cancelled["status"] == "RUN_STATUS_CANCELLED"
        worker.ledger.wait_for(run_id, "@cancelled")

        # Another run through the same worker shows that it lives, and passes the time.
        worker.open(name)
        completed(plain, plain.start(f"{name}.ticks", {"gate": name}))
        assert plain.run(run_id) == cancelled
        assert cancelled["cancellationCause"] == "ordered twice"
        assert "output" not in cancelled
        reports = [one for one in tap.of_job(run_id) if not one.path.endswith("/ack")]
        assert {one.answer.status for one in reports[:-1]} <= {200}
        assert reports[-1].answer.status == 409
        assert reports[-1].answer.json["error"] == "STALE_EXECUTION"
        assert {b'"progress"' in one.body for one in reports} == {True}, "only checkpoints were sent"
        assert worker.ledger.entries(run_id)[-1].step == "@cancelled"


def test_a_silent_worker_loses_its_run_and_a_beating_one_keeps_it(
    embedded: StartServer, official: StartOfficial, name: str
) -> None:
    plain = embedded("--lease-seconds", "1.5").plain

    def start(worker_id: str, heartbeat: float) -> tuple[Official, str]:
        """A worker with one slot, and the run that fills it."""
        worker = official(plain, worker_id=worker_id, functions="hold", slots=1, heartbeat=heartbeat, **QUICK).serves(
            plain, "hold"
        )
        run_id = plain.start(f"{name}.hold", {"gate": name})
        worker.ledger.wait_for(run_id, "held")
        return worker, run_id

    _, kept_run = start("beating", 0.2)
    dead, killed_run = start("dead", 0.2)
    silent, lost_run = start("silent", 60)
    rescue = official(plain, worker_id="rescue", functions="hold", heartbeat=0.2, **QUICK)
    dead.kill()
    ledger = rescue.ledger
    # By then the lease of the kept run, which began before the others, would have run out.
    for run_id in (killed_run, lost_run):
        assert ledger.wait_for(run_id, "held", times=2)[1].worker == "rescue"
    assert ledger.bodies(kept_run) == Counter(before=1, held=1)

    rescue.open(name, only_here=True)
    for run_id in (killed_run, lost_run):
        assert completed(plain, run_id)["workerId"] == "rescue"
        assert ledger.bodies(run_id) == Counter(before=1, held=2, after=1)

    # What the silent worker says now is refused and changes nothing.
    rows = plain.run(lost_run), plain.steps(lost_run)
    rescue.open(name)
    until(lambda: "superseded" in silent.story(), "the silent worker to be told")
    assert (plain.run(lost_run), plain.steps(lost_run)) == rows
    assert completed(plain, kept_run)["workerId"] == "beating"
    assert ledger.bodies(kept_run) == Counter(before=1, held=1, after=1)


def test_the_server_ends_and_dies_amid_runs(embedded: StartServer, official: StartOfficial, name: str) -> None:
    """Registrations and leases survive: a worker that met a 404 would abandon the run and repeat it."""
    server = embedded()
    plain = server.plain
    worker = official(plain, functions="hold,nap", **QUICK).serves(plain, "nap")
    held = plain.start(f"{name}.hold", {"gate": name})
    worker.ledger.wait_for(held, "held")
    sleeping = plain.start(f"{name}.nap", {"seconds": 1.5})
    plain.in_status(sleeping, "waiting")
    assert server.stop() == 0
    server.start()
    later = plain.start(f"{name}.nap", {"seconds": 1.5})
    plain.in_status(later, "waiting")
    server.kill()
    server.start()
    worker.open(name)
    completed(plain, held)
    assert worker.ledger.bodies(held) == Counter(before=1, held=1, after=1)
    for run_id in (sleeping, later):
        assert payload(completed(plain, run_id), "output") == [{"n": 1}, {"n": 2}, 1]
        assert worker.ledger.bodies(run_id) == Counter(before=1, after=1)


def test_draining_finishes_what_is_in_hand_and_takes_no_more(plain: Plain, official: StartOfficial, name: str) -> None:
    worker = official(plain, functions="hold", **QUICK).serves(plain, "hold")
    held = plain.start(f"{name}.hold", {"gate": name})
    worker.ledger.wait_for(held, "held")
    assert worker.child is not None
    worker.child.send_signal(signal.SIGTERM)
    until(lambda: "drain" in worker.story().lower(), "the worker to say that it drains")
    later = plain.start(f"{name}.hold", {"gate": name})
    worker.open(name)
    completed(plain, held)
    assert worker.child.wait(20) == 0
    assert plain.run(later)["status"] == "RUN_STATUS_WAITING_FOR_CAPACITY"
    worker.start()
    completed(plain, later)
    assert worker.ledger.bodies(held) == worker.ledger.bodies(later)
    assert worker.ledger.bodies(later) == Counter(before=1, held=1, after=1)
