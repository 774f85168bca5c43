"""Moves the index of a stopped node to another database."""

from contextlib import ExitStack
from dataclasses import dataclass

from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.index import open_index_engine
from dicom_node.machines import refuse_folder_of_others
from storage.active import ActiveLock
from storage.address import is_sqlite, parse_address
from storage.errors import IndexHalfFilledError
from storage.locks import lock_out_writers
from storage.lost_index import is_half_filled
from storage.moving import MovedTable, counts_of_index, move_index, refuse_filled_target


class WorkRunsError(NodeError):
    """A `work` runs on the database; stop every process of the node first, on every machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveReport:
    """What `storage move --json` prints."""

    moved: bool
    """False where it was only looked."""
    setting: str
    """The line of the table [storage] that the node needs from now on; without the password."""
    tables: tuple[MovedTable, ...]


def move_storage(settings: Settings, target_url: str, *, dry_run: bool) -> MoveReport:
    """Copy the index to another database and compare; the old one stays as it is.

    Args:
        settings: Of the node, which must not run.
        target_url: Of SQLAlchemy, as `database_url` has it.
        dry_run: Only look what there is, and whether the target takes it.

    Raises:
        NoIndexError: There is nothing to move.
        IndexHalfFilledError: Not all of it is there: a `storage reindex` is to be given again.
        DataFolderInUseError: The node runs; the role that does is named.
        SharedFolderError: The data folder is not that of the index, for instance because it is not mounted.
        WorkRunsError: A work of another machine runs.
        StorageError: One of the databases refuses, or the target is not empty.
    """
    open_index_engine(settings).dispose()
    if is_half_filled(settings.database_url):
        raise IndexHalfFilledError
    # Whoever runs has its lock in the folder of the index: another folder would show nobody.
    refuse_folder_of_others(settings)
    shown = parse_address(target_url).render_as_string(hide_password=True)
    setting = f'database_url = "{shown}"'
    with ExitStack() as stopped:
        # What any of them wrote after the copy began would be in the old index alone.
        stopped.enter_context(lock_out_writers(settings.data_dir))
        refuse_filled_target(target_url)
        if dry_run:
            return MoveReport(moved=False, setting=setting, tables=counts_of_index(settings.database_url))
        for url in (settings.database_url, target_url):
            _keep_from_working(stopped, url)
        tables = move_index(settings.database_url, target_url)
    return MoveReport(moved=True, setting=setting, tables=tables)


def _keep_from_working(stopped: ExitStack, url: str) -> None:
    """Be the active one on a server for as long as it is moved."""
    if is_sqlite(parse_address(url)):
        return
    lock = ActiveLock(url, name="dicom-node storage move")
    stopped.callback(lock.release)
    if not lock.take():
        if lock.trouble:
            raise lock.trouble
        raise WorkRunsError(WorkRunsError.__doc__)
