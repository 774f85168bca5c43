"""What root makes by a command belongs to the user of the service, whose folder it is."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from builders.clock import FakeClock
from builders.kept_images import keep_images
from config.retention import RetentionSettings
from config.settings import NodeSettings, Settings
from dicom_node.audit.events import Party
from dicom_node.audit.trail import audit_trail
from dicom_node.configuring.file import locked
from dicom_node.configuring.history import ConfigHistory
from dicom_node.pack_store import PackStore
from dicom_node.reindex import reindex
from dicom_node.retention import Retention
from storage.database import open_engine
from storage.disk import give_to_owner, make_folder, open_file
from storage.index import Index
from storage.lifecycle import State
from storage.locks import lock_data_dir, lock_out_writers
from storage.migrations import migrate

SERVICE = 12345

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away: run the tests as root"),
]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Of a node that was stopped, with an old study; all of it belongs to its service, and is given no other owner."""
    data_dir = tmp_path / "data"
    made = Settings(node=NodeSettings(data_dir=data_dir), retention=RetentionSettings(days=1))
    for image in keep_images(data_dir, 1, 2):
        os.utime(data_dir / image.relative_path, (1e9, 1e9))
    for path in (data_dir, *data_dir.rglob("*")):
        os.chown(path, SERVICE, SERVICE)
    yield made
    paths = [data_dir, *data_dir.rglob("*")]
    assert [path for path in paths if (path.stat().st_uid, path.stat().st_gid) != (SERVICE, SERVICE)] == []
    assert len(paths) > 4


def test_an_index_made_anew_is_of_the_service(settings: Settings) -> None:
    """With the locks, and what was kept of the old one."""
    for _ in range(2):
        assert reindex(settings, clock=FakeClock(), anew=True).added == 2


def test_what_sqlite_lays_beside_an_open_index_is_of_the_service(settings: Settings) -> None:
    """The service writes on while the command runs."""
    migrate(settings.database_url)
    with closing(Index(open_engine(settings.database_url), now=FakeClock().now)) as index:
        index.beat("work", "")
        beside = [settings.data_dir / f"index.sqlite{suffix}" for suffix in ("-wal", "-shm")]
        assert {path.stat().st_uid for path in beside} == {SERVICE}


def test_retention_by_root_leaves_notes_and_report_of_the_service(settings: Settings) -> None:
    """And its lock, its audit trail, and the folder for what is being removed."""
    reindex(settings, clock=FakeClock())
    engine = open_engine(settings.database_url)
    with closing(Index(engine, now=FakeClock().now)) as index:
        assert index.find_studies()[0].state is State.SKIPPED
        clock = FakeClock()
        clock.advance(10 * 86_400)
        trail = audit_trail(settings, clock=clock)
        with mock.patch("dicom_node.retention.remove_files", return_value=0):
            assert Retention(settings, engine, clock=clock, trail=trail, by=Party(user_id="ROOT")).run() == 1
    assert list(settings.data_dir.glob("removals/*"))
    assert (settings.data_dir / "retention.json").is_file()


def test_versions_of_the_configuration_and_the_pack_in_use_are_of_the_service(settings: Settings) -> None:
    """As `ae add` and `model rollback` leave them."""
    ConfigHistory(settings.data_dir).keep("[node]\n", at=FakeClock().now(), by="root", what="test")
    PackStore(settings.data_dir).use("pack")
    with locked(settings.data_dir / "node.toml"):
        pass


def test_a_lock_that_root_left_is_of_the_service_after_the_next_command(settings: Settings) -> None:
    """Its processes could not start beside one that they may not open."""
    left = settings.data_dir / "work.lock"
    left.touch(mode=0o600)
    with lock_data_dir(settings.data_dir, "work"):
        assert left.stat().st_uid == SERVICE
    with lock_out_writers(settings.data_dir):
        pass


def test_what_belongs_to_somebody_stays_theirs_and_a_link_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    """Root must not be led to give away what is not of the folder."""
    other, secret = settings.data_dir / "other", tmp_path / "secret"
    other.touch()
    os.chown(other, SERVICE + 1, SERVICE)
    secret.touch()
    link = settings.data_dir / "link"
    link.symlink_to(secret)
    give_to_owner(other)
    give_to_owner(link)
    assert (other.stat().st_uid, secret.stat().st_uid, link.lstat().st_uid) == (SERVICE + 1, 0, SERVICE)
    other.unlink()
    link.unlink()
    os.close(open_file(settings.data_dir / "file", os.O_WRONLY))


def test_in_a_folder_of_root_everything_stays_of_root(tmp_path: Path) -> None:
    """As in a container that runs all as root."""
    make_folder(tmp_path / "data" / "objects")
    with lock_data_dir(tmp_path / "data", "work"):
        assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {0}


def test_root_that_may_not_give_keeps_what_it_made(settings: Settings) -> None:
    """In a container without CAP_CHOWN the node runs on."""
    with mock.patch("storage.disk.os.chown", side_effect=PermissionError), lock_data_dir(settings.data_dir, "work"):
        assert (settings.data_dir / "work.lock").stat().st_uid == 0
    give_to_owner(settings.data_dir / "work.lock")
