"""Refuses new associations while the disk is nearly full, before objects must be refused one by one."""

import logging
from collections.abc import Callable
from threading import Lock

from config.storage import StorageSettings
from storage.errors import StorageError

logger = logging.getLogger(__name__)


def surely_free_from(storage: StorageSettings) -> int:
    """Free bytes from which on no association is refused, whatever was refused before; 0 without a floor."""
    floor = storage.free_floor_bytes
    return floor + 2 * storage.association_margin_bytes if floor else 0


class DiskFloor:
    """Whether there is room for another association, with a distance between full and free again."""

    def __init__(self, storage: StorageSettings, free_bytes: Callable[[], int]) -> None:
        """Look at the disk with `free_bytes`; without a floor there is always room."""
        self._free_bytes = free_bytes
        self._is_low = False
        self._lock = Lock()
        self.follow(storage)

    def follow(self, storage: StorageSettings) -> None:
        """Go by these limits from now on."""
        self._low_below = storage.refused_below_bytes
        self._free_from = surely_free_from(storage)

    def is_low(self) -> bool:
        """Whether to refuse: from floor and margin on, until there is twice the margin."""
        try:
            free_bytes = self._free_bytes()
        except StorageError as error:
            logger.error("free space is not known, associations are refused: %s", error.detail)  # noqa: TRY400  # says it
            return True
        with self._lock:
            was_low = self._is_low
            self._is_low = free_bytes < (self._free_from if was_low else self._low_below)
        if self._is_low and not was_low:
            logger.error("associations are refused: %d bytes free, fewer than %d", free_bytes, self._low_below)
        elif was_low and not self._is_low:
            logger.warning("associations are taken again: %d bytes free", free_bytes)
        return self._is_low
