"""Makes the index anew from the received files, or adds to it those that it does not know."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pydicom.errors import InvalidDicomError

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.file_header import read_file_header
from dicom_node.listen.errors import NotUnderstoodError
from dicom_node.listen.header import Header
from dicom_node.machines import require_own_folder
from dicom_node.reindex_keeping import Kept, keep_from_running
from storage.database import open_engine
from storage.disk import disk_errors, sha256_of
from storage.errors import IndexFailedError, NoIndexFileError, StorageError
from storage.files import ResultStore
from storage.former_index import FormerIndex, read_former_index
from storage.identity import fits_index
from storage.index import Index
from storage.locks import lock_out_writers
from storage.lost_index import (
    being_filled,
    index_file,
    is_damaged,
    is_half_filled,
    is_missing,
    knows_study,
    put_in_place,
)
from storage.migrations import migrate
from storage.records import ReceivedInstance, Recorded
from storage.removal_notes import Asked, finish_removals
from storage.removals import bring_back, paths_to_be_removed, remove
from storage.verifying import unindexed_files

_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ReindexReport:
    """What `storage reindex --json` prints."""

    rebuilt: bool
    """Whether the index was made anew, or filled on a server; false where it is sound and only took what it did not know."""
    old_index: Path | None
    """Where the index of before is kept; null where there was none, and where it stays."""
    added: int
    """Files that the index learnt of; where one that was interrupted went on, those of this time."""
    unreadable: tuple[str, ...]
    """Files that are damaged, no instance of a study, or of a Patient ID too long for a server, as paths below the data folder."""
    not_run_again: int
    """Studies that had a result: they are kept, compared with, and analysed again only when asked."""
    not_run_as_before: int
    """Studies without one that were fetched, skipped, or of a batch that sends nothing, as the old index says."""
    not_run_unknown: int
    """Studies without one whose last image came more than a day ago, and of which no index says what was to become of them."""
    removed: int
    """Files and folders that retention had begun to delete: they are gone now, and not taken in again."""


def reindex(settings: Settings, *, clock: Clock, anew: bool = False) -> ReindexReport:
    """Bring index and files together again; the old index is kept, and so is every file but those of deleted studies.

    A sound index learns of the files that it does not know, and so does any on a database server. One of SQLite that is
    missing or damaged is made anew; what was in it beside the files (history, deliveries, decisions about patients) is in
    the old one alone.

    Args:
        settings: Of the node, no process of which may run: its pages write too, and would go on in the old index.
        clock: For the history.
        anew: Make a sound index anew as well.

    Raises:
        DataFolderInUseError: The node runs; the role that does is named.
        NoIndexFileError: The index is on a database server, which is not made anew.
        SharedFolderError: The data folder is not that of the index on the server.
        StorageError: Disk or index refuse.
    """
    url, data_dir = settings.database_url, settings.data_dir
    database = index_file(url)
    with lock_out_writers(data_dir):
        bring_back(data_dir)
        if database is None:
            return _added_on_server(settings, clock, anew=anew)
        is_gone = is_missing(url)
        is_lost = is_gone or is_damaged(url)
        if anew or is_lost:
            removed = finish_removals(data_dir, remove=remove, are_rows_gone=_asked_of("" if is_lost else url))
            former = FormerIndex() if is_gone else read_former_index(url, is_sound=not is_lost)
            return replace(_made_anew(database, data_dir, clock, former=former), removed=removed)
        with _opened(url, clock) as index:
            filing = _Filing(data_dir, clock)
            filing.add(index, _unindexed(url, data_dir))
    return filing.report(rebuilt=False)


def _added_on_server(settings: Settings, clock: Clock, *, anew: bool) -> ReindexReport:
    """What an index on a server did not know, added to it; all that is there where it knows no study, or not all yet."""
    if anew:
        raise NoIndexFileError
    url, data_dir = settings.database_url, settings.data_dir
    is_filled = knows_study(url) and not is_half_filled(url)
    filing = _Filing(data_dir, clock)
    with _opened(url, clock) as index:
        # Before anything is taken from the folder: the others would not find its files.
        require_own_folder(settings)
        if is_filled:
            filing.add(index, _unindexed(url, data_dir))
            return filing.report(rebuilt=False)
        with being_filled(url, at=clock.now()):
            removed = finish_removals(data_dir, remove=remove, are_rows_gone=_asked_of(url))
            filing.add(index, _unindexed(url, data_dir))
            kept = filing.keep_from_running(index, FormerIndex())
    return replace(filing.report(rebuilt=True, kept=kept), removed=removed)


def _asked_of(url: str) -> Asked:
    """Whether an index says that the rows of files are gone; one that cannot be asked does not, and the files stay."""

    def are_rows_gone(paths: Sequence[str]) -> bool:
        if not url:
            return False
        engine = open_engine(url)
        try:
            return paths_to_be_removed(engine, paths) == set(paths)
        except StorageError:
            return False
        finally:
            engine.dispose()

    return are_rows_gone


def _made_anew(database: Path, data_dir: Path, clock: Clock, *, former: FormerIndex) -> ReindexReport:
    """A new index beside the old one, put into its place when it is complete."""
    new = database.with_name(f"{database.name}.new")
    for suffix in ("", "-wal", "-shm"):
        with disk_errors():
            new.with_name(new.name + suffix).unlink(missing_ok=True)
    filing = _Filing(data_dir, clock)
    with _opened(f"sqlite:///{new}", clock) as index:
        filing.add(index, _by_age(data_dir, data_dir.glob("objects/*/*.dcm")))
        kept = filing.keep_from_running(index, former)
    old = put_in_place(new, database, at=clock.now())
    new.with_name(f"{new.name}.migrate.lock").unlink(missing_ok=True)
    return filing.report(rebuilt=True, old_index=old, kept=kept)


@contextmanager
def _opened(url: str, clock: Clock) -> Iterator[Index]:
    """The index in the form of this version."""
    migrate(url)
    with closing(Index(open_engine(url), now=clock.now)) as index:
        yield index


def _unindexed(url: str, data_dir: Path) -> list[str]:
    """Files that a sound index does not know, as `_by_age` has them."""
    engine = open_engine(url)
    try:
        return _by_age(data_dir, (data_dir / path for path in unindexed_files(engine, data_dir)))
    finally:
        engine.dispose()


def _by_age(data_dir: Path, paths: Iterable[Path]) -> list[str]:
    """Received files in the order of their arrival: of two with other bytes under one UID the first stays in use."""
    oldest_first = sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name))
    return [str(path.relative_to(data_dir)) for path in oldest_first]


class _Filing:
    """Puts files into an index."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        """File what lies in a data folder."""
        self._data_dir = data_dir
        self._clock = clock
        self._added = 0
        self._unreadable: list[str] = []

    def add(self, index: Index, relative_paths: Iterable[str]) -> None:
        """File the readable ones, many in one transaction."""
        readable = (found for found in map(self._instance, relative_paths) if found)
        while batch := list(islice(readable, _BATCH)):
            self._added += len(self._recorded(index, batch))

    def _recorded(self, index: Index, batch: Sequence[ReceivedInstance]) -> tuple[Recorded, ...]:
        """File a batch without those that a database does not take: they came to another one, whose entries are longer."""
        try:
            return index.record_received(batch)
        except IndexFailedError:
            fitting = [instance for instance in batch if fits_index(instance.patient)]
            if len(fitting) == len(batch):
                raise
            self._unreadable += [instance.relative_path for instance in batch if instance not in fitting]
            return index.record_received(fitting)

    def keep_from_running(self, index: Index, former: FormerIndex) -> Counter[Kept]:
        """Let studies that were not to be analysed wait for an operator."""
        return keep_from_running(index, former, ResultStore(self._data_dir), now=self._clock.now())

    def report(
        self, *, rebuilt: bool, old_index: Path | None = None, kept: Counter[Kept] | None = None
    ) -> ReindexReport:
        """What was done."""
        kept = kept or Counter()
        return ReindexReport(
            rebuilt=rebuilt,
            old_index=old_index,
            added=self._added,
            unreadable=tuple(self._unreadable),
            not_run_again=kept[Kept.HAD_A_RESULT],
            not_run_as_before=kept[Kept.STAYS_AS_IT_WAS],
            not_run_unknown=kept[Kept.NOT_KNOWN],
            removed=0,
        )

    def _instance(self, relative_path: str) -> ReceivedInstance | None:
        """The row of a file; None, with its path noted, where it cannot have one."""
        path = self._data_dir / relative_path
        with suppress(NotUnderstoodError, InvalidDicomError, OSError, ValueError):
            if sha256_of(path) == path.stem:
                return _received(path, relative_path)
        self._unreadable.append(relative_path)
        return None


def _received(path: Path, relative_path: str) -> ReceivedInstance:
    """A file as it was received; who sent it is not in the file.

    Raises:
        NotUnderstoodError: It is no instance of a study.
        InvalidDicomError: It is no DICOM file.
    """
    syntax, header = read_file_header(path)
    known = path.stat()
    return ReceivedInstance(
        **{field.name: getattr(header, field.name) for field in fields(Header)},
        transfer_syntax_uid=syntax,
        sha256=path.stem,
        size_bytes=known.st_size,
        relative_path=relative_path,
        calling_aet="",
        called_aet="",
        received_at=datetime.fromtimestamp(known.st_mtime, UTC),
    )
