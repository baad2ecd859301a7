"""A capsule gives back what was put into it, and refuses every file that is not a whole one."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given

from ironflow_lab.errors import CapsuleError
from ironflow_lab.history import capsule as capsules
from ironflow_lab.history.capsule import Capsule, pack, run_in, unpack
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.runs import RunStatus
from tests.unit.history.carried import SECRET, capsule, run
from tests.unit.history.stories import RUN, json_values, trails

NAME = "odd.ironflow"


def parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def file_of(contents: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", kind) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return whole.getvalue()


def sealed(contents: dict[str, bytes], **manifest: Any) -> bytes:
    """Return a capsule's bytes as one would forge them: every checksum is right."""
    told = json.loads(contents["capsule.json"]) | manifest
    members = {name: content for name, content in contents.items() if not name.startswith("capsule.")}
    if "members" not in manifest:
        told["members"] = {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in members.items()
        }
    head = json.dumps(told).encode()
    return file_of({"capsule.json": head, "capsule.sha256": hashlib.sha256(head).hexdigest().encode(), **members})


def with_member(name: str, content: bytes) -> bytes:
    return sealed({**parts(pack(capsule())), name: content})


def test_what_was_put_in_comes_out() -> None:
    whole = capsule()
    found = unpack(pack(whole))
    assert found == msgspec.structs.replace(whole, recording=msgspec.structs.replace(whole.recording, source="capsule"))
    assert found.run.status == "failed"
    assert found.recording.history().at_position(4).step("charge").output == {"id": 7, "token": SECRET}


def test_the_least_capsule_has_a_run_and_nothing_else() -> None:
    whole = Capsule(recording=Recording(run=run(), source="capsule"))
    assert unpack(pack(whole)) == whole
    assert set(parts(pack(whole))) == {"capsule.json", "capsule.sha256", "run.json"}


def test_the_same_capsule_has_the_same_bytes_and_is_written_again_as_it_was() -> None:
    data = pack(capsule())
    assert pack(capsule()) == data
    assert pack(unpack(data)) == data


@given(value=json_values, events=trails())
def test_every_value_survives(value: Any, events: list[AuditEvent]) -> None:
    recording = Recording(run=run(input=value, output=value), events=tuple(events), source="capsule")
    found = unpack(pack(Capsule(recording=recording))).recording
    assert found.run.input == found.run.output == value
    assert found.events == recording.events


def test_numbers_of_any_size_keep_their_digits() -> None:
    numbers = [2**53 + 1, -(2**63), 10**40, 1.5, 1e300]
    assert unpack(pack(Capsule(recording=Recording(run=run(input=numbers))))).run.input == numbers


def test_what_json_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(CapsuleError, match="holds a value that JSON cannot"):
        pack(Capsule(recording=Recording(run=run(input="\ud800"))))
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(CapsuleError, match="JSON cannot"):
        pack(Capsule(recording=Recording(run=run(input=deep))))


def _older(contents: dict[str, bytes]) -> bytes:
    return sealed(contents, format="another")


def _doubled() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("capsule.json", b"{}")
        file.writestr("capsule.json", b"{}")
    return whole.getvalue()


FAULTS: tuple[tuple[str, Callable[[], bytes], str], ...] = (
    ("nothing", lambda: b"", "is empty"),
    ("text", lambda: b"not a zip file at all" * 10, "is no capsule"),
    ("cut short", lambda: pack(capsule())[:-200], "cut short"),
    ("cut at the front", lambda: pack(capsule())[100:], "is damaged|is no capsule|changed"),
    ("another zip", lambda: file_of({"a.txt": b"hello"}), "is a zip file but no capsule"),
    ("another format", lambda: _older(parts(pack(capsule()))), "of another kind"),
    ("no version", lambda: sealed(parts(pack(capsule())), version=0), "of another kind"),
    ("manifest is no JSON", lambda: file_of({"capsule.json": b"{"}), "does not belong there"),
    ("manifest is deep", lambda: file_of({"capsule.json": b"[" * 100_000}), "does not belong there"),
    ("manifest is bare", lambda: file_of({"capsule.json": b'{"format":"ironflow-capsule","version":1}'}), "checksum"),
    ("no seal", lambda: file_of({k: v for k, v in parts(pack(capsule())).items() if "sha" not in k}), "checksum"),
    ("a member too many", lambda: file_of({**parts(pack(capsule())), "x": b""}), "does not hold what its manifest"),
    ("a member's name", lambda: with_member("../../etc/passwd", b"x"), "does not hold what its manifest"),
    ("a member missing", lambda: file_of({k: v for k, v in parts(pack(capsule())).items() if k != "steps.jsonl"}),
     "does not hold what its manifest"),
    ("no run", lambda: sealed({k: v for k, v in parts(pack(capsule())).items() if k != "run.json"}), "lacks run.json"),
    ("a run of a wrong type", lambda: with_member("run.json", b'{"id": ["run_1"]}'), "run.json that does not belong"),
    ("a run that is a list", lambda: with_member("run.json", b"[]"), "run.json that does not belong"),
    ("steps that are no JSON", lambda: with_member("steps.jsonl", b"{}\nnonsense"), "steps.jsonl that does not"),
    ("not UTF-8", lambda: with_member("logs.jsonl", b'{"at":1,"text":"\xff\xfe"}'), "logs.jsonl that does not"),
    ("a deep payload", lambda: with_member("run.json", b'{"id":"%s","input":%s}' % (RUN.encode(), b"[" * 50_000)),
     "run.json that does not belong"),
    ("an event of another run", lambda: with_member("events.jsonl", b'{"id":"a","runId":"run_2"}'), "several runs"),
    ("a step of another run", lambda: with_member("steps.jsonl", b'{"id":"a","runId":"run_2"}'), "several runs"),
    ("another run", lambda: sealed(parts(pack(capsule())), run_id="run_2"), "several runs"),
    ("negative size", lambda: sealed(parts(pack(capsule())), members={n: {"bytes": -1, "sha256": ""} for n in
     parts(pack(capsule())) if not n.startswith("capsule.")}), "more in|checksum"),
    ("packed otherwise", lambda: file_of(parts(pack(capsule())), zipfile.ZIP_BZIP2), "packed in a way"),
    ("two of one name", _doubled, "two members of one name"),
    ("very many members", lambda: file_of({str(n): b"" for n in range(2_000)}), "too many members"),
)  # fmt: skip


@pytest.mark.parametrize(("made", "said"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_a_file_that_is_no_capsule_is_refused_in_words(made: Callable[[], bytes], said: str) -> None:
    with pytest.raises(CapsuleError, match=said) as caught:
        unpack(made(), name=NAME)
    assert str(caught.value).startswith(NAME)


def test_a_newer_version_says_what_to_do_whatever_else_it_has() -> None:
    head = {"format": "ironflow-capsule", "version": 2, "made_by": "9.1", "run_id": RUN, "members": "different"}
    data = file_of({"capsule.json": json.dumps(head).encode(), "new.bin": b"x"})
    with pytest.raises(CapsuleError, match=r"has format 2, written by ironflow-lab 9\.1.*upgrade it"):
        unpack(data)
    assert run_in(data) == RUN


@pytest.mark.parametrize("name", ["run.json", "steps.jsonl", "events.jsonl", "logs.jsonl", "why.json"])
def test_one_changed_byte_is_noticed(name: str) -> None:
    contents = parts(pack(capsule()))
    at = len(contents[name]) // 2
    changed = contents[name][:at] + bytes([contents[name][at] ^ 1]) + contents[name][at + 1 :]
    with pytest.raises(CapsuleError, match=f"was changed after it was saved: {name}"):
        unpack(file_of({**contents, name: changed}))


def test_a_changed_manifest_is_noticed() -> None:
    contents = parts(pack(capsule()))
    contents["capsule.json"] = contents["capsule.json"].replace(b"abc123", b"abc124")
    with pytest.raises(CapsuleError, match=r"was changed after it was saved: capsule\.json"):
        unpack(file_of(contents))


def test_no_byte_of_the_file_can_be_turned_into_anything_but_an_error_or_the_same() -> None:
    data, whole = pack(capsule()), unpack(pack(capsule()))
    for at in range(0, len(data), max(1, len(data) // 150)):
        turned = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        try:
            found = unpack(turned)
        except CapsuleError:
            continue
        assert found == whole, at


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capsules, "LARGEST_WHOLE", 1_000_000)
    bomb = b'{"id":"%s","input":"%s"}' % (RUN.encode(), b"x" * 5_000_000)
    with pytest.raises(CapsuleError, match="unpacks to more than"):
        unpack(with_member("run.json", bomb))
    contents = {**parts(pack(capsule())), "run.json": bomb}
    lying = sealed(contents, members={
        name: {"bytes": 10, "sha256": ""} for name in contents if not name.startswith("capsule.")
    })  # fmt: skip
    read: list[int] = []
    plain = zipfile.ZipExtFile.read

    def counted(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        content = plain(self, n)
        read.append(len(content))
        return content

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    with pytest.raises(CapsuleError, match=r"more in run\.json than it may"):
        unpack(lying)
    assert max(read) < 10_000, "a member is read no further than it may be"


def test_many_small_values_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capsules, "MOST_VALUES", 1_000)
    data = with_member("run.json", b'{"id":"%s","input":[%s]}' % (RUN.encode(), b"{}," * 2_000 + b"{}"))
    with pytest.raises(CapsuleError, match="holds more than the 1,000 values"):
        unpack(data)
    with pytest.raises(CapsuleError, match="too large for a capsule"):
        pack(Capsule(recording=Recording(run=run(input=[{}] * 2_000))))


def test_too_large_a_file_is_refused_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack(capsule())
    monkeypatch.setattr(capsules, "LARGEST_FILE", len(data) - 1)
    with pytest.raises(CapsuleError, match="is larger than"):
        unpack(data)
    with pytest.raises(CapsuleError, match="too large for a capsule"):
        pack(capsule())


def test_a_packed_stream_that_breaks_is_an_error_of_ours() -> None:
    data = bytearray(pack(capsule()))
    at = data.find(b"steps.jsonl") + len("steps.jsonl") + 4
    data[at : at + 20] = b"\xff" * 20
    with pytest.raises(CapsuleError):
        unpack(bytes(data))
    assert zlib.crc32(bytes(data))


def test_it_shows_no_payload() -> None:
    assert SECRET not in repr(capsule())
    assert RunStatus("failed") not in repr(capsule())
