"""Keeps the index informed of what goes on in the listener, which never waits for that: an index may take its time."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from dicom_node.listen.enduring import do_each
from dicom_node.listen.services import Services
from dicom_node.settings_file import SettingsFile
from storage.errors import StorageError
from storage.index import Index

logger = logging.getLogger(__name__)

_INTERVAL_S = 5.0
_ENDING_S = 3.0
"""A server that does not answer holds up the end of the listener no longer."""


class Informer:
    """Says in the index that the listener lives, which associations are open, and who was refused."""

    def __init__(self, file: SettingsFile, index: Index, services: Services) -> None:
        """Say nothing yet."""
        self._file = file
        self._index = index
        self._services = services
        self._has_answered = Event()
        self._ends = Event()

    def note_answer(self) -> None:
        """The listener answered itself: one sign of life may be left."""
        self._has_answered.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inform every few seconds, and at each answer, for as long as the block lasts."""
        thread = Thread(target=self._inform_until_end, name="inform", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            self._has_answered.set()
            thread.join(timeout=_ENDING_S)

    def _inform_until_end(self) -> None:
        while True:
            is_alive = self._has_answered.wait(_INTERVAL_S)
            self._has_answered.clear()
            if self._ends.is_set():
                return
            do_each(self._services.inform_index, *([self._leave_sign_of_life] if is_alive else []))

    def _leave_sign_of_life(self) -> None:
        listen, machine = self._file.started_with.listen, self._file.started_with.machine
        address = f"{listen.host}:{listen.port}"
        try:
            self._index.beat("listen", address, machine=machine, needs_restart=self._file.needs_restart)
        except StorageError as error:
            logger.exception("no sign of life: %s", error.detail)
