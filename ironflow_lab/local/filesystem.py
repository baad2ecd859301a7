"""Which file system a path is on, and whether it is shared over a network.

SQLite's write-ahead log needs memory shared by all its processes, which network file systems and
the shared folders of virtual machines do not give.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

_MOUNTINFO = Path("/proc/self/mountinfo")
# fmt: off
_NETWORK = frozenset({
    "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "ftp", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3",
    "smbfs", "vboxsf", "vmhgfs", "webdav",
})
# The part after "fuse." in Linux's names; other FUSE file systems are local disks.
_NETWORK_FUSE = frozenset({
    "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "cephfs", "curlftpfs", "davfs", "gcsfuse",
    "glusterfs", "goofys", "juicefs", "mount-s3", "mountpoint-s3", "nfs", "rclone", "s3fs",
    "smbnetfs", "sshfs", "vmhgfs-fuse",
})
# fmt: on
_MACOS_FUSE = frozenset({"macfuse", "osxfuse", "fuse-t"})
_MOUNT_LINE = re.compile(r"(?P<source>.*?) on (?P<point>/.*) \((?P<kind>[^,()]+)[^()]*\)")
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One mounted file system: where, its kind, and what is mounted there."""

    point: str
    kind: str
    source: str


def parse_mountinfo(text: str) -> list[Mount]:
    """Return the mounts of Linux's `/proc/self/mountinfo`, in the order they were made."""
    found = []
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        fields, rest = head.split(" "), tail.split(" ")
        if len(fields) >= 5 and len(rest) >= 2:
            found.append(Mount(point=_plain(fields[4]), kind=rest[0], source=_plain(rest[1])))
    return found


def parse_mount(text: str) -> list[Mount]:
    """Return the mounts that macOS's `mount` prints, in the order they were made."""
    lines = (_MOUNT_LINE.fullmatch(line) for line in text.splitlines())
    return [Mount(point=m["point"], kind=m["kind"].strip(), source=m["source"]) for m in lines if m]


def holder(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """Return the mount an absolute path without links is on: the deepest, and of those the last."""
    best: Mount | None = None
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def is_network(mount: Mount) -> bool:
    """Return whether other machines, or the host of this virtual one, may share the mount."""
    if mount.kind == "9p":
        # Sandboxes present their own disk as a 9p without a source; shares name what they share.
        return mount.source not in ("none", "")
    if mount.kind in _MACOS_FUSE:
        return "@" in mount.source or ":" in mount.source
    if mount.kind.startswith("fuse."):
        return mount.kind.removeprefix("fuse.") in _NETWORK_FUSE
    return mount.kind in _NETWORK


def network_kind(path: Path) -> str:
    """Return the kind of network file system a path is on, or "" for a local disk.

    The path need not exist.
    """
    mount = holder(os.path.realpath(path), _mounts())
    return mount.kind if mount is not None and is_network(mount) else ""


def _mounts() -> list[Mount]:
    try:
        if sys.platform == "darwin":
            told = subprocess.run(["/sbin/mount"], capture_output=True, check=True, timeout=5)
            return parse_mount(os.fsdecode(told.stdout))
        return parse_mountinfo(os.fsdecode(_MOUNTINFO.read_bytes()))
    except (OSError, subprocess.SubprocessError):
        return []


def _plain(field: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field)
