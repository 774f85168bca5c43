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


def network_file_system_of(folder: Path, *, mounts: Path = _MOUNTS) -> str:
    """Name of the network file system that a folder is on; empty where it is on none, or where that is not known.

    Args:
        folder: It need not exist yet.
        mounts: The table of the system.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place, kind = folder.resolve(), ""
    longest = -1
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields.split()[4]))
        # Of two mounts on one point the later one is seen.
        if place.is_relative_to(point) and len(point.parts) >= longest:
            longest, kind = len(point.parts), rest.split()[0]
    return kind if kind in NETWORK_FILE_SYSTEMS else ""
