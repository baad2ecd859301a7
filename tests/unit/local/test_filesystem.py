"""Which mount a path is on, and which mounts are shared over a network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ironflow_lab.local import filesystem
from ironflow_lab.local.filesystem import Mount

LINUX = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:50 / /home rw,relatime shared:1 master:2 - nfs4 filer:/export/home rw,vers=4.2
41 40 0:51 / /home/ann/my\040disk rw - ext4 /dev/sdb1 rw
42 27 0:52 / /mnt/sshfs rw,nosuid - fuse.sshfs ann@host:/data rw,user_id=0
43 27 0:53 / /data rw - cifs //filer/data rw
44 43 0:54 / /data rw - xfs /dev/sdc rw
a line that is not a mount
"""
MACOS = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
//ann@filer/share on /Volumes/my share (smbfs, nodev, nosuid, mounted by ann)
filer:/export on /Volumes/nfs (nfs, nodev, nosuid)
ann@host:/data on /Volumes/far (macfuse, nodev, nosuid, synchronous, mounted by ann)
/dev/disk5 on /Volumes/ntfs (macfuse, local, synchronous)
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srv/x", "ext4"),
        ("/homework", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann/project/.ironflow", "nfs4"),
        ("/home/ann/my disk/.ironflow", "ext4"),
        ("/home/ann/my disks", "nfs4"),
        ("/mnt/sshfs/a", "fuse.sshfs"),
        ("/data/a", "xfs"),
    ],
)
def test_linux_names_the_deepest_and_last_mount(path: str, kind: str) -> None:
    found = filesystem.holder(path, filesystem.parse_mountinfo(LINUX))
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/Users/ann/project", "apfs", False),
        ("/Volumes/my share/project", "smbfs", True),
        ("/Volumes/nfs/project", "nfs", True),
        ("/Volumes/far/project", "macfuse", True),
        ("/Volumes/ntfs/project", "macfuse", False),
    ],
)
def test_macos_mounts(path: str, kind: str, network: bool) -> None:
    found = filesystem.holder(path, filesystem.parse_mount(MACOS))
    assert found is not None
    assert (found.kind, filesystem.is_network(found)) == (kind, network)


@pytest.mark.parametrize(
    ("kind", "source", "network"),
    [
        ("ext4", "/dev/vda", False),
        ("overlay", "overlay", False),
        ("tmpfs", "tmpfs", False),
        ("virtiofs", "share", False),
        ("fuseblk", "/dev/sdb1", False),
        ("fuse.mergerfs", "a:b", False),
        ("nfs", "filer:/x", True),
        ("nfs4", "filer:/x", True),
        ("cifs", "//filer/x", True),
        ("smb3", "//filer/x", True),
        ("ceph", "1.2.3.4:/", True),
        ("vboxsf", "share", True),
        ("fuse.sshfs", "host:", True),
        ("fuse.gcsfuse", "bucket", True),
        ("fuse.s3fs", "s3fs", True),
        ("9p", "C:\\", True),
        ("9p", "none", False),
    ],
)
def test_which_kinds_are_shared(kind: str, source: str, network: bool) -> None:
    assert filesystem.is_network(Mount(point="/", kind=kind, source=source)) is network


def test_an_escaped_backslash_is_one_backslash() -> None:
    mounts = filesystem.parse_mountinfo("9 1 0:1 / /mnt/c rw - 9p C:\\134 rw,trans=fd")
    assert mounts == [Mount(point="/mnt/c", kind="9p", source="C:\\")]


def test_no_mount_holds_a_path_when_none_are_known() -> None:
    assert filesystem.holder("/a", []) is None


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that the Linux mount table, read from a file, puts on nfs."""
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {tmp_path.resolve()}/far rw - nfs filer:/ rw\n")
    monkeypatch.setattr(filesystem, "_MOUNTINFO", table)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path / "far"


def test_the_table_is_read_for_a_path_that_does_not_exist_yet(mounted: Path) -> None:
    assert filesystem.network_kind(mounted / "project" / ".ironflow") == "nfs"
    assert filesystem.network_kind(mounted.parent / "near") == ""


def test_a_link_counts_where_it_leads(mounted: Path) -> None:
    mounted.mkdir()
    link = mounted.parent / "link"
    link.symlink_to(mounted)
    assert filesystem.network_kind(link / "project") == "nfs"


def test_a_table_that_cannot_be_read_refuses_nothing(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "_MOUNTINFO", mounted / "missing")
    assert filesystem.network_kind(mounted) == ""
