"""An index on a server that does not know of the files that are there."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from builders.clock import FakeClock
from builders.engines import TestServer, server_url
from builders.index import build_index
from builders.kept_images import keep_images
from config.settings import NodeSettings, Settings
from config.storage import StorageSettings
from dicom_node.check import Outcome, check_index
from dicom_node.index_move import move_storage
from dicom_node.machines import require_own_folder
from dicom_node.reindex import _Filing, reindex
from storage.database import open_engine
from storage.errors import (
    DataFolderInUseError,
    IndexEmptyError,
    IndexHalfFilledError,
    NoIndexFileError,
    SharedFolderError,
)
from storage.files import ResultStore
from storage.lifecycle import State
from storage.locks import lock_for_machine
from storage.lost_index import refuse_lost_index
from storage.verifying import verify

pytestmark = pytest.mark.usefixtures("on_postgres")

STUDY = "1.2.3.4"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a node with five images, whose database is empty."""
    data_dir = tmp_path / "data"
    keep_images(data_dir, *range(5))
    return Settings(node=NodeSettings(data_dir=data_dir), storage=StorageSettings(database_url=server_url(data_dir)))


def shared(settings: Settings, data_dir: Path) -> Settings:
    """The settings of a machine that shares a data folder with others."""
    return settings.model_copy(
        update={
            "node": settings.node.model_copy(update={"machine": "a", "data_dir": data_dir}),
            "storage": settings.storage.model_copy(update={"shared": True}),
        }
    )


def files_and_bytes(settings: Settings) -> dict[str, bytes]:
    """The received files."""
    return {path.name: path.read_bytes() for path in settings.data_dir.glob("objects/*/*.dcm")}


def unknown_files(settings: Settings) -> int:
    """How many `storage verify` names."""
    engine = open_engine(settings.database_url)
    try:
        report = verify(engine, settings.data_dir)
    finally:
        engine.dispose()
    assert report.passed
    return len(report.unindexed)


def refused(settings: Settings) -> None:
    """The start of a node."""
    refuse_lost_index(settings.database_url, settings.data_dir)


def test_a_node_does_not_start_on_an_empty_database_beside_files(settings: Settings) -> None:
    """It would answer for none of them; the error names what to do, and `check` says it before."""
    with pytest.raises(IndexEmptyError, match="storage reindex"):
        refused(settings)
    found = check_index(settings)
    assert (found.outcome, "check database_url" in found.detail) == (Outcome.FAILED, True)


def test_a_database_without_tables_is_empty_too(settings: Settings, postgres_server: TestServer) -> None:
    """As one that was just created."""
    with pytest.raises(IndexEmptyError):
        refuse_lost_index(postgres_server.server.url, settings.data_dir)


def test_an_index_in_use_without_a_study_is_not_lost(settings: Settings) -> None:
    """Retention deleted the last study and its files go next, or the first object never got its row; `check` warns."""
    with closing(build_index(settings.data_dir, FakeClock())) as index:
        index.beat("listen", "")
    refused(settings)
    found = check_index(settings)
    assert (found.outcome, "storage verify" in found.detail) == (Outcome.WARNING, True)


def test_the_first_start_of_a_node_is_no_loss(settings: Settings, tmp_path: Path) -> None:
    """Without files there is nothing to know."""
    refused(settings.model_copy(update={"node": NodeSettings(data_dir=tmp_path / "empty")}))


def test_an_empty_database_is_filled_from_the_files(settings: Settings) -> None:
    """Then the node starts; a study that had a result is not analysed again by itself; no file is touched."""
    ResultStore(settings.data_dir).folder_of(STUDY).mkdir(parents=True)
    before = files_and_bytes(settings)
    report = reindex(settings, clock=FakeClock())
    assert (report.rebuilt, report.added, report.old_index, report.not_run_again) == (True, 5, None, 1)
    assert (unknown_files(settings), files_and_bytes(settings)) == (0, before)
    refused(settings)
    with closing(build_index(settings.data_dir, FakeClock())) as index:
        view = index.study(STUDY)
    assert view is not None
    assert (view.instance_count, view.state) == (5, State.SKIPPED)


@pytest.mark.parametrize("ended_in", ["filing", "keeping"])
def test_a_reindex_that_was_killed_half_way_goes_on(
    settings: Settings, ended_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it came to its end the node does not start: nothing says yet which studies are not to be analysed."""
    ResultStore(settings.data_dir).folder_of(STUDY).mkdir(parents=True)
    with monkeypatch.context() as killed:
        killed.setattr("dicom_node.reindex._BATCH", 2)
        step = "_recorded" if ended_in == "filing" else "keep_from_running"
        whole, calls = getattr(_Filing, step), []

        def end_at_the_second(*arguments: Any) -> Any:
            calls.append(arguments)
            if len(calls) == (2 if ended_in == "filing" else 1):
                raise KeyboardInterrupt
            return whole(*arguments)

        killed.setattr(_Filing, step, end_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            reindex(settings, clock=FakeClock())
    assert unknown_files(settings) == (3 if ended_in == "filing" else 0)
    with pytest.raises(IndexHalfFilledError, match="goes on where it was"):
        refused(settings)
    with pytest.raises(IndexHalfFilledError):
        move_storage(settings, f"sqlite:///{settings.data_dir}/index.sqlite", dry_run=True)
    found = check_index(settings)
    assert (found.outcome, "storage reindex" in found.detail) == (Outcome.FAILED, True)
    report = reindex(settings, clock=FakeClock())
    assert (report.rebuilt, report.added, report.not_run_again) == (True, 3 if ended_in == "filing" else 0, 1)
    refused(settings)
    with closing(build_index(settings.data_dir, FakeClock())) as index:
        view = index.study(STUDY)
        assert index.heartbeats() == ()
    assert view is not None
    assert (view.instance_count, view.state) == (5, State.SKIPPED)


def test_a_sound_index_learns_of_the_files_that_verify_names(settings: Settings) -> None:
    """Those alone; its studies stay what they are."""
    reindex(settings, clock=FakeClock())
    keep_images(settings.data_dir, 98, 99)
    assert unknown_files(settings) == 2
    report = reindex(settings, clock=FakeClock())
    assert (report.rebuilt, report.added, report.removed) == (False, 2, 0)
    assert unknown_files(settings) == 0


def test_an_index_on_a_server_is_not_made_anew(settings: Settings) -> None:
    """There is no file to put aside; nothing is added either."""
    with pytest.raises(NoIndexFileError):
        reindex(settings, clock=FakeClock(), anew=True)
    assert unknown_files(settings) == 5


def test_no_machine_may_listen_meanwhile(settings: Settings) -> None:
    """On a shared folder the listener of any machine is in the way."""
    with lock_for_machine(settings.data_dir, "listen", "b"), pytest.raises(DataFolderInUseError):
        reindex(shared(settings, settings.data_dir), clock=FakeClock())


def test_only_the_folder_that_all_machines_share_is_taken_in(settings: Settings, tmp_path: Path) -> None:
    """Of files elsewhere, as where the folder is not mounted, no other machine would find one."""
    here = shared(settings, settings.data_dir)
    reindex(here, clock=FakeClock())
    require_own_folder(here)
    keep_images(tmp_path / "elsewhere", 77)
    with pytest.raises(SharedFolderError):
        reindex(shared(settings, tmp_path / "elsewhere"), clock=FakeClock())
    assert reindex(here, clock=FakeClock()).added == 0


@pytest.mark.filterwarnings("ignore:The value length", "ignore:Invalid value for VR LO")
def test_what_no_entry_of_the_index_holds_is_named_and_the_others_are_filed(settings: Settings) -> None:
    """An index of SQLite once took an ID that long; its file stays."""
    text = "".join(chr(0x4E00 + number * number * 31 % 20_000) for number in range(1024))
    (kept,) = keep_images(settings.data_dir, 9, study="9.9", PatientID=text, SpecificCharacterSet="ISO_IR 192")
    report = reindex(settings, clock=FakeClock())
    assert (report.added, report.unreadable) == (5, (kept.relative_path,))
    assert (settings.data_dir / kept.relative_path).exists()
