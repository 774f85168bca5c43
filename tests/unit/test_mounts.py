"""An index on a network file system is refused."""

from pathlib import Path
from unittest import mock

import pytest

from storage.database import open_engine
from storage.errors import NetworkFolderError
from storage.mounts import network_file_system_of

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:50 / /srv/share rw,relatime shared:2 master:1 - nfs4 filer:/export rw,vers=4.2
41 40 8:1 / /srv/share/local rw - xfs /dev/sdb1 rw
42 22 0:51 / /mnt/with\040space rw - cifs //filer/images rw
43 22 8:2 / /mnt/twice rw - ext4 /dev/sdc1 rw
44 43 0:52 / /mnt/twice rw - fuse.sshfs host: rw
""".lstrip()


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A table of mounts as Linux writes it."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    return table


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/dicom-node", ""),
        ("/srv/share/dicom-node", "nfs4"),
        ("/srv/share", "nfs4"),
        ("/srv/shared", ""),
        ("/srv/share/local/data", ""),
        ("/mnt/with space/data", "cifs"),
        ("/mnt/twice/data", "fuse.sshfs"),
    ],
)
def test_mount_decides(mounts: Path, folder: str, kind: str) -> None:
    """The innermost mount counts, the later one of two, whatever its name holds."""
    assert network_file_system_of(Path(folder), mounts=mounts) == kind


def test_unknown_mounts_refuse_nothing(tmp_path: Path) -> None:
    """A system that does not say what is mounted is trusted."""
    assert network_file_system_of(tmp_path, mounts=tmp_path / "missing") == ""


def test_index_on_a_network_file_system_is_not_opened(mounts: Path) -> None:
    """The message says where it is and what to do; PostgreSQL needs no local folder."""
    with mock.patch.dict(network_file_system_of.__kwdefaults__, mounts=mounts):
        with pytest.raises(NetworkFolderError, match=r"PostgreSQL.*/srv/share/node is on nfs4"):
            open_engine("sqlite:////srv/share/node/index.sqlite")
        open_engine("postgresql+psycopg://nobody@localhost/index").dispose()
