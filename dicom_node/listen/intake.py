"""Puts received files into their place and into the index, the rows of many with one wait for the disk."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

from storage.errors import IndexFailedError, StorageError
from storage.failpoints import reach
from storage.files import ObjectStore, PartFile, StoredObject
from storage.index import Index
from storage.records import ReceivedInstance, Recorded

_MAXIMUM_BATCH = 64
# A row is refused at once. What takes longer is trouble of the database, and would take as long for each part of the batch.
_REFUSED_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticket:
    """An instance that waits for its row."""

    instance: ReceivedInstance
    answer: Future[Recorded] = field(default_factory=Future)


class Intake:
    """Group commit: while one batch of rows is on its way to the disk, what arrives meanwhile gathers into the next.

    Each association puts its own file into its place, for file systems gather those syncs by themselves. There is no
    thread for the rows: of the associations that wait, one takes the turn and commits for all.
    """

    def __init__(self, store: ObjectStore, index: Index) -> None:
        """Keep files in the store and rows in the index."""
        self._store = store
        self._index = index
        self._waiting: list[_Ticket] = []
        self._waiting_lock = Lock()
        self._turn = Lock()

    def keep(self, part: PartFile, describe: Callable[[StoredObject], ReceivedInstance]) -> Recorded:
        """Make a received file durable: synced, in its place, its folder synced, its row committed.

        Args:
            part: Complete, not yet closed.
            describe: Makes the row from where the file lies.

        Raises:
            StorageError: The file may not be acknowledged.
        """
        ticket = _Ticket(instance=describe(self._store.commit(part)))
        with self._waiting_lock:
            self._waiting.append(ticket)
        while not ticket.answer.done():
            with self._turn:
                # Whoever had the turn before may have taken this ticket along.
                if not ticket.answer.done():
                    self._settle(self._next_batch())
        return ticket.answer.result()

    def _next_batch(self) -> list[_Ticket]:
        with self._waiting_lock:
            batch, self._waiting = self._waiting[:_MAXIMUM_BATCH], self._waiting[_MAXIMUM_BATCH:]
        return batch

    def _settle(self, batch: list[_Ticket]) -> None:
        """Commit a batch and answer each of its tickets, whatever happens.

        A batch that the database refuses is divided until only the row is refused that it does not take: what one sender
        says harms no object of another.
        """
        failure: BaseException = StorageError("a defect ended the commit of this batch")
        began_at_s = time.monotonic()
        try:
            answers = self._index.record_received([ticket.instance for ticket in batch])
            reach("index.after_commit")
            for ticket, recorded in zip(batch, answers, strict=True):
                ticket.answer.set_result(recorded)
        except IndexFailedError as error:
            failure = error
            if len(batch) > 1 and time.monotonic() - began_at_s < _REFUSED_WITHIN_S:
                middle = len(batch) // 2
                self._settle(batch[:middle])
                self._settle(batch[middle:])
        except StorageError as error:
            failure = error
        finally:
            for ticket in batch:
                if not ticket.answer.done():
                    ticket.answer.set_exception(failure)
