"""Where a capsule is written and read: whole or not at all, for one user, over nothing but itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ironflow_lab as il
from ironflow_lab.errors import CapsuleError, FailedPreconditionError, NotFoundError
from ironflow_lab.frames import schema
from ironflow_lab.history import hiding
from ironflow_lab.history.capsule import Capsule, pack
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab.run import Run
from ironflow_lab.models.runs import RunStatus
from ironflow_lab.testing import capsule as fixture
from tests.unit.history.carried import SAVED, SECRET, capsule, run
from tests.unit.history.stories import RUN


@pytest.fixture
def opened(tmp_path: Path) -> Run:
    (tmp_path / "pay.ironflow").write_bytes(pack(hiding.hide(capsule())))
    return il.open(tmp_path / "pay.ironflow")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_is_saved_again_byte_for_byte(opened: Run, tmp_path: Path) -> None:
    written = opened.save(tmp_path / "again")
    assert written == tmp_path / "again.ironflow"
    assert written.read_bytes() == (tmp_path / "pay.ironflow").read_bytes()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert names(tmp_path) == ["again.ironflow", "pay.ironflow"], "nothing is left beside it"


def test_the_same_run_replaces_its_capsule_and_no_other(opened: Run, tmp_path: Path) -> None:
    opened.save(tmp_path / "pay.ironflow")
    other = tmp_path / "other.ironflow"
    other.write_bytes(pack(Capsule(recording=Recording(run=msgspec.structs.replace(run(), id="run_2")))))
    before = other.read_bytes()
    with pytest.raises(CapsuleError, match=r"is there already, and is a capsule of run run_2; .*overwrite=True"):
        opened.save(other)
    assert other.read_bytes() == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CapsuleError, match="is there already, and is no capsule"):
        opened.save(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    opened.save(other, overwrite=True)
    assert il.open(other).id == RUN


def test_a_write_that_fails_leaves_what_was_there(opened: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (tmp_path / "pay.ironflow").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        opened.save(tmp_path / "pay.ironflow")
    assert names(tmp_path) == ["pay.ironflow"]
    assert (tmp_path / "pay.ironflow").read_bytes() == before


def test_into_a_folder_it_goes_under_the_runs_id(opened: Run, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    assert opened.save(tmp_path / "kept") == tmp_path / "kept" / "run_1.ironflow"
    with pytest.raises(FileNotFoundError):
        opened.save(tmp_path / "not there" / "x")


def test_a_link_is_replaced_not_followed(opened: Run, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link.ironflow").symlink_to(tmp_path / "target")
    opened.save(tmp_path / "link.ironflow", overwrite=True)
    assert (tmp_path / "target").read_text() == "mine"
    assert not (tmp_path / "link.ironflow").is_symlink()


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CapsuleError, match="is no file"):
        il.open(tmp_path / "pipe")
    with pytest.raises(CapsuleError, match="is no file"):
        il.open(tmp_path)
    with pytest.raises(FileNotFoundError):
        il.open(tmp_path / "absent")


def test_the_card_says_where_it_comes_from_and_what_was_hidden(opened: Run) -> None:
    said = "capsule pay.ironflow, saved 2026-01-02 03:05:05 UTC; 7 values and 7 pieces of text hidden (input.password"
    assert said in str(opened)
    assert said in opened._repr_html_()
    for shown in (str(opened), repr(opened), opened._repr_html_(), str(opened.why()), opened.logs.to_string()):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (capsule(), "; exact values"),
        (hiding.hide(Capsule(recording=Recording(run=run()))), "; redacted, nothing was hidden"),
        (Capsule(recording=Recording(run=run(status=RunStatus("waiting")))), "; it had not ended then"),
    ],
)
def test_the_card_says_how_far_it_can_be_trusted(tmp_path: Path, whole: Capsule, said: str) -> None:
    (tmp_path / "a.ironflow").write_bytes(pack(whole))
    assert said in str(il.open(tmp_path / "a.ironflow"))


def test_what_was_hidden_is_told_by_path(opened: Run, tmp_path: Path) -> None:
    assert opened.hidden["steps.charge.output.token"] == 1
    assert sum(opened.hidden.values()) == 7
    (tmp_path / "exact.ironflow").write_bytes(pack(capsule()))
    assert il.open(tmp_path / "exact.ironflow").hidden == {}


def test_a_hostile_name_is_only_text(tmp_path: Path) -> None:
    source = tmp_path / "<img src=x onerror=alert(1)>.ironflow"
    source.write_bytes(pack(capsule()))
    assert "<img" not in il.open(source)._repr_html_()
    source.write_bytes(b"no capsule")
    with pytest.raises(CapsuleError):
        il.open(source)


def test_every_view_works_on_it(opened: Run) -> None:
    whole = hiding.hide(capsule())
    assert opened.status == "failed"
    assert list(opened.steps.name) == ["charge", "started", "pack"]
    assert len(opened.audit) == len(whole.recording.events)
    assert opened.at(step="charge").step("charge").status == "completed"
    assert not opened.diff(1, -1).empty
    assert list(opened.timeline.position) == list(range(1, len(whole.recording.events) + 1))
    assert list(opened.children.run_id) == ["run_child"]
    assert opened.recording() == msgspec.structs.replace(whole.recording, source="capsule")
    assert opened.why().cause
    assert [one.partition("  #")[0] for one in opened.why().can] == ["run.replay()"]
    assert '"traceEvents"' in str(opened.to_perfetto())


def test_what_it_wrote_is_there_with_how_much_is_gone(opened: Run) -> None:
    found = opened.logs
    assert list(found.columns) == [column.name for column in schema.LOGS]
    assert list(found.text) == ["paying with [redacted]", "Authorization: Bearer [redacted]"]
    assert found.attrs["truncated"] == "3 older lines are gone"
    assert "pay.ironflow" in found.attrs["server"]


def test_its_clock_stands(opened: Run) -> None:
    assert opened.steps.attrs["fetched_at"] == opened.audit.attrs["fetched_at"]
    assert str(SAVED)[:19] in str(opened.steps.attrs["fetched_at"]).replace(" ", "T")


VERBS: tuple[tuple[str, Any], ...] = (
    ("pause", lambda run: run.pause()),
    ("resume", lambda run: run.resume()),
    ("resume from", lambda run: run.resume("charge")),
    ("retry", lambda run: run.retry()),
    ("cancel", lambda run: run.cancel()),
    ("rerun", lambda run: run.rerun()),
    ("rerun with", lambda run: run.rerun({"n": 2})),
    ("inject", lambda run: run.inject("charge", 1)),
    ("patch", lambda run: run.patch("charge", 1)),
    ("move", lambda run: run.move()),
)


@pytest.mark.parametrize("verb", [verb for _, verb in VERBS], ids=[name for name, _ in VERBS])
def test_a_verb_that_changes_the_run_names_the_capsule_and_the_remedy(opened: Run, verb: Any) -> None:
    with pytest.raises(FailedPreconditionError, match=r"^capsule pay\.ironflow is a copy of run run_1.*This would"):
        verb(opened)
    with (
        pytest.raises(FailedPreconditionError, match=r"il\.connect\(\.\.\.\)\.run\('run_1'\)"),
        opened._session.guard.allow(),
    ):
        verb(opened)


def test_the_rerun_it_came_from_is_not_in_it(opened: Run) -> None:
    assert opened.origin is None
    with pytest.raises(NotFoundError):
        opened._session.client.runs.get("run_0")


def test_it_is_a_fixture_beside_the_test(tmp_path: Path) -> None:
    (tmp_path / "pay.ironflow").write_bytes(pack(capsule()))
    assert fixture("pay.ironflow", near=tmp_path / "test_orders.py").id == RUN
    assert fixture(tmp_path / "pay.ironflow").input == {"n": 1, "password": SECRET}
    with pytest.raises(CapsuleError, match="there is no capsule"):
        fixture("absent.ironflow", near=__file__)
