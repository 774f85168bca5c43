"""Several machines on one data folder: locks, files that arrive, the mark of the folder, signs of life."""

import os
import time
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, database_url, received
from config.storage import StorageSettings
from dicom_node.alerts.at_once import silent_processes
from dicom_node.listen.carrying import AssociationLedger
from dicom_node.machines import association_prefix
from storage.database import open_engine
from storage.errors import DataFolderInUseError, SharedFolderError
from storage.files import ObjectStore
from storage.locks import lock_data_dir, lock_for_machine
from storage.migrations import migrate
from storage.mounts import why_not_shareable
from storage.shared_folder import MARK, join_shared_folder, refuse_foreign_folder, refuse_other_folder

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:50 / /srv/nfs rw,relatime - nfs4 filer:/export rw,vers=4.2,hard,local_lock=none
41 22 0:51 / /srv/local-locks rw,relatime - nfs filer:/export rw,vers=3,local_lock=flock
42 22 0:52 / /srv/smb rw,relatime - cifs //filer/images rw
43 22 0:53 / /srv/lustre rw,localflock - lustre mgs:/fs rw
""".lstrip()


def test_sharing_needs_an_index_on_a_server() -> None:
    """SQLite would be damaged."""
    with pytest.raises(ValueError, match="needs an index on PostgreSQL"):
        StorageSettings(shared=True)
    assert StorageSettings(shared=True, database_url="postgresql+psycopg://node@db/node").shared


def test_listeners_of_two_machines_share_a_folder(tmp_path: Path) -> None:
    """One of each name, and none that shares with nobody."""
    with lock_for_machine(tmp_path, "listen", "a"), lock_for_machine(tmp_path, "listen", "b"):
        with pytest.raises(DataFolderInUseError), lock_for_machine(tmp_path, "listen", "a"):
            pass
        with pytest.raises(DataFolderInUseError), lock_data_dir(tmp_path, "listen"):
            pass
    with (
        lock_for_machine(tmp_path, "listen", ""),
        pytest.raises(DataFolderInUseError),
        lock_for_machine(tmp_path, "listen", "a"),
    ):
        pass


def test_a_start_leaves_what_arrives_elsewhere(tmp_path: Path) -> None:
    """Only what was left by the same owner goes, and what has no living owner any more."""
    here, there = ObjectStore(tmp_path, owner="listen-a"), ObjectStore(tmp_path, owner="listen-b")
    incoming = tmp_path / "incoming"
    there.new_part()
    (old,) = incoming.iterdir()
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    there.new_part()
    (arriving,) = set(incoming.iterdir()) - {old}
    here.new_part()
    (incoming / "0123.part").touch()
    assert here.sweep() == 3
    assert list(incoming.iterdir()) == [arriving]


def test_a_start_ends_the_associations_of_its_own_machine(tmp_path: Path) -> None:
    """Those of another machine go on."""
    index = build_index(tmp_path, FakeClock())
    ledgers = {name: AssociationLedger(index, prefix=association_prefix(name)) for name in "ab"}
    names = {name: ledger.begin() for name, ledger in ledgers.items()}
    index.record_received([received(number=number, association=one) for number, one in enumerate(names.values())])
    index.end_associations(association_prefix("a"))
    open_now = [one.association for one in index.carrying_associations() if one.ended_at is None]
    assert open_now == [names["b"]]
    assert max(map(len, names.values())) <= 32


def test_every_machine_has_the_same_folder(tmp_path: Path) -> None:
    """One where it is not mounted takes nothing."""
    engine = open_engine(database_url(tmp_path))
    migrate(database_url(tmp_path))
    first, empty, foreign = (tmp_path / name for name in ("first", "empty", "foreign"))
    join_shared_folder(engine, first)
    join_shared_folder(engine, first)
    with pytest.raises(SharedFolderError, match="is it mounted"):
        join_shared_folder(engine, empty)
    foreign.mkdir()
    (foreign / MARK).write_text("0" * 32)
    with pytest.raises(SharedFolderError, match="of other machines"):
        join_shared_folder(engine, foreign)
    foreign.joinpath(MARK).write_bytes((first / MARK).read_bytes())
    with pytest.raises(SharedFolderError, match="every machine must have the folder at"):
        join_shared_folder(engine, foreign)
    refuse_foreign_folder(engine, first)
    with pytest.raises(SharedFolderError, match="here too"):
        refuse_foreign_folder(engine, empty)
    engine.dispose()


def test_an_index_that_names_no_shared_folder_refuses_none(tmp_path: Path) -> None:
    """Neither one of a version that knew none, nor one that no machine has joined yet; a look joins nothing."""
    engine = open_engine(database_url(tmp_path))
    for _ in ("not made yet", "not joined yet"):
        refuse_other_folder(engine, tmp_path)
        refuse_foreign_folder(engine, tmp_path)
        migrate(database_url(tmp_path))
    assert not (tmp_path / MARK).exists()
    join_shared_folder(engine, tmp_path)
    with pytest.raises(SharedFolderError, match="is it mounted"):
        refuse_other_folder(engine, tmp_path / "elsewhere")
    engine.dispose()


def test_the_folder_without_the_files_does_not_become_the_shared_one(tmp_path: Path) -> None:
    """A machine that starts first without its mount would split the node in two."""
    with_files = received()
    build_index(tmp_path, FakeClock()).record_received([with_files])
    engine = open_engine(database_url(tmp_path))
    with pytest.raises(SharedFolderError, match="has not the files"):
        join_shared_folder(engine, tmp_path / "empty")
    (tmp_path / with_files.relative_path).parent.mkdir(parents=True)
    (tmp_path / with_files.relative_path).touch()
    join_shared_folder(engine, tmp_path)
    engine.dispose()


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("/var/lib/dicom-node", ""),
        ("/srv/nfs/dicom-node", ""),
        ("/srv/local-locks/data", "local_lock=flock"),
        ("/srv/smb/data", "on cifs"),
        ("/srv/lustre/data", "localflock"),
    ],
)
def test_file_systems_that_do_not_hold_the_promise_are_refused(tmp_path: Path, folder: str, why: str) -> None:
    """Their name, or the option of the mount, is in the refusal."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    said = why_not_shareable(Path(folder), mounts=table)
    assert (why in said) and bool(why) == bool(said)


def test_each_machine_leaves_its_own_sign_of_life(tmp_path: Path) -> None:
    """One that is silent is an alert; the active work speaks for all; a machine taken out is forgotten after days."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    for machine in "ab":
        index.beat("listen", "", machine=machine)
        index.beat("work", "", machine=machine)
    clock.advance(600)
    for process in ("listen", "work"):
        index.beat(process, "", machine="b")
    beats = index.heartbeats()
    assert [beat.words for beat in beats] == ["listen on a", "listen on b", "work on b"]
    assert [subject for subject, _ in silent_processes(beats, now=clock.now())] == ["listener silent: a"]
    clock.advance(8 * 86400)
    index.beat("listen", "", machine="b")
    assert [beat.words for beat in index.heartbeats()] == ["listen on b", "work on b"]
