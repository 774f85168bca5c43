"""Says what kind of file system a folder is on (proc_pid_mountinfo(5))."""

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")
"""Space, tab, newline and backslash of a mount point are octal there."""

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "fuse.ceph-fuse",
        "fuse.davfs2",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "gpfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)
"""Where locks and shared memory may not reach every process (sqlite.org/howtocorrupt.html, 2.1; sqlite.org/wal.html)."""

SHAREABLE = frozenset(
    {
        "beegfs",
        "ceph",
        "fuse.ceph-fuse",
        "fuse.glusterfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
    }
)
"""Of these, those that keep a file once fsync returned, rename at once for all machines, and can carry locks between them."""

_LOCAL_LOCKS = frozenset({"nolock", "local_lock=all", "local_lock=flock", "localflock"})
"""Mount options with which a lock is seen by one machine alone (nfs(5), mount.lustre(8))."""


def network_file_system_of(folder: Path, *, mounts: Path = _MOUNTS) -> str:
    """Name of the network file system that a folder is on; empty where it is on none, or where that is not known.

    Args:
        folder: It need not exist yet.
        mounts: The table of the system.
    """
    kind, _ = _mount_of(folder, mounts)
    return kind if kind in NETWORK_FILE_SYSTEMS else ""


def why_not_shareable(folder: Path, *, mounts: Path = _MOUNTS) -> str:
    """Why machines may not share what is in a folder; empty where they may, or where that is not known.

    A file system of this machine passes: two processes of one machine may share it.

    Args:
        folder: It need not exist yet.
        mounts: The table of the system.
    """
    kind, options = _mount_of(folder, mounts)
    if kind in NETWORK_FILE_SYSTEMS - SHAREABLE:
        return f"{folder} is on {kind}, which does not keep what was written as sharing needs it"
    local = sorted(_LOCAL_LOCKS & options)
    return f"{folder} is on {kind}, mounted with {local[0]}: its locks reach no other machine" if local else ""


def _mount_of(folder: Path, mounts: Path) -> tuple[str, frozenset[str]]:
    """Kind of the file system, and the options of its mount."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", frozenset()
    place, found = folder.resolve(), ("", frozenset[str]())
    longest = -1
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields.split()[4]))
        # Of two mounts on one point the later one is seen.
        if place.is_relative_to(point) and len(point.parts) >= longest:
            longest, (kind, _, *more) = len(point.parts), rest.split(maxsplit=2)
            found = kind, frozenset(",".join((fields.split()[5], *more)).split(","))
    return found
