"""A node is moved from SQLite to PostgreSQL and back."""

from contextlib import closing
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.engines import TestServer, server_url
from builders.index import build_index, claim, make_ready, received, result_files, state_of, to
from config.settings import NodeSettings, Settings
from config.storage import StorageSettings
from dicom_node.index_move import WorkRunsError, move_storage
from dicom_node.machines import require_own_folder
from storage.active import ActiveLock
from storage.database import open_engine
from storage.errors import DataFolderInUseError, IndexNotEmptyError, IndexUnreachableError, SharedFolderError
from storage.index import Index
from storage.lifecycle import State
from storage.locks import lock_data_dir, lock_for_machine
from storage.migrations import migrate
from storage.moving import tables_of_index

pytestmark = pytest.mark.usefixtures("on_postgres")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A stopped node on SQLite with a study under way."""
    made = Settings(node=NodeSettings(ae_title="NODE", data_dir=tmp_path), storage=StorageSettings())
    migrate(made.database_url)
    with closing(Index(open_engine(made.database_url), now=FakeClock().now)) as index:
        index.record_received([received(patient_name="山田^太郎"), received("1.9")])
        make_ready(index)
        index.finish_succeeded(claim(index), result_files(), destinations=to("PACS"), why="fine")
    return made


def test_the_node_goes_on_where_it_was(settings: Settings, tmp_path: Path) -> None:
    """Every table is there, new rows come after the old ones, and the way back works."""
    report = move_storage(settings, server_url(tmp_path), dry_run=False)
    assert report.moved
    assert {table.name for table in report.tables} == {table.name for table in tables_of_index()}
    assert {table.name: table.rows for table in report.tables}["instance"] == 2
    with closing(build_index(tmp_path, FakeClock())) as index:
        index.record_received([received("1.10")])
        (delivery,) = index.due_deliveries(destination="PACS", limit=9)
        index.delivery_succeeded(delivery.delivery_id, "0x0000")
        assert state_of(index) is State.DELIVERED
    moved = settings.model_copy(update={"storage": StorageSettings(database_url=server_url(tmp_path))})
    back = f"sqlite:///{tmp_path}/back.sqlite"
    move_storage(moved, back, dry_run=False)
    with closing(Index(open_engine(back), now=FakeClock().now)) as index:
        assert state_of(index) is State.DELIVERED
        assert state_of(index, "1.10") is State.RECEIVING


def test_nothing_is_moved_into_rows(settings: Settings, tmp_path: Path) -> None:
    """The second move is refused; a look changes nothing."""
    assert not move_storage(settings, server_url(tmp_path), dry_run=True).moved
    move_storage(settings, server_url(tmp_path), dry_run=False)
    with pytest.raises(IndexNotEmptyError):
        move_storage(settings, server_url(tmp_path), dry_run=False)


@pytest.mark.parametrize("role", ["listen", "work", "retention", "web"])
def test_nothing_is_moved_while_a_process_of_the_node_runs(settings: Settings, tmp_path: Path, role: str) -> None:
    """What it wrote after the copy would be lost; the error says which one it is."""
    with lock_data_dir(settings.data_dir, role), pytest.raises(DataFolderInUseError, match=f"{role} runs as process"):
        move_storage(settings, server_url(tmp_path), dry_run=False)


def test_a_look_opens_the_database_to_move_to(settings: Settings, tmp_path: Path) -> None:
    """One that is filled is refused as the move would be; a file of SQLite is not made."""
    move_storage(settings, server_url(tmp_path), dry_run=False)
    with pytest.raises(IndexNotEmptyError):
        move_storage(settings, server_url(tmp_path), dry_run=True)
    move_storage(settings, f"sqlite:///{tmp_path}/new.sqlite", dry_run=True)
    assert not (tmp_path / "new.sqlite").exists()


@pytest.mark.parametrize("dry_run", [True, False])
def test_nothing_is_moved_where_the_shared_folder_is_not_mounted(tmp_path: Path, dry_run: bool) -> None:
    """There nobody's lock is seen; what the listeners of other machines wrote after the copy would be lost."""
    storage = StorageSettings(database_url=server_url(tmp_path), shared=True)
    here, elsewhere = (
        Settings(node=NodeSettings(data_dir=tmp_path / name, machine="a"), storage=storage)
        for name in ("mounted", "not-mounted")
    )
    require_own_folder(here)
    with lock_for_machine(here.data_dir, "listen", "b"):
        for settings, why in ((here, DataFolderInUseError), (elsewhere, SharedFolderError)):
            with pytest.raises(why):
                move_storage(settings, f"sqlite:///{tmp_path}/new.sqlite", dry_run=dry_run)
    assert not elsewhere.data_dir.exists()
    alone = here.model_copy(
        update={"node": elsewhere.node, "storage": StorageSettings(database_url=server_url(tmp_path))}
    )
    with pytest.raises(SharedFolderError, match="here too"):
        move_storage(alone, f"sqlite:///{tmp_path}/new.sqlite", dry_run=dry_run)
    assert move_storage(here, f"sqlite:///{tmp_path}/new.sqlite", dry_run=dry_run).moved is not dry_run


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_database_that_is_not_there_is_told_in_the_words_of_the_server(
    settings: Settings, postgres_server: TestServer, dry_run: bool
) -> None:
    """And not as a work that runs."""
    with pytest.raises(IndexUnreachableError, match='database "nowhere" does not exist'):
        move_storage(settings, postgres_server.server.url_of("nowhere"), dry_run=dry_run)


def test_a_lock_that_is_held_is_told_from_a_server_that_is_gone(settings: Settings, tmp_path: Path) -> None:
    """Of either database; a `work` of another machine holds it."""
    work = ActiveLock(server_url(tmp_path), name="work elsewhere")
    assert work.take()
    second = ActiveLock(server_url(tmp_path), name="second")
    assert (second.take(), second.trouble) == (False, None)
    with pytest.raises(WorkRunsError):
        move_storage(settings, server_url(tmp_path), dry_run=False)
    gone = ActiveLock(f"postgresql+psycopg://node@/x?host={tmp_path}/nowhere", name="third")
    assert (gone.take(), type(gone.trouble)) == (False, IndexUnreachableError)
    for lock in (work, second, gone):
        lock.release()
